//! Limits: how often, and how many at the same time.
//!
//! In this process's memory (governor, tower-governor), and where nodes share them also in Valkey
//! ([`shared`]): as layers around routes, as [`Calls`] for what assistants ask, as [`Failures`] for
//! what may go wrong, and as [`Counter`]s for what a node does by itself.
//!
//! The endpoint at `/mcp` counts by network address before it looks at a token, and by token, user,
//! app and tenant afterwards, so that failed authentication drains nobody's quota (spec row L-02).
//! [`Limits::sweep_regularly`] forgets keys that have recovered, which bounds the memory that
//! strangers can take (L-04).

mod bucket;
mod calls;
mod counter;
mod failures;
mod layer;
mod rate;
mod refusal;
mod refused;
mod running;
pub mod shared;
mod slots;
pub mod store;
mod tenant;
mod uploads;

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use axum::http::Extensions;

use crate::http::client_ip::{ClientIp, SharedEgress};
pub use calls::{Admitted, Call, Calls, Cost, Held};
pub use counter::Counter;
pub use failures::{Attempt, Failures};
pub use layer::{By, Layer, Spread};
pub use rate::{Hourly, Policy, Rate};
pub use refusal::{Limit, Limited, Standing};
pub use refused::Refused;
use shared::Shared;
pub use slots::{Slot, Taken};
pub use tenant::{LEAST_PER_MINUTE, MOST_AT_ONCE, MOST_PER_MINUTE, Numbers, TenantLimits};
pub use uploads::Uploads;

/// How often recovered keys are forgotten.
const SWEEP: Duration = Duration::from_secs(20);

/// `/mcp`, before authentication: good calls count too, and an office is one address, so this is
/// only what keeps one address from keeping us busy.
pub const ADDRESS: Policy = Policy { name: "address", per_minute: 1200, burst: 600 };
/// As how many addresses one counts where a hosted assistant calls from for all its users.
const SHARED_EGRESS: u8 = 10;

/// Makes limits and keeps them small. Clones share.
#[derive(Clone)]
pub struct Limits {
    scale: f64,
    shared: Option<Shared>,
    kept: Arc<Mutex<Vec<Box<dyn Keyed>>>>,
}

/// A limit whose recovered keys can be forgotten.
trait Keyed: Send + Sync {
    fn sweep(&self);
    fn keys(&self) -> usize;
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits").field("scale", &self.scale).finish_non_exhaustive()
    }
}

impl Limits {
    /// Limits with every rate and burst multiplied by `scale`, counted by this process alone.
    #[must_use]
    pub fn new(scale: f64) -> Self {
        Self { scale, shared: None, kept: Arc::default() }
    }

    /// The same for all nodes together.
    ///
    /// # Errors
    /// When the address makes no sense. That nobody answers there is no error.
    pub fn share(self, settings: &shared::Settings) -> Result<Self, redis::RedisError> {
        Ok(Self { shared: Some(Shared::start(settings)?), ..self })
    }

    /// Wait until nodes do share, where they shall.
    pub async fn ready(&self) {
        if let Some(shared) = &self.shared {
            shared.ready().await;
        }
    }

    /// Whether nodes share these limits at the moment; `None` where they never do.
    #[must_use]
    pub fn are_shared(&self) -> Option<bool> {
        self.shared.as_ref().map(Shared::is_up)
    }

    /// Where nodes count together, for limits that are made elsewhere.
    pub(crate) fn shared(&self) -> Option<Shared> {
        self.shared.clone()
    }

    /// By what every rate and burst is multiplied.
    #[must_use]
    pub fn scale(&self) -> f64 {
        self.scale
    }

    fn keep(&self, limit: Box<dyn Keyed>) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(limit);
    }

    /// Forget every key whose quota is whole again.
    pub fn sweep(&self) {
        for limit in self.kept.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            limit.sweep();
        }
    }

    /// How many keys all limits together remember.
    #[must_use]
    pub fn keys(&self) -> usize {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().map(|limit| limit.keys()).sum()
    }

    /// Sweep on a timer until the last clone is dropped.
    pub fn sweep_regularly(&self) {
        let kept: Weak<_> = Arc::downgrade(&self.kept);
        let scale = self.scale;
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                let Some(kept) = kept.upgrade() else { return };
                let limits = Self { scale, shared: None, kept };
                limits.sweep();
                // A count of keys, far below what f64 holds exactly.
                #[expect(clippy::cast_precision_loss, reason = "a count for a gauge")]
                metrics::gauge!("callslip_rate_limit_keys").set(limits.keys() as f64);
            }
        });
    }
}

/// Where a request comes from, as limits count it: the client's address, or for IPv6 its /64.
#[must_use]
pub fn network(extensions: &Extensions) -> IpAddr {
    // Without the middleware that finds it, everybody shares one bucket: closed, not open.
    let nobody = ClientIp(Ipv6Addr::UNSPECIFIED.into());
    extensions.get::<ClientIp>().copied().unwrap_or(nobody).network()
}

/// The key of limits by address: the [`network`]. One of a hosted assistant, which all its users
/// share, counts as several, of which a request is any.
#[must_use]
pub fn by_address(extensions: &Extensions) -> Option<(IpAddr, u8)> {
    let several = extensions.get::<SharedEgress>().is_some();
    let part = if several { rand::random_range(0..SHARED_EGRESS) } else { 0 };
    Some((network(extensions), part))
}

#[cfg(test)]
mod tests {
    use super::{calls::TOKEN, *};

    /// [L-04] A key whose quota has recovered is forgotten by the next sweep.
    #[test]
    fn recovered_keys_are_forgotten() {
        let limits = Limits::new(1e9);
        let counter = limits.counter::<u32>(ADDRESS);
        for key in 0..100_000 {
            assert!(counter.count(&key).is_ok());
        }
        assert_eq!(limits.keys(), 100_000);
        // At this scale a call is paid back within nanoseconds.
        limits.sweep();
        assert_eq!(limits.keys(), 0);
    }

    /// [L-04] A million strangers fit into 128 MiB.
    #[test]
    fn a_million_keys_are_small() {
        let resident = || {
            let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
            statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
        };
        let limits = Limits::new(1.0);
        let counter = limits.counter::<(IpAddr, u8)>(ADDRESS);
        let before = resident();
        for key in 0..1_000_000_u32 {
            assert!(counter.count(&(IpAddr::from(key.to_be_bytes()), 0)).is_ok());
        }
        let grown = resident().saturating_sub(before);
        assert_eq!(limits.keys(), 1_000_000);
        assert!(grown <= 128 << 20, "{} MiB", grown >> 20);
    }

    /// [L-01] A burst passes, the next call does not, and other keys are not touched.
    #[test]
    fn after_the_burst_a_key_waits() {
        let limits = Limits::new(1.0);
        let counter = limits.counter::<&str>(TOKEN);
        for _ in 0..TOKEN.burst {
            assert!(counter.count(&"a").is_ok());
        }
        let limited = counter.count(&"a").unwrap_err();
        assert_eq!((limited.limit.name(), limited.retry_after), ("token", 1));
        assert!(counter.count(&"b").is_ok());
        limits.sweep();
        assert!(counter.count(&"a").is_err(), "a sweep pardons nobody");
    }

    #[test]
    fn the_scale_multiplies_rate_and_burst() {
        let counter = Limits::new(0.1).counter::<u8>(TOKEN);
        assert_eq!((0..10).filter(|_| counter.count(&0).is_ok()).count(), 3);
        let limited = counter.count(&0).unwrap_err();
        assert!((9..=10).contains(&limited.retry_after), "{limited:?}");
    }
}
