//! How often a sign-in may fail: by account and by network (GCRA), here and on all nodes that share
//! their limits.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use time::{Duration, OffsetDateTime};

use crate::{
    clock::Clock,
    limits::{
        Limits,
        shared::{Charge, Lease, Shared, Verdict},
    },
};

/// Beyond this many keys those that are fresh again are forgotten.
const SWEEP_AT: usize = 50_000;

/// Failures that may come at once, and how long until one more may.
#[derive(Clone, Copy, Debug)]
struct Quota {
    burst: f64,
    every: Duration,
}

/// One account: 10 at once, then 3 a minute.
const ACCOUNT: Quota = Quota { burst: 10.0, every: Duration::seconds(20) };
/// One network: 30 at once, then one a second.
const NETWORK: Quota = Quota { burst: 30.0, every: Duration::SECOND };

/// What is counted. Accounts that do not exist count like those that do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    /// By a keyed hash, so that nobody chooses how much is kept.
    Account(u64),
    Network(IpAddr),
}

/// Counts what fails: every try is paid for in advance, and a success is paid back.
#[derive(Clone, Debug)]
pub(super) struct Throttle {
    clock: Clock,
    scale: f64,
    shared: Option<Shared>,
    hasher: RandomState,
    /// When each key will be as good as new.
    fresh_at: Arc<Mutex<HashMap<Key, OffsetDateTime>>>,
}

/// A try that was let through.
#[derive(Debug)]
pub(super) struct Try {
    keys: [(Key, Quota); 2],
    /// How often it was paid for here.
    times: u32,
    /// What all nodes count.
    charges: Vec<Charge>,
}

/// Too many failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany {
    /// Whole seconds until one more try, at least 1.
    pub(super) retry_after: u64,
}

impl Throttle {
    pub(super) fn new(clock: Clock, limits: &Limits) -> Self {
        Self {
            clock,
            scale: limits.scale(),
            shared: limits.shared(),
            hasher: RandomState::new(),
            fresh_at: Arc::default(),
        }
    }

    /// Pay for a try on this account from this network.
    pub(super) async fn admit(&self, account: &str, network: IpAddr) -> Result<Try, TooMany> {
        let keys = [
            (Key::Account(self.hasher.hash_one(account)), ACCOUNT),
            (Key::Network(network), NETWORK),
        ];
        self.pay(&keys, 1)?;
        let mut tried = Try { keys, times: 1, charges: Vec::new() };
        let Some(shared) = &self.shared else { return Ok(tried) };
        let charge = |name, quota: Quota| Charge {
            name,
            cost: self.every(quota).unsigned_abs(),
            whole: (quota.every * quota.burst).unsigned_abs(),
        };
        let charges = vec![
            charge(shared.name("sign-in/account", account), ACCOUNT),
            charge(shared.name("sign-in/network", &network), NETWORK),
        ];
        match shared.admit(&charges, &[], Lease::new()).await {
            Some(Verdict::Admitted(_)) => {
                tried.charges = charges;
                Ok(tried)
            }
            Some(Verdict::Refused { wait, .. }) => {
                self.pay_back(&tried);
                Err(TooMany { retry_after: u64::max(1, whole(wait.as_secs_f64().ceil())) })
            }
            None => self.pay_for_others(tried, shared.nodes()),
        }
    }

    /// Nobody answers: what is left is this node's share.
    fn pay_for_others(&self, tried: Try, nodes: u32) -> Result<Try, TooMany> {
        let most = whole(ACCOUNT.burst);
        let others = nodes.min(u32::try_from(most).unwrap_or(u32::MAX)).saturating_sub(1);
        match self.pay(&tried.keys, others) {
            Ok(()) => Ok(Try { times: tried.times + others, ..tried }),
            Err(refused) => {
                self.pay_back(&tried);
                Err(refused)
            }
        }
    }

    /// For both keys or for neither.
    fn pay(&self, keys: &[(Key, Quota); 2], times: u32) -> Result<(), TooMany> {
        let now = self.clock.now();
        let mut fresh_at = self.fresh_at.lock().unwrap_or_else(PoisonError::into_inner);
        if fresh_at.len() > SWEEP_AT {
            fresh_at.retain(|_, at| *at > now);
        }
        for (key, quota) in keys {
            let debt = fresh_at.get(key).map_or(now, |at| (*at).max(now)) - now;
            let over = debt + self.every(*quota) * times - quota.every * quota.burst;
            if over > Duration::ZERO {
                let seconds = over.as_seconds_f64().ceil();
                return Err(TooMany { retry_after: u64::max(1, whole(seconds)) });
            }
        }
        for (key, quota) in keys {
            let at = fresh_at.entry(*key).or_insert(now);
            *at = (*at).max(now) + self.every(*quota) * times;
        }
        Ok(())
    }

    /// Pay back a try that succeeded.
    pub(super) fn forgive(&self, tried: Try) {
        self.pay_back(&tried);
        if let Some(shared) = &self.shared
            && !tried.charges.is_empty()
        {
            shared.refund(tried.charges);
        }
    }

    fn pay_back(&self, tried: &Try) {
        let mut fresh_at = self.fresh_at.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, quota) in &tried.keys {
            if let Some(at) = fresh_at.get_mut(key) {
                *at -= self.every(*quota) * tried.times;
            }
        }
    }

    /// What one try costs.
    fn every(&self, quota: Quota) -> Duration {
        quota.every / self.scale
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of seconds, not negative"
)]
const fn whole(seconds: f64) -> u64 {
    seconds as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[tokio::test]
    async fn an_account_recovers_a_try_at_a_time() {
        let clock = Clock::movable();
        let throttle = Throttle::new(clock.clone(), &Limits::new(1.0));
        for n in 0..10 {
            assert!(throttle.admit("ada", network(n)).await.is_ok());
        }
        let refused = throttle.admit("ada", network(99)).await.unwrap_err();
        assert!((1..=20).contains(&refused.retry_after), "{refused:?}");
        assert!(throttle.admit("bob", network(99)).await.is_ok());
        clock.advance(Duration::seconds(20));
        assert!(throttle.admit("ada", network(99)).await.is_ok());
        assert!(throttle.admit("ada", network(99)).await.is_err());
    }

    #[tokio::test]
    async fn a_network_is_counted_across_accounts() {
        let throttle = Throttle::new(Clock::movable(), &Limits::new(1.0));
        let mut admitted = 0;
        for n in 0..100 {
            admitted += u32::from(throttle.admit(&n.to_string(), network(1)).await.is_ok());
        }
        assert!((30..=31).contains(&admitted), "{admitted}");
        assert!(throttle.admit("somebody", network(2)).await.is_ok());
    }

    #[tokio::test]
    async fn success_costs_nothing() {
        let throttle = Throttle::new(Clock::movable(), &Limits::new(1.0));
        for _ in 0..100 {
            let tried = throttle.admit("ada", network(1)).await.unwrap();
            throttle.forgive(tried);
        }
    }

    #[tokio::test]
    async fn the_scale_multiplies() {
        let throttle = Throttle::new(Clock::movable(), &Limits::new(10.0));
        let mut admitted = 0;
        for _ in 0..1000 {
            admitted += u32::from(throttle.admit("ada", network(1)).await.is_ok());
        }
        assert!((100..=101).contains(&admitted), "{admitted}");
    }
}
