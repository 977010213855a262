//! When whoever waits for an answer gives up.
//!
//! It goes with the task, so that every statement and every call to the outside that is made on the
//! way ends with it. A task that is spawned has none: what outlives its request is bounded by the
//! database's own limits.

use std::time::Duration;

use tokio::time::{Instant, error::Elapsed, timeout_at};

/// How long an answer may take. Assistants give up after about a minute.
pub const ANSWER: Duration = Duration::from_secs(30);

tokio::task_local! {
    static UNTIL: Instant;
}

/// Do this for somebody who waits until then, or no longer than was said before.
pub async fn until<T>(until: Instant, work: impl Future<Output = T>) -> T {
    UNTIL.scope(earlier(until), work).await
}

/// The same, and give up when the time comes.
///
/// # Errors
/// When it came.
pub async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, Elapsed> {
    let until = earlier(Instant::now() + limit);
    timeout_at(until, UNTIL.scope(until, work)).await
}

/// How much is left, where anybody waits.
#[must_use]
pub fn left() -> Option<Duration> {
    UNTIL.try_with(|until| until.saturating_duration_since(Instant::now())).ok()
}

/// As long as this, or as is left.
#[must_use]
pub fn at_most(limit: Duration) -> Duration {
    left().map_or(limit, |left| left.min(limit))
}

fn earlier(until: Instant) -> Instant {
    UNTIL.try_with(|outer| until.min(*outer)).unwrap_or(until)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn an_inner_deadline_is_never_later_and_a_spawned_task_has_none() {
        assert_eq!((left(), at_most(SECOND)), (None, SECOND));
        let inner = within(2 * SECOND, async {
            let inner = within(9 * SECOND, async { left() }).await.unwrap();
            let shorter = until(Instant::now() + SECOND, async { left() }).await;
            (inner.unwrap(), shorter.unwrap(), tokio::spawn(async { left() }).await.unwrap())
        });
        let (inner, shorter, spawned) = inner.await.unwrap();
        assert!(inner > SECOND && inner <= 2 * SECOND && shorter <= SECOND && spawned.is_none());
        let late = within(Duration::ZERO, within(9 * SECOND, std::future::pending::<()>()));
        assert!(late.await.is_ok_and(|inner| inner.is_err()), "the inner one is told first");
    }
}
