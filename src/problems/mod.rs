//! What is wrong with the installation itself, as requests show it: for the log, for the operator,
//! and for the tenants' admins.
//!
//! Strangers cause most sightings, so they are gathered in memory: whoever repeats one costs at
//! most one row and one line of the log a minute, and there is one row for each [`Kind`].

mod kind;
mod seen;
pub mod store;
mod watch;

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use time::{Duration, OffsetDateTime};
use tokio::{sync::Notify, time::timeout};

pub use kind::Kind;
use seen::Sightings;

use crate::{
    clock::{Clock, LEEWAY},
    db::Db,
    fault::Fault,
};

/// How long the database may take.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
/// How long a problem is shown after it was last seen.
const SHOWN: Duration = Duration::DAY;
/// How far this machine's clock may be from the database's before somebody is told.
const CLOCK_TOLD: Duration = Duration::seconds(30);
/// How far before this machine should get no traffic: spec row FX-22.
const CLOCK_READY: Duration = Duration::seconds(60);

/// Something that is wrong.
#[derive(Clone, Debug)]
pub struct Problem {
    /// What.
    pub kind: Kind,
    /// What showed it, cleaned: at most 100 characters of ASCII without controls.
    pub detail: String,
    /// When it was first seen.
    pub first_at: OffsetDateTime,
    /// When it was last seen.
    pub last_at: OffsetDateTime,
    /// How often.
    pub seen: i64,
}

/// Gathers what is wrong. Clones share.
#[derive(Clone)]
pub struct Problems(Arc<Shared>);

struct Shared {
    db: Db,
    clock: Clock,
    sightings: Mutex<Sightings>,
    news: Arc<Notify>,
    /// One writes at a time.
    writing: tokio::sync::Mutex<()>,
    /// How many milliseconds this machine's clock is ahead of the database's.
    ahead: AtomicI64,
}

impl fmt::Debug for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Problems").finish_non_exhaustive()
    }
}

impl Problems {
    /// Begin to gather, and to watch the clock, until the last clone is dropped.
    #[must_use]
    pub fn start(db: &Db, clock: &Clock) -> Self {
        let problems = Self(Arc::new(Shared {
            db: db.clone(),
            clock: clock.clone(),
            sightings: Mutex::default(),
            news: Arc::default(),
            writing: tokio::sync::Mutex::default(),
            ahead: AtomicI64::new(0),
        }));
        watch::spawn(&problems);
        problems
    }

    /// Say that something was seen. Costs a lock and no I/O; `detail` may be anything.
    pub fn record(&self, kind: Kind, detail: &str) {
        let mut sightings = self.0.sightings.lock().unwrap_or_else(PoisonError::into_inner);
        if sightings.add(kind, detail, self.0.clock.now()) {
            drop(sightings);
            self.0.news.notify_one();
        }
    }

    /// Write down what has been seen and not been written yet.
    ///
    /// # Errors
    /// When the database fails; what was seen is written another time.
    pub async fn flush(&self) -> Result<(), Fault> {
        self.write(Sightings::take_all).await
    }

    /// The same, but no kind more often than once a minute.
    async fn write_due(&self) -> Result<(), Fault> {
        let now = self.0.clock.now();
        self.write(|sightings| sightings.take_due(now)).await
    }

    async fn write(
        &self,
        take: impl FnOnce(&mut Sightings) -> Vec<seen::Sighting>,
    ) -> Result<(), Fault> {
        let _turn = self.0.writing.lock().await;
        let taken = take(&mut self.0.sightings.lock().unwrap_or_else(PoisonError::into_inner));
        if taken.is_empty() {
            return Ok(());
        }
        for one in &taken {
            let (kind, detail, seen) = (one.kind.as_str(), one.detail.as_str(), one.seen);
            tracing::warn!(kind, detail, seen, "{} {}", one.kind.what(), one.kind.remedy());
        }
        let written = async {
            let mut tx = self.0.db.control().await?;
            for one in &taken {
                store::record(&mut tx, one.kind, &one.detail, one.at, one.seen).await?;
            }
            tx.commit().await
        };
        let outcome = timeout(PATIENCE, written).await.map_err(Fault::from);
        let outcome = outcome.and_then(|written| Ok(written?));
        if outcome.is_err() {
            let mut sightings = self.0.sightings.lock().unwrap_or_else(PoisonError::into_inner);
            taken.into_iter().for_each(|one| sightings.put_back(one));
        }
        outcome
    }

    /// Compare this machine's clock with the database's.
    ///
    /// # Errors
    /// When the database fails: nothing is known then, and nothing changes.
    pub async fn compare_clocks(&self) -> Result<(), Fault> {
        let mut tx = self.0.db.control().await?;
        let before = self.0.clock.now();
        let there = store::now(&mut tx).await?;
        let took = self.0.clock.now() - before;
        let ahead: Duration = before + took / 2 - there;
        let ahead_ms = i64::try_from(ahead.whole_milliseconds()).unwrap_or(i64::MAX);
        self.0.ahead.store(ahead_ms, Ordering::Relaxed);
        // A slow answer says that much less.
        if ahead.abs() > CLOCK_TOLD + took / 2 {
            let direction = if ahead.is_positive() { "ahead of" } else { "behind" };
            let seconds = ahead.whole_seconds().abs();
            self.record(Kind::Clock, &format!("{seconds} s {direction} the database"));
        }
        Ok(())
    }

    /// Whether this machine's clock is further from the database's than tokens are given leeway.
    #[must_use]
    pub fn clock_differs(&self) -> bool {
        Duration::milliseconds(self.0.ahead.load(Ordering::Relaxed)).abs() > LEEWAY
    }

    /// Whether this machine's clock is too wrong for it to serve.
    #[must_use]
    pub fn clock_is_off(&self) -> bool {
        Duration::milliseconds(self.0.ahead.load(Ordering::Relaxed)).abs() > CLOCK_READY
    }
}
