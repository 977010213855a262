//! Reads documents from their hosts: few at a time, each once for everybody who waits for it.

use std::{
    collections::HashMap,
    fmt,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration as Seconds,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use reqwest::header::{self, HeaderMap, HeaderValue};
use time::{Duration, OffsetDateTime};
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

use super::{
    document::{self, Unusable},
    location::Location,
    pinned,
    store::{self, Life},
};
use crate::{
    clock::Clock,
    db::Db,
    fault::Fault,
    ids::UserId,
    limits::{Counter, Limits, Policy},
    oauth::client::Client,
    outbound::{self, Outbound, freshness},
};

/// The largest document that is read: the draft's "Maximum Response Size".
const LARGEST: usize = 5 * 1024;
/// How long one waits for a slot.
const PATIENCE: Seconds = Seconds::from_secs(5);
/// At once.
const SLOTS: usize = 8;
/// Of them for the well-known assistants alone, so that nobody can keep them out.
const KEPT: usize = 2;
/// At once for strangers.
const STRANGERS_SLOTS: usize = 2;
/// How long a failure is remembered.
const REGRET: Duration = Duration::minutes(1);

/// One member: hardly anybody connects more new apps at once.
const MEMBER: Policy = Policy { name: "client documents of one user", per_minute: 4, burst: 4 };
/// One network of strangers.
const NETWORK: Policy = Policy { name: "client documents of one network", per_minute: 5, burst: 5 };
/// In any minute no more than ten of one host for members: four at once, and four while they are
/// paid back …
const HOST: Policy = Policy { name: "document host", per_minute: 4, burst: 4 };
/// … and two for strangers.
const STRANGERS_HOST: Policy = Policy { name: "document host", per_minute: 1, burst: 1 };
/// In all. The well-known assistants do not count here, so that nobody can keep them out.
const ALL: Policy = Policy { name: "client documents", per_minute: 60, burst: 60 };
const STRANGERS_ALL: Policy = Policy { name: "client documents", per_minute: 20, burst: 20 };

/// In whose name a document is read. Strangers use up nothing of what members have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::oauth) enum Behalf {
    /// Somebody who has signed in.
    Member(UserId),
    /// Whoever calls from this network.
    Stranger(IpAddr),
}

/// What came of reading a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Landed {
    /// It is kept.
    Stored,
    /// It makes no client.
    Unusable(Unusable),
    /// It could not be kept; logged.
    Faulted,
}

/// Reads documents. Clones share.
#[derive(Clone)]
pub(in crate::oauth) struct Reader(Arc<Inner>);

struct Inner {
    db: Db,
    clock: Clock,
    outbound: Outbound,
    members: Budget<UserId>,
    strangers: Budget<IpAddr>,
    slots: Semaphore,
    /// Asked for before a slot, by everybody but the well-known.
    others: Semaphore,
    /// Asked for before that, by strangers.
    strangers_slots: Semaphore,
    state: Mutex<State>,
}

/// How much may be read: in one name, of one host, and in all.
struct Budget<K: Clone + Eq + Hash> {
    in_one_name: Counter<K>,
    by_host: Counter<String>,
    in_all: Counter<()>,
}

impl<K: Clone + Eq + Hash> Budget<K> {
    /// Whoever has used up their own takes nothing from anybody.
    fn admits(&self, name: &K, location: &Location) -> bool {
        self.in_one_name.count(name).is_ok()
            && self.by_host.count(&location.host().to_owned()).is_ok()
            && (pinned::is_well_known(location) || self.in_all.count(&()).is_ok())
    }
}

#[derive(Default)]
struct State {
    flights: HashMap<String, Shared<BoxFuture<'static, Landed>>>,
    failures: HashMap<String, (Unusable, OffsetDateTime)>,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

impl Reader {
    pub(in crate::oauth) fn new(db: Db, clock: Clock, outbound: Outbound, limits: &Limits) -> Self {
        Self(Arc::new(Inner {
            db,
            clock,
            outbound,
            members: Budget {
                in_one_name: limits.counter(MEMBER),
                by_host: limits.counter(HOST),
                in_all: limits.counter(ALL),
            },
            strangers: Budget {
                in_one_name: limits.counter(NETWORK),
                by_host: limits.counter(STRANGERS_HOST),
                in_all: limits.counter(STRANGERS_ALL),
            },
            slots: Semaphore::new(SLOTS),
            others: Semaphore::new(SLOTS - KEPT),
            strangers_slots: Semaphore::new(STRANGERS_SLOTS),
            state: Mutex::default(),
        }))
    }

    /// Read the document, or wait for whoever is reading it. What failed a moment ago fails again
    /// unread.
    pub(super) async fn fetch(&self, location: &Location, behalf: Behalf) -> Landed {
        let flight = {
            let mut state = self.0.state();
            if let Some(why) = state.failed_lately(location.as_str(), self.0.clock.now()) {
                return Landed::Unusable(why);
            }
            match state.flights.get(location.as_str()) {
                Some(flight) => flight.clone(),
                // Whoever waits for another one's flight has no part in its cost.
                None if !self.0.admits(location, behalf) => {
                    return Landed::Unusable(Unusable::Busy);
                }
                None => {
                    let flight = self.depart(location.clone(), behalf);
                    state.flights.insert(location.as_str().to_owned(), flight.clone());
                    flight
                }
            }
        };
        flight.await
    }

    /// In a task of its own: whoever asked first may leave, and the others still wait.
    fn depart(&self, location: Location, behalf: Behalf) -> Shared<BoxFuture<'static, Landed>> {
        let inner = Arc::clone(&self.0);
        let task = tokio::spawn(async move {
            let _arrival = Arrival { inner: Arc::clone(&inner), url: location.as_str().to_owned() };
            // Somebody may have landed since this one was found missing.
            if inner.is_at_hand(&location).await {
                return Landed::Stored;
            }
            match inner.read(&location, behalf).await {
                Err(why) => {
                    inner.remember(&location, why);
                    Landed::Unusable(why)
                }
                Ok((client, life)) => match inner.keep(&client, life).await {
                    Ok(()) => Landed::Stored,
                    Err(fault) => {
                        fault.log();
                        Landed::Faulted
                    }
                },
            }
        });
        async move { task.await.unwrap_or(Landed::Faulted) }.boxed().shared()
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn is_at_hand(&self, location: &Location) -> bool {
        let Ok(mut tx) = self.db.control().await else { return false };
        let known = store::find(&mut tx, location.as_str()).await;
        known.is_ok_and(|known| known.is_some_and(|known| known.is_fresh(self.clock.now())))
    }

    fn admits(&self, location: &Location, behalf: Behalf) -> bool {
        let admitted = match behalf {
            Behalf::Member(user) => self.members.admits(&user, location),
            Behalf::Stranger(network) => self.strangers.admits(&network, location),
        };
        if !admitted {
            tracing::info!(client_id = location.as_str(), ?behalf, "client document not read");
        }
        admitted
    }

    /// Permission to read, for as long as it is held.
    async fn slot(
        &self,
        location: &Location,
        behalf: Behalf,
    ) -> Option<[Option<SemaphorePermit<'_>>; 3]> {
        let slots = async {
            let is_other = !pinned::is_well_known(location);
            let is_strangers = is_other && matches!(behalf, Behalf::Stranger(_));
            Ok::<_, AcquireError>([
                if is_strangers { Some(self.strangers_slots.acquire().await?) } else { None },
                if is_other { Some(self.others.acquire().await?) } else { None },
                Some(self.slots.acquire().await?),
            ])
        };
        tokio::time::timeout(PATIENCE, slots).await.ok()?.ok()
    }

    async fn read(
        &self,
        location: &Location,
        behalf: Behalf,
    ) -> Result<(Client, Duration), Unusable> {
        let _slot = self.slot(location, behalf).await.ok_or(Unusable::Busy)?;
        let url = location.url().clone();
        let answer = self.outbound.read_document(url, "application/json", LARGEST).await;
        let answer = answer.map_err(reason)?;
        match answer.status {
            200 => {}
            404 | 410 => return Err(Unusable::Gone),
            _ => return Err(Unusable::Silent),
        }
        if !is_json(&answer.headers) {
            return Err(Unusable::NotJson);
        }
        let client = document::understand(location, &answer.body)?;
        Ok((client, freshness::life(&answer.headers)))
    }

    async fn keep(&self, client: &Client, life: Duration) -> Result<(), Fault> {
        let now = self.clock.now();
        let mut tx = self.db.control().await?;
        store::keep(&mut tx, client, Life { now, fetched_at: now, fresh_until: now + life })
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Limits have a memory of their own.
    fn remember(&self, location: &Location, why: Unusable) {
        tracing::info!(client_id = location.as_str(), ?why, "client document not usable");
        if why != Unusable::Busy {
            let until = self.clock.now() + REGRET;
            self.state().failures.insert(location.as_str().to_owned(), (why, until));
        }
    }
}

impl State {
    fn failed_lately(&mut self, url: &str, now: OffsetDateTime) -> Option<Unusable> {
        // Nor what a clock remembered that was set back since.
        self.failures.retain(|_, (_, until)| *until > now && *until <= now + REGRET);
        self.failures.get(url).map(|(why, _)| *why)
    }
}

/// Takes the flight off the board, however it ended.
struct Arrival {
    inner: Arc<Inner>,
    url: String,
}

impl Drop for Arrival {
    fn drop(&mut self) {
        self.inner.state().flights.remove(&self.url);
    }
}

const fn reason(error: outbound::Error) -> Unusable {
    match error {
        outbound::Error::BadUrl => Unusable::Address,
        outbound::Error::NotPublic => Unusable::NotPublic,
        outbound::Error::TooLarge => Unusable::TooLarge,
        outbound::Error::Redirect => Unusable::Redirect,
        outbound::Error::Unreachable | outbound::Error::Timeout | outbound::Error::Broken => {
            Unusable::Silent
        }
    }
}

/// `application/json`, or anything that says that it is JSON inside (RFC 6839).
fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(value)) = headers.get(header::CONTENT_TYPE).map(HeaderValue::to_str) else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}
