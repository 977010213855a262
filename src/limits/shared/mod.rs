//! Limits that several nodes share, in a Valkey or Redis.
//!
//! It holds counters and nothing else: no authorization asks it. Scripts decide on its own clock,
//! so nodes need not agree on the time. Keys are HMACs, so it learns neither addresses nor tenants.
//!
//! Every limit counts in this process too. While Valkey does not answer, each node lets 1/N of a
//! limit through, N being how many nodes there were; what a key has used up stays used up.

mod link;
mod script;

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use uuid::Uuid;

use crate::secret::{Secret, derive::DerivationKey};
use link::Link;
use script::Scripts;

/// What a call may lose by asking.
pub const BUDGET: Duration = Duration::from_millis(20);

/// How long a place is kept for a call that never says that it has ended: its node is gone.
const LEASE: Duration = Duration::from_secs(60);

/// Where the counters are, and who shares them.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `redis://`, `rediss://`, `valkey://`, `valkeys://` or `unix:`; may hold a password.
    pub url: Secret,
    /// Names keys.
    pub key: DerivationKey,
    /// At least how many nodes there are.
    pub nodes: u32,
    /// How long an answer may take: [`BUDGET`].
    pub budget: Duration,
}

/// The counters. Clones share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    link: Arc<Link>,
    key: DerivationKey,
}

/// The name of a counter: says nothing to who reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(String);

/// What a call costs at one rate.
#[derive(Clone, Debug)]
pub(crate) struct Charge {
    pub(crate) name: Name,
    /// What this call costs …
    pub(crate) cost: Duration,
    /// … of what a burst may cost.
    pub(crate) whole: Duration,
}

/// So many at the same time.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) name: Name,
    pub(crate) most: u32,
}

/// What came of asking to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// In; what is left of each rate.
    Admitted(Vec<Duration>),
    /// Which of the rates and places refuses, and for how long; a place cannot say.
    Refused { which: usize, wait: Duration },
}

/// What came of asking to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Begun,
    /// Others are trying.
    Later,
    /// Too many have failed.
    Never(Duration),
}

/// The name under which a place or a turn is held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease(Uuid);

impl Lease {
    pub(crate) fn new() -> Self {
        Self(Uuid::new_v4())
    }
}

impl Shared {
    /// Connect, now and whenever the connection is lost, until the last clone is dropped.
    ///
    /// # Errors
    /// When the address makes no sense.
    pub(crate) fn start(settings: &Settings) -> Result<Self, redis::RedisError> {
        Ok(Self { link: Link::start(settings)?, key: settings.key.clone() })
    }

    /// How many nodes share the limits, as far as anybody knows.
    pub(crate) fn nodes(&self) -> u32 {
        self.link.nodes()
    }

    /// Whether the counters answered when they were last asked.
    pub(crate) fn is_up(&self) -> bool {
        self.link.is_up()
    }

    /// Wait until they answer. For whoever has just started.
    pub(crate) async fn ready(&self) {
        self.link.ready().await;
    }

    /// The counter of `key` under a policy.
    pub(crate) fn name<K: Hash + ?Sized>(&self, policy: &str, key: &K) -> Name {
        let mut bytes = Bytes(policy.as_bytes().to_vec());
        key.hash(&mut bytes);
        let digest = self.key.derive(&bytes.0);
        let mut name = String::from("callslip:");
        for byte in &digest[..16] {
            use std::fmt::Write;
            let _ = write!(name, "{byte:02x}");
        }
        Name(name)
    }

    /// Pay every charge and take every place, or nothing at all. `None`: nobody answered.
    pub(crate) async fn admit(
        &self,
        charges: &[Charge],
        places: &[Place],
        lease: Lease,
    ) -> Option<Verdict> {
        let scripts = Scripts::get();
        let mut call = scripts.admit.prepare_invoke();
        call.arg(charges.len()).arg(lease.0.to_string()).arg(micros(LEASE));
        for charge in charges {
            call.key(&charge.name.0).arg(micros(charge.cost)).arg(micros(charge.whole));
        }
        for place in places {
            call.key(&place.name.0).arg(place.most);
        }
        let answer: Vec<i64> = self.link.ask(&call).await?;
        let (first, rest) = answer.split_first()?;
        Some(match usize::try_from(*first).ok()?.checked_sub(1) {
            None => Verdict::Admitted(rest.iter().map(|left| duration(*left)).collect()),
            Some(which) => {
                Verdict::Refused { which, wait: duration(rest.first().copied().unwrap_or(0)) }
            }
        })
    }

    /// Give places back. Not waited for: an answer must not be late for it.
    pub(crate) fn leave(&self, places: &[Name], lease: Lease) {
        let mut pipe = redis::pipe();
        for place in places {
            pipe.cmd("ZREM").arg(&place.0).arg(lease.0.to_string()).ignore();
        }
        self.link.send(pipe);
    }

    /// Pay charges back. Not waited for either.
    pub(crate) fn refund(&self, charges: Vec<Charge>) {
        let link = Arc::clone(&self.link);
        in_the_background(async move {
            let mut call = Scripts::get().refund.prepare_invoke();
            for charge in &charges {
                call.key(&charge.name.0).arg(micros(charge.cost));
            }
            let _: Option<i64> = link.ask(&call).await;
        });
    }

    /// Begin what may fail, `most` times in a window.
    pub(crate) async fn attempt(
        &self,
        name: &Name,
        most: u32,
        window: Duration,
        lease: Lease,
    ) -> Option<Turn> {
        let mut call = Scripts::get().attempt.prepare_invoke();
        call.key(&name.0).key(name.under_way());
        call.arg(most).arg(micros(window)).arg(lease.0.to_string()).arg(micros(LEASE));
        let answer: i64 = self.link.ask(&call).await?;
        Some(match answer {
            0 => Turn::Begun,
            -1 => Turn::Later,
            wait => Turn::Never(duration(wait)),
        })
    }

    /// It has ended. Until this is heard it counts as under way, so it is not waited for.
    pub(crate) fn settle(&self, name: Name, window: Duration, lease: Lease, failed: bool) {
        let link = Arc::clone(&self.link);
        in_the_background(async move {
            let mut call = Scripts::get().settle.prepare_invoke();
            call.key(&name.0).key(name.under_way());
            call.arg(micros(window)).arg(lease.0.to_string()).arg(u8::from(failed));
            let _: Option<i64> = link.ask(&call).await;
        });
    }
}

impl Name {
    fn under_way(&self) -> String {
        format!("{}:under-way", self.0)
    }
}

/// At the end of the process there may be nobody left to do it, and nobody to care.
fn in_the_background(work: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(work);
    }
}

/// What [`Hash`] feeds, as it comes.
struct Bytes(Vec<u8>);

impl Hasher for Bytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

/// Whole microseconds, rounded up: nothing is cheaper for it.
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX)
}

/// What the scripts can count: at least one microsecond, and nothing of one.
pub(crate) fn whole_micros(duration: Duration) -> Duration {
    Duration::from_micros(micros(duration).max(1))
}

fn duration(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
