//! What is done every now and then: counting, and tidying away.

use time::Duration;

use super::{Stage, Worker, store, store_claim};
use crate::{
    clock::Clock,
    db::{Class, Db, TenantScope},
    fault::Fault,
};

/// How long a job is kept that is over.
const ENDED: Duration = Duration::days(7);
/// How long one that was cancelled is, and a file that nothing refers to.
const CANCELLED: Duration = Duration::hours(24);

impl Worker {
    /// Say how many jobs there are, in the metrics.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn measure(&self) -> Result<(), Fault> {
        let importer = self.importer();
        let mut tx = importer.db.control().await?;
        let counts = store_claim::counts(&mut tx).await?;
        drop(tx);
        let mut oldest = None;
        for stage in Stage::ALL {
            let found = counts.iter().find(|(of, ..)| *of == stage);
            #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 files")]
            let jobs = found.map_or(0.0, |(_, jobs, _)| *jobs as f64);
            metrics::gauge!("callslip_ingest_jobs", "stage" => stage.as_str()).set(jobs);
            let came = found.and_then(|(.., came)| *came).filter(|_| !stage.is_end());
            oldest = [oldest, came].into_iter().flatten().min();
        }
        let age = oldest.map_or(Duration::ZERO, |came| importer.clock.now() - came);
        metrics::gauge!("callslip_ingest_oldest_seconds").set(age.as_seconds_f64().max(0.0));
        Ok(())
    }
}

/// Tidy away jobs that are over, and files that no document and no job has.
///
/// # Errors
/// When the database fails.
pub async fn sweep(db: &Db, clock: &Clock) -> Result<(), Fault> {
    let now = clock.now();
    let before = store::Before { ended: now - ENDED, cancelled: now - CANCELLED };
    let db = db.of(Class::Work);
    let mut tx = db.control().await?;
    let tenants = store::tenants_to_tidy(&mut tx, before).await?;
    drop(tx);
    for tenant in tenants {
        #[expect(clippy::disallowed_methods, reason = "upkeep of what the tenant itself stored")]
        let mut tx = db.tenant(TenantScope::proven(tenant.into())).await?;
        store::tidy(&mut tx, before).await?;
        tx.commit().await?;
    }
    Ok(())
}
