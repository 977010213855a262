//! Time as a parameter: the system's, or one that tests move.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use time::{Duration, OffsetDateTime};

/// How far two clocks may differ before somebody's token is refused for it: the same everywhere
/// (spec row J-06).
pub const LEEWAY: Duration = Duration::seconds(30);

/// Where "now" comes from.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// Microseconds that tests have added to the system's time.
    offset: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self { offset: None }
    }

    /// The system's clock, which [`Clock::advance`] can move. All clones move together.
    #[must_use]
    pub fn movable() -> Self {
        Self { offset: Some(Arc::default()) }
    }

    /// The current time in UTC, in whole microseconds: what Postgres can hold.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system")]
    pub fn now(&self) -> OffsetDateTime {
        let offset = self.offset.as_ref().map_or(0, |offset| offset.load(Ordering::Relaxed));
        let now = OffsetDateTime::now_utc() + Duration::microseconds(offset);
        now.replace_nanosecond(now.microsecond() * 1_000).unwrap_or(now)
    }

    /// Move a [`Clock::movable`] one; the system's clock does not move.
    pub fn advance(&self, by: Duration) {
        if let Some(offset) = &self.offset {
            let micros = i64::try_from(by.whole_microseconds()).unwrap_or(i64::MAX);
            offset.fetch_add(micros, Ordering::Relaxed);
        }
    }
}
