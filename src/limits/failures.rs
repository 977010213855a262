//! A limit on what fails: success costs nothing, however often it comes.
//!
//! Every try is reserved before it begins, and given back unless it fails, so that no number of
//! tries at the same time lets more fail than may. While so many are under way that all of them
//! might fail, others wait their turn: they are not refused for what nobody has done yet.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use time::{Duration, OffsetDateTime};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};

use super::{
    Keyed, Limited, Limits, Rate,
    shared::{Lease, Name, Shared, Turn},
};
use crate::clock::Clock;

/// How long a try waits for others that are under way, and how often it asks those of other nodes.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);
const POLL: std::time::Duration = std::time::Duration::from_millis(20);

/// Counts failures by key. Clones share.
pub struct Failures<K> {
    policy: Rate,
    most: u32,
    counted: Arc<Counted<K>>,
    shared: Option<Shared>,
}

struct Counted<K> {
    clock: Clock,
    windows: Mutex<HashMap<K, Window>>,
    /// Told whenever a try ends.
    ended: Notify,
}

/// From the first failure on, for as long as the policy counts.
#[derive(Default)]
struct Window {
    failures: u32,
    ends_at: Option<OffsetDateTime>,
    /// Tries that have not ended.
    under_way: u32,
}

impl Window {
    /// Until when it counts. Not one that a clock began which was set back since: it would stay
    /// open for as long.
    fn open(&self, now: OffsetDateTime, policy: Rate) -> Option<Duration> {
        let left = self.ends_at? - now;
        (left.is_positive() && left <= Duration::seconds(policy.seconds.into())).then_some(left)
    }

    fn fail(&mut self, now: OffsetDateTime, policy: Rate) {
        if self.open(now, policy).is_none() {
            self.failures = 0;
            self.ends_at = Some(now + Duration::seconds(policy.seconds.into()));
        }
        self.failures = self.failures.saturating_add(1);
    }

    /// Whether one more may begin where `most` may fail.
    fn turn(&self, now: OffsetDateTime, policy: Rate, most: u32) -> Turn {
        let open = self.open(now, policy);
        let failures = open.map_or(0, |_| self.failures);
        match open {
            Some(left) if failures >= most => Turn::Never(left.unsigned_abs()),
            _ if failures.saturating_add(self.under_way) >= most => Turn::Later,
            _ => Turn::Begun,
        }
    }
}

impl<K> Clone for Failures<K> {
    fn clone(&self) -> Self {
        let (counted, shared) = (Arc::clone(&self.counted), self.shared.clone());
        Self { policy: self.policy, most: self.most, counted, shared }
    }
}

impl<K> fmt::Debug for Failures<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failures").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// A try that was let through, until it has ended: well, unless [`Attempt::failed`] was said.
pub struct Attempt<K: Clone + Eq + Hash> {
    failures: Failures<K>,
    key: K,
    failed: AtomicBool,
    lease: Option<(Shared, Name, Lease)>,
}

impl<K: Clone + Eq + Hash> fmt::Debug for Attempt<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt").field("failed", &self.failed).finish_non_exhaustive()
    }
}

impl<K: Clone + Eq + Hash> Attempt<K> {
    /// It failed.
    pub fn failed(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }
}

impl<K: Clone + Eq + Hash> Drop for Attempt<K> {
    fn drop(&mut self) {
        let failed = self.failed.load(Ordering::Relaxed);
        self.failures.end(&self.key, failed);
        if let Some((shared, name, lease)) = self.lease.take() {
            shared.settle(name, self.failures.window(), lease, failed);
        } else if failed && let Some(shared) = &self.failures.shared {
            // It began without the others; perhaps they can be told by now.
            let name = self.failures.name(shared, &self.key);
            shared.settle(name, self.failures.window(), Lease::new(), true);
        }
    }
}

impl<K: Clone + Eq + Hash> Failures<K> {
    /// Begin a try, be it a good one or not.
    ///
    /// # Errors
    /// [`Limited`] when the key has failed as often as it may, or has too many under way.
    pub async fn attempt(&self, key: K) -> Result<Attempt<K>, Limited> {
        let deadline = Instant::now() + PATIENCE;
        timeout(PATIENCE, self.begin(&key)).await.unwrap_or_else(|_| Err(self.busy()))?;
        let mut attempt =
            Attempt { failures: self.clone(), key, failed: AtomicBool::new(false), lease: None };
        if let Some(shared) = &self.shared {
            // From before the question: whoever hangs up meanwhile leaves nothing behind.
            attempt.lease = Some((shared.clone(), self.name(shared, &attempt.key), Lease::new()));
            let begun = self.begin_with_others(&attempt, deadline).await;
            if !matches!(begun, Ok(true)) {
                attempt.lease = None;
            }
            begun?;
        }
        Ok(attempt)
    }

    /// In this process.
    async fn begin(&self, key: &K) -> Result<(), Limited> {
        loop {
            let mut ended = std::pin::pin!(self.counted.ended.notified());
            ended.as_mut().enable();
            match self.turn(key, self.share()) {
                Turn::Begun => return Ok(()),
                Turn::Never(wait) => return Err(Limited::new(self.policy, wait)),
                Turn::Later => ended.await,
            }
        }
    }

    /// How many may fail here: of what all nodes share, this node's part while they cannot.
    fn share(&self) -> u32 {
        match &self.shared {
            Some(shared) if !shared.is_up() => (self.most / shared.nodes()).max(1),
            Some(_) | None => self.most,
        }
    }

    fn turn(&self, key: &K, most: u32) -> Turn {
        let now = self.counted.clock.now();
        let mut windows = self.counted.windows();
        let turn =
            windows.get(key).map_or(Turn::Begun, |window| window.turn(now, self.policy, most));
        if turn == Turn::Begun {
            windows.entry(key.clone()).or_default().under_way += 1;
        }
        turn
    }

    /// Whether all nodes count it, and not this one alone.
    async fn begin_with_others(
        &self,
        attempt: &Attempt<K>,
        deadline: Instant,
    ) -> Result<bool, Limited> {
        let Some((shared, name, lease)) = &attempt.lease else { return Ok(false) };
        loop {
            match shared.attempt(name, self.most, self.window(), *lease).await {
                Some(Turn::Begun) => return Ok(true),
                Some(Turn::Never(wait)) => return Err(Limited::new(self.policy, wait)),
                Some(Turn::Later) if Instant::now() < deadline => sleep(POLL).await,
                Some(Turn::Later) => return Err(self.busy()),
                None => return self.begin_alone(&attempt.key, shared.nodes()).map(|()| false),
            }
        }
    }

    /// This node's share of what may fail.
    fn begin_alone(&self, key: &K, nodes: u32) -> Result<(), Limited> {
        let now = self.counted.clock.now();
        let windows = self.counted.windows();
        let Some(window) = windows.get(key) else { return Ok(()) };
        let others = Window { under_way: window.under_way.saturating_sub(1), ..*window };
        match others.turn(now, self.policy, (self.most / nodes).max(1)) {
            Turn::Begun => Ok(()),
            Turn::Later => Err(self.busy()),
            Turn::Never(wait) => Err(Limited::new(self.policy, wait)),
        }
    }

    fn end(&self, key: &K, failed: bool) {
        let now = self.counted.clock.now();
        let mut windows = self.counted.windows();
        if let Some(window) = windows.get_mut(key) {
            window.under_way = window.under_way.saturating_sub(1);
            if failed {
                window.fail(now, self.policy);
            } else if window.under_way == 0 && window.open(now, self.policy).is_none() {
                windows.remove(key);
            }
        }
        drop(windows);
        self.counted.ended.notify_waiters();
    }

    /// Count a failure of what was never reserved.
    pub fn record(&self, key: K) {
        if let Some(shared) = &self.shared {
            let name = self.name(shared, &key);
            shared.settle(name, self.window(), Lease::new(), true);
        }
        let now = self.counted.clock.now();
        self.counted.windows().entry(key).or_default().fail(now, self.policy);
    }

    fn name(&self, shared: &Shared, key: &K) -> Name {
        shared.name(&format!("failures/{:?}", self.policy), key)
    }

    fn window(&self) -> std::time::Duration {
        std::time::Duration::from_secs(self.policy.seconds.into())
    }

    fn busy(&self) -> Limited {
        Limited::new(self.policy, std::time::Duration::from_secs(1))
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
        let counted =
            Counted { clock: clock.clone(), windows: Mutex::default(), ended: Notify::new() };
        let counted = Arc::new(counted);
        self.keep(Box::new(Arc::clone(&counted)));
        let (most, shared) = (policy.burst(self.scale).get(), self.shared.clone());
        Failures { policy, most, counted, shared }
    }
}

impl<K: Eq + Hash + Send> Keyed for Arc<Counted<K>> {
    fn sweep(&self) {
        let now = self.clock.now();
        let mut windows = self.windows();
        windows.retain(|_, window| {
            window.under_way > 0 || window.ends_at.is_some_and(|ends_at| ends_at > now)
        });
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

    async fn fail(failures: &Failures<&'static str>, key: &'static str) -> Result<(), Limited> {
        failures.attempt(key).await.map(|attempt| attempt.failed())
    }

    #[tokio::test]
    async fn a_key_that_fails_too_often_waits_and_others_do_not() {
        let (limits, clock) = (Limits::new(1.0), Clock::movable());
        let failures = limits.failures::<&str>(THREE, &clock);
        for _ in 0..3 {
            assert!(fail(&failures, "a").await.is_ok());
        }
        let limited = failures.attempt("a").await.unwrap_err();
        assert!((59..=60).contains(&limited.retry_after));
        assert!(failures.attempt("b").await.is_ok());
        clock.advance(Duration::seconds(59));
        limits.sweep();
        assert!(fail(&failures, "a").await.is_err(), "a sweep pardons nobody");
        clock.advance(Duration::seconds(1));
        for _ in 0..3 {
            assert!(fail(&failures, "a").await.is_ok(), "the count starts anew");
        }
        assert!(fail(&failures, "a").await.is_err());
        clock.advance(-Duration::DAY);
        assert!(fail(&failures, "a").await.is_ok(), "a clock that is set back holds nobody");
        clock.advance(Duration::DAY + Duration::MINUTE);
        limits.sweep();
        assert_eq!(limits.keys(), 0);
    }

    #[tokio::test]
    async fn who_succeeds_is_never_refused_and_leaves_nothing_behind() {
        let limits = Limits::new(1.0);
        let failures = limits.failures::<u8>(THREE, &Clock::movable());
        let tries = (0..100).map(|_| async {
            let attempt = failures.attempt(1).await?;
            tokio::task::yield_now().await;
            drop(attempt);
            Ok::<_, Limited>(())
        });
        let outcomes = futures_util::future::join_all(tries).await;
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
        assert_eq!(limits.keys(), 0);
    }

    /// [T-12] However many try at the same time, no more fail than may.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn tries_at_the_same_time_do_not_fail_more_often_than_may() {
        for _ in 0..20 {
            let failures = Limits::new(1.0).failures::<u8>(THREE, &Clock::movable());
            let tries = (0..64).map(|_| {
                let failures = failures.clone();
                tokio::spawn(async move {
                    let Ok(attempt) = failures.attempt(1).await else { return 0 };
                    tokio::task::yield_now().await;
                    attempt.failed();
                    1
                })
            });
            let failed: u32 =
                futures_util::future::join_all(tries).await.into_iter().map(Result::unwrap).sum();
            assert_eq!(failed, 3);
        }
    }
}
