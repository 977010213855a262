//! A limit on what this process does by itself, such as reading what others publish: each node
//! counts alone.

use std::{fmt, hash::Hash, sync::Arc};

use governor::{
    DefaultKeyedRateLimiter, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::{NoOpMiddleware, RateLimitingMiddleware},
    state::keyed::DefaultKeyedStateStore,
};

use super::{Keyed, Limited, Limits, Rate};

/// Counts calls by key. Clones share.
pub struct Counter<K: Clone + Eq + Hash> {
    policy: Rate,
    limiter: Arc<DefaultKeyedRateLimiter<K>>,
}

impl<K: Clone + Eq + Hash> Clone for Counter<K> {
    fn clone(&self) -> Self {
        Self { policy: self.policy, limiter: Arc::clone(&self.limiter) }
    }
}

impl<K: Clone + Eq + Hash> fmt::Debug for Counter<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counter").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl<K: Clone + Eq + Hash> Counter<K> {
    /// Count one call.
    ///
    /// # Errors
    /// [`Limited`] when it is one too many; it is then not counted.
    pub fn count(&self, key: &K) -> Result<(), Limited> {
        self.limiter.check_key(key).map_err(|not_until| {
            let wait = not_until.wait_time_from(DefaultClock::default().now());
            Limited::new(self.policy, wait)
        })
    }
}

impl Limits {
    /// A counter under `policy`.
    #[must_use]
    pub fn counter<K>(&self, policy: impl Into<Rate>) -> Counter<K>
    where
        K: Clone + Eq + Hash + Send + Sync + 'static,
    {
        let policy = policy.into();
        let limiter = Arc::new(RateLimiter::keyed(policy.quota(self.scale)));
        self.keep(Box::new(Kept(Arc::clone(&limiter))));
        Counter { policy, limiter }
    }
}

/// What [`Limits`] sweeps.
pub(super) struct Kept<K: Clone + Eq + Hash, M = NoOpMiddleware>(
    pub(super) Arc<RateLimiter<K, DefaultKeyedStateStore<K>, DefaultClock, M>>,
)
where
    M: RateLimitingMiddleware<<DefaultClock as Clock>::Instant>;

impl<K, M> Keyed for Kept<K, M>
where
    K: Clone + Eq + Hash + Send + Sync,
    M: RateLimitingMiddleware<<DefaultClock as Clock>::Instant> + Send + Sync,
{
    fn sweep(&self) {
        self.0.retain_recent();
        self.0.shrink_to_fit();
    }

    fn keys(&self) -> usize {
        self.0.len()
    }
}
