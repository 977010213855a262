//! Keys at an address that their owner publishes.
//!
//! What was fetched is kept in memory as long as its host says, within bounds, and fetched again
//! when a key is missing from it, but not at every stranger's whim: once in ten seconds for each
//! address, and not too often for each host. While a host is away, its keys of up to a day ago do.
//! No database connection is held meanwhile.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use reqwest::Url;
use time::{Duration, OffsetDateTime};
use tokio::{sync::Semaphore, time::timeout};

use super::{
    jwk_set::{KeySet, PublicKey},
    jws::Algorithm,
};
use crate::{
    clock::Clock,
    http::json,
    limits::{Counter, Limits, Policy},
    outbound::{Outbound, freshness},
};

/// The largest key set that is read.
const MAX_BYTES: usize = 64 * 1024;
/// How long one waits for others' fetches to end.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);
/// How old a key set may be at most, when its host is away.
const OLDEST: Duration = Duration::DAY;
/// Between two fetches of one address.
const PAUSE: Duration = Duration::seconds(10);
/// How many addresses are remembered.
const REMEMBERED: usize = 2_000;
/// How many are fetched at a time.
const IN_FLIGHT: usize = 8;
/// Fetches from one host of what has not yielded keys yet.
const HOST: Policy = Policy { name: "host", per_minute: 10, burst: 10 };

/// What came of looking for a key.
pub(crate) enum Found {
    Key(PublicKey),
    /// There is no such key.
    Nothing,
    /// The keys could not be fetched.
    Unreachable,
}

/// Where keys are.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The `jwks_uri`.
    pub(crate) uri: &'a str,
    /// In whose name it is fetched.
    pub(crate) party: &'a str,
}

/// Keys that others publish. Clones share.
#[derive(Clone)]
pub(crate) struct PublishedKeys {
    inner: Arc<Inner>,
}

struct Inner {
    outbound: Outbound,
    clock: Clock,
    /// By who asks and whom.
    hosts: Counter<(String, String)>,
    in_flight: Semaphore,
    published: Mutex<HashMap<String, Arc<Published>>>,
}

/// The keys at one address.
#[derive(Default)]
struct Published {
    /// Held by the one who fetches; others wait for what it finds.
    fetching: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Clone, Default)]
struct State {
    keys: Option<Arc<KeySet>>,
    fetched_at: Option<OffsetDateTime>,
    fresh_until: Option<OffsetDateTime>,
    tried_at: Option<OffsetDateTime>,
}

impl State {
    fn fresh(&self, now: OffsetDateTime) -> Option<&KeySet> {
        self.keys.as_deref().filter(|_| self.fresh_until.is_some_and(|until| until > now))
    }

    /// For when nothing newer can be had.
    fn stale(&self, now: OffsetDateTime) -> Option<&KeySet> {
        self.keys.as_deref().filter(|_| self.fetched_at.is_some_and(|at| now - at < OLDEST))
    }
}

impl PublishedKeys {
    pub(crate) fn new(outbound: &Outbound, limits: &Limits, clock: &Clock) -> Self {
        let inner = Inner {
            outbound: outbound.clone(),
            clock: clock.clone(),
            hosts: limits.counter(HOST),
            in_flight: Semaphore::new(IN_FLIGHT),
            published: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The key for a signature: the one of that name, or the only one that fits.
    pub(crate) async fn find(
        &self,
        place: Place<'_>,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Found {
        let Place { uri, party } = place;
        let published = self.published(uri);
        let find = |set: &KeySet| set.find(kid, algorithm).cloned();
        if let Some(key) = published.state().fresh(self.inner.clock.now()).and_then(find) {
            return Found::Key(key);
        }
        let _turn = published.fetching.lock().await;
        let now = self.inner.clock.now();
        // Somebody else may have fetched them while we waited.
        if let Some(key) = published.state().fresh(now).and_then(find) {
            return Found::Key(key);
        }
        let state = published.state().clone();
        if state.tried_at.is_none_or(|at| now - at >= PAUSE) {
            published.state().tried_at = Some(now);
            // Strangers may name any host as theirs: they share a budget, and not with others.
            let is_new = state.keys.is_none();
            if let Some((keys, life)) = self.fetch(uri, is_new.then_some(party)).await {
                let mut state = published.state();
                state.keys = Some(Arc::new(keys));
                state.fetched_at = Some(now);
                state.fresh_until = Some(now + life);
            }
        }
        match published.state().stale(now) {
            Some(set) => find(set).map_or(Found::Nothing, Found::Key),
            None => Found::Unreachable,
        }
    }

    fn published(&self, uri: &str) -> Arc<Published> {
        let mut all = self.inner.published.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(uri) {
            return Arc::clone(known);
        }
        if all.len() >= REMEMBERED {
            let now = self.inner.clock.now();
            // What is tried right now, or was a moment ago, stays: its pause must not be forgotten.
            all.retain(|_, one| {
                let state = one.state();
                state.fresh(now).is_some() || state.tried_at.is_some_and(|at| now - at < PAUSE)
            });
        }
        if all.len() >= REMEMBERED {
            all.clear();
        }
        Arc::clone(all.entry(uri.to_owned()).or_default())
    }

    /// The key set at an address, and how long it may be kept.
    async fn fetch(&self, uri: &str, party: Option<&str>) -> Option<(KeySet, Duration)> {
        let url = Url::parse(uri).ok()?;
        if let Some(party) = party {
            self.inner.hosts.count(&(party.to_owned(), url.host_str()?.to_owned())).ok()?;
        }
        let _place = timeout(PATIENCE, self.inner.in_flight.acquire()).await.ok()?.ok()?;
        let accept = "application/jwk-set+json, application/json";
        let answer = match self.inner.outbound.read_document(url, accept, MAX_BYTES).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(jwks_uri = uri, %error, "published keys could not be fetched");
                return None;
            }
        };
        let set = (answer.status == 200)
            .then(|| json::parse(&answer.body).ok().as_ref().and_then(KeySet::read))
            .flatten();
        if set.is_none() {
            let status = answer.status;
            tracing::warn!(jwks_uri = uri, status, "what is published is not a key set");
        }
        Some((set?, freshness::life(&answer.headers)))
    }
}

impl Published {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for PublishedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublishedKeys")
    }
}
