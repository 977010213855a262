//! A limit on what fails: success costs nothing, however often it comes.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use time::{Duration, OffsetDateTime};

use super::{Keyed, Limited, Limits, Rate};
use crate::clock::Clock;

/// Counts failures by key. Clones share.
pub struct Failures<K> {
    policy: Rate,
    most: u32,
    counted: Arc<Counted<K>>,
}

struct Counted<K> {
    clock: Clock,
    windows: Mutex<HashMap<K, Window>>,
}

/// From the first failure on, for as long as the policy counts.
struct Window {
    failures: u32,
    ends_at: OffsetDateTime,
}

impl Window {
    /// Not one that a clock began which was set back since: it would stay open for as long.
    fn is_open(&self, now: OffsetDateTime, policy: Rate) -> bool {
        let left = self.ends_at - now;
        left.is_positive() && left <= Duration::seconds(policy.seconds.into())
    }
}

impl<K> Clone for Failures<K> {
    fn clone(&self) -> Self {
        Self { policy: self.policy, most: self.most, counted: Arc::clone(&self.counted) }
    }
}

impl<K> fmt::Debug for Failures<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failures").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl<K: Eq + Hash> Failures<K> {
    /// Whether another try is let through, be it a good one or not.
    ///
    /// # Errors
    /// [`Limited`] when the key has failed as often as it may.
    pub fn check(&self, key: &K) -> Result<(), Limited> {
        let now = self.counted.clock.now();
        match self.counted.windows().get(key) {
            Some(window) if window.is_open(now, self.policy) && window.failures >= self.most => {
                Err(Limited::new(self.policy, (window.ends_at - now).unsigned_abs()))
            }
            _ => Ok(()),
        }
    }

    /// Count a failure.
    pub fn record(&self, key: K) {
        let now = self.counted.clock.now();
        let mut windows = self.counted.windows();
        let ends_at = now + Duration::seconds(self.policy.seconds.into());
        let window = windows.entry(key).or_insert(Window { failures: 0, ends_at });
        if !window.is_open(now, self.policy) {
            *window = Window { failures: 0, ends_at };
        }
        window.failures = window.failures.saturating_add(1);
    }
}

impl<K> Counted<K> {
    fn windows(&self) -> MutexGuard<'_, HashMap<K, Window>> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Limits {
    /// As many failures in a window as `policy` lets through at once.
    #[must_use]
    pub fn failures<K: Eq + Hash + Send + 'static>(
        &self,
        policy: impl Into<Rate>,
        clock: &Clock,
    ) -> Failures<K> {
        let policy = policy.into();
        let counted = Arc::new(Counted { clock: clock.clone(), windows: Mutex::default() });
        self.keep(Box::new(Arc::clone(&counted)));
        Failures { policy, most: policy.burst(self.scale).get(), counted }
    }
}

impl<K: Eq + Hash + Send> Keyed for Arc<Counted<K>> {
    fn sweep(&self) {
        let now = self.clock.now();
        let mut windows = self.windows();
        windows.retain(|_, window| window.ends_at > now);
        windows.shrink_to_fit();
    }

    fn keys(&self) -> usize {
        self.windows().len()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Policy, *};

    const THREE: Policy = Policy { name: "test", per_minute: 3, burst: 3 };

    #[test]
    fn a_key_that_fails_too_often_waits_and_others_do_not() {
        let (limits, clock) = (Limits::new(1.0), Clock::movable());
        let failures = limits.failures::<&str>(THREE, &clock);
        for _ in 0..3 {
            assert!(failures.check(&"a").is_ok());
            failures.record("a");
        }
        assert!((59..=60).contains(&failures.check(&"a").unwrap_err().retry_after));
        assert!(failures.check(&"b").is_ok());
        clock.advance(Duration::seconds(59));
        limits.sweep();
        assert!(failures.check(&"a").is_err(), "a sweep pardons nobody");
        clock.advance(Duration::seconds(1));
        assert!(failures.check(&"a").is_ok());
        failures.record("a");
        assert!(failures.check(&"a").is_ok(), "the count starts anew");
        clock.advance(Duration::MINUTE);
        limits.sweep();
        assert_eq!(limits.keys(), 0);
        for _ in 0..3 {
            failures.record("a");
        }
        assert!(failures.check(&"a").is_err());
        clock.advance(-Duration::DAY);
        assert!(failures.check(&"a").is_ok(), "a clock that is set back holds nobody");
    }
}
