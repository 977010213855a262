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
/// How many more that strangers named, so that they keep nobody else waiting.
const STRANGERS_IN_FLIGHT: usize = 4;
/// Fetches from one host of what has not yielded keys yet.
const HOST: Policy = Policy { name: "host", per_minute: 10, burst: 10 };

/// What came of looking for a key.
pub(crate) enum Found {
    Key(PublicKey),
    /// There is no such key.
    Nothing,
    /// The keys could not be fetched, or were looked at a moment ago.
    Unreachable,
}

/// Where keys are.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The `jwks_uri`.
    pub(crate) uri: &'a str,
    /// In whose name it is fetched.
    pub(crate) party: &'a str,
    /// Whether anybody may name an address in this way.
    pub(crate) is_strangers: bool,
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
    strangers_in_flight: Semaphore,
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
        // What a clock fetched that was set back since is not fresh.
        let is_fresh = self.fetched_at.is_some_and(|at| at <= now)
            && self.fresh_until.is_some_and(|until| until > now);
        self.keys.as_deref().filter(|_| is_fresh)
    }

    /// For when nothing newer can be had.
    fn stale(&self, now: OffsetDateTime) -> Option<&KeySet> {
        self.keys.as_deref().filter(|_| self.fetched_at.is_some_and(|at| (now - at).abs() < OLDEST))
    }

    /// Whether the address was asked a moment ago, however the clock was set meanwhile.
    fn was_tried(&self, now: OffsetDateTime) -> bool {
        self.tried_at.is_some_and(|at| (now - at).abs() < PAUSE)
    }
}

impl PublishedKeys {
    pub(crate) fn new(outbound: &Outbound, limits: &Limits, clock: &Clock) -> Self {
        let inner = Inner {
            outbound: outbound.clone(),
            clock: clock.clone(),
            hosts: limits.counter(HOST),
            in_flight: Semaphore::new(IN_FLIGHT),
            strangers_in_flight: Semaphore::new(STRANGERS_IN_FLIGHT),
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
        let published = self.published(place.uri);
        let find = |set: &KeySet| set.find(kid, algorithm).cloned();
        let began = self.inner.clock.now();
        if let Some(key) = published.state().fresh(began).and_then(find) {
            return Found::Key(key);
        }
        let _turn = published.fetching.lock().await;
        let now = self.inner.clock.now();
        // Somebody else may have fetched them while we waited.
        if let Some(key) = published.state().fresh(now).and_then(find) {
            return Found::Key(key);
        }
        let is_due = !published.state().was_tried(now);
        if is_due {
            self.renew(&published, place).await;
        }
        let state = published.state();
        // That a key is missing, only a look from after the question tells.
        let has_looked = state.fetched_at.is_some_and(|at| at >= began);
        match state.stale(now).and_then(find) {
            Some(key) => Found::Key(key),
            None if has_looked => Found::Nothing,
            None => Found::Unreachable,
        }
    }

    /// Fetch the keys at an address, where that may be done now.
    async fn renew(&self, published: &Published, place: Place<'_>) {
        let Ok(url) = Url::parse(place.uri) else { return };
        // Strangers may name any host as theirs: they share a budget, and not with others.
        let is_new = published.state().keys.is_none();
        let asked = (place.party.to_owned(), url.host_str().unwrap_or_default().to_owned());
        if is_new && self.inner.hosts.count(&asked).is_err() {
            return;
        }
        let slots = if place.is_strangers {
            &self.inner.strangers_in_flight
        } else {
            &self.inner.in_flight
        };
        let Ok(Ok(_slot)) = timeout(PATIENCE, slots.acquire()).await else { return };
        let fetched = self.fetch(url).await;
        // Not before: who gave up meanwhile has tried nothing.
        let now = self.inner.clock.now();
        let mut state = published.state();
        state.tried_at = Some(now);
        if let Some((keys, life)) = fetched {
            state.keys = Some(Arc::new(keys));
            state.fetched_at = Some(now);
            state.fresh_until = Some(now + life);
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
                Arc::strong_count(one) > 1 || state.fresh(now).is_some() || state.was_tried(now)
            });
        }
        if all.len() >= REMEMBERED {
            all.clear();
        }
        Arc::clone(all.entry(uri.to_owned()).or_default())
    }

    /// The key set at an address, and how long it may be kept.
    async fn fetch(&self, url: Url) -> Option<(KeySet, Duration)> {
        let uri = url.to_string();
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
