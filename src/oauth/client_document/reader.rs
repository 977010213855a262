//! Reads documents from their hosts: few at a time, each once for everybody who waits for it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration as Seconds,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use reqwest::header::{self, HeaderMap, HeaderValue};
use time::{Duration, OffsetDateTime};
use tokio::sync::Semaphore;

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
/// How long a failure is remembered.
const REGRET: Duration = Duration::minutes(1);

/// In any minute no more than ten of one host: five at once, and five while they are paid back.
const HOST: Policy = Policy { name: "document host", per_minute: 5, burst: 5 };
/// In all. The well-known assistants do not count here, so that nobody can keep them out.
const ALL: Policy = Policy { name: "client documents", per_minute: 60, burst: 60 };

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
    by_host: Counter<String>,
    in_all: Counter<()>,
    slots: Semaphore,
    state: Mutex<State>,
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
            by_host: limits.counter(HOST),
            in_all: limits.counter(ALL),
            slots: Semaphore::new(SLOTS),
            state: Mutex::default(),
        }))
    }

    /// Read the document, or wait for whoever is reading it. What failed a moment ago fails again
    /// unread.
    pub(super) async fn fetch(&self, location: &Location) -> Landed {
        let flight = {
            let mut state = self.0.state();
            if let Some(why) = state.failed_lately(location.as_str(), self.0.clock.now()) {
                return Landed::Unusable(why);
            }
            match state.flights.get(location.as_str()) {
                Some(flight) => flight.clone(),
                None => {
                    let flight = self.depart(location.clone());
                    state.flights.insert(location.as_str().to_owned(), flight.clone());
                    flight
                }
            }
        };
        flight.await
    }

    /// In a task of its own: whoever asked first may leave, and the others still wait.
    fn depart(&self, location: Location) -> Shared<BoxFuture<'static, Landed>> {
        let inner = Arc::clone(&self.0);
        let task = tokio::spawn(async move {
            let _arrival = Arrival { inner: Arc::clone(&inner), url: location.as_str().to_owned() };
            // Somebody may have landed since this one was found missing.
            if inner.is_at_hand(&location).await {
                return Landed::Stored;
            }
            match inner.read(&location).await {
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

    async fn read(&self, location: &Location) -> Result<(Client, Duration), Unusable> {
        if self.by_host.count(&location.host().to_owned()).is_err()
            || (!pinned::is_well_known(location) && self.in_all.count(&()).is_err())
        {
            return Err(Unusable::Busy);
        }
        let Ok(Ok(_slot)) = tokio::time::timeout(PATIENCE, self.slots.acquire()).await else {
            return Err(Unusable::Busy);
        };
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
