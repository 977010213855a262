//! The task that writes down what was seen, and looks at the clock every minute.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, timeout, timeout_at};

use super::{PATIENCE, Problems};

const EVERY: Duration = Duration::from_secs(60);

/// Runs until the last handle is dropped.
pub(super) fn spawn(problems: &Problems) {
    let (shared, news) = (Arc::downgrade(&problems.0), Arc::clone(&problems.0.news));
    tokio::spawn(async move {
        let mut next = Instant::now() + EVERY;
        loop {
            let is_time = timeout_at(next, news.notified()).await.is_err();
            let Some(problems) = shared.upgrade().map(Problems) else { return };
            if is_time {
                next = Instant::now() + EVERY;
                let compared = timeout(PATIENCE, problems.compare_clocks()).await;
                if let Ok(Err(fault)) = compared {
                    fault.log();
                }
            }
            if let Err(fault) = problems.write_due().await {
                fault.log();
            }
        }
    });
}
