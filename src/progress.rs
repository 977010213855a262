//! How far work has come, for whoever waits for its end.
//!
//! It goes with the task, like [`crate::deadline`]. Where nobody listens, nothing is said.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// So much of so much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What is done.
    pub done: usize,
    /// What there is to do.
    pub total: usize,
    /// The same in words, for people.
    pub message: String,
}

type Listener = Arc<dyn Fn(Report) + Send + Sync>;

tokio::task_local! {
    static LISTENER: Listener;
}

/// Do this for somebody who wants to hear how far it is.
pub async fn heard_by<T>(
    listener: impl Fn(Report) + Send + Sync + 'static,
    work: impl Future<Output = T>,
) -> T {
    LISTENER.scope(Arc::new(listener), work).await
}

/// Say how far it is, where anybody listens.
pub fn say(report: impl FnOnce() -> Report) {
    let _ = LISTENER.try_with(|listener| listener(report()));
}

/// Do this, and say from time to time how far it is, where that has changed. What is done before
/// it is the first time to say anything is done in silence.
pub async fn during<T>(
    every: Duration,
    so_far: impl Fn() -> Report,
    work: impl Future<Output = T>,
) -> T {
    if LISTENER.try_with(|_| ()).is_err() {
        return work.await;
    }
    let mut work = pin!(work);
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut said = None;
    loop {
        tokio::select! {
            biased;
            outcome = &mut work => return outcome,
            _ = ticks.tick() => {
                let report = so_far();
                if said < Some(report.done) {
                    said = Some(report.done);
                    say(|| report);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn each_step_is_said_once_and_the_end_speaks_for_itself() {
        let (done, step) = (AtomicUsize::new(0), Arc::new(Notify::new()));
        let so_far = || {
            let done = done.load(Ordering::Relaxed);
            Report { done, total: 3, message: format!("{done} of 3") }
        };
        let work = async {
            for _ in 0..3 {
                step.notified().await;
                done.fetch_add(1, Ordering::Relaxed);
            }
            "all"
        };
        let heard = Arc::new(Mutex::new(Vec::new()));
        let listener = {
            let (heard, step) = (Arc::clone(&heard), Arc::clone(&step));
            move |report: Report| {
                heard.lock().unwrap().push(report.message);
                step.notify_one();
            }
        };
        let quick = during(Duration::from_secs(60), so_far, async { "quick" });
        assert_eq!(heard_by(listener.clone(), quick).await, "quick");
        assert!(heard.lock().unwrap().is_empty());
        let slow = during(Duration::from_millis(1), so_far, work);
        assert_eq!(heard_by(listener, slow).await, "all");
        assert_eq!(*heard.lock().unwrap(), ["0 of 3", "1 of 3", "2 of 3"]);
        say(|| unreachable!("nobody listens"));
        assert_eq!(during(Duration::ZERO, so_far, async { 7 }).await, 7);
    }
}
