//! What wakes workers of this process when a file comes, and whoever waits for one when it is done.
//! Other nodes look every now and then.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use super::{Job, store};
use crate::{
    db::{Db, TenantScope},
    ids::IngestId,
};

/// How long what another node does may stay unheard.
const LOOKS_EVERY: Duration = Duration::from_millis(250);

/// Clones ring together.
#[derive(Clone, Debug, Default)]
pub struct Bell(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    came: Notify,
    ended: Notify,
    lanes: AtomicUsize,
}

impl Bell {
    /// Something waits.
    pub fn ring(&self) {
        self.0.came.notify_waiters();
    }

    /// Resolves when something comes after this was called.
    pub(super) fn rung(&self) -> impl Future<Output = ()> + '_ {
        self.0.came.notified()
    }

    /// So many lanes of workers run in this process.
    pub(super) fn run(&self, lanes: usize) {
        self.0.lanes.store(lanes, Ordering::Relaxed);
    }

    /// Something is over.
    pub fn end(&self) {
        self.0.ended.notify_waiters();
    }

    /// Wait until these are over, or for this long; where no worker runs, not at all. How far they
    /// are then; those that are gone meanwhile are left out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn ended(
        &self,
        db: &Db,
        scope: TenantScope,
        jobs: &[IngestId],
        patience: Duration,
    ) -> sqlx::Result<Vec<Job>> {
        let until = Instant::now() + patience;
        loop {
            let ended = self.0.ended.notified();
            let mut tx = db.tenant(scope).await?;
            let mut found = Vec::new();
            for job in jobs {
                found.extend(store::find(&mut tx, *job).await?);
            }
            drop(tx);
            let is_idle = self.0.lanes.load(Ordering::Relaxed) == 0;
            let is_over = found.iter().all(|job| job.stage.is_end());
            if is_over || is_idle || Instant::now() >= until {
                return Ok(found);
            }
            let _ = timeout(LOOKS_EVERY.min(until - Instant::now()), ended).await;
        }
    }
}
