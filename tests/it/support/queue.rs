//! The queue of files, worked at when a test says so.

use std::time::Duration;

use callslip::{
    audit::Origin,
    db::TenantScope,
    documents::{
        Report, Upload, enqueue,
        ingest::{self, Job, Worker},
    },
    ids::{IngestId, VectorStoreId},
};

use super::TestApp;

impl TestApp {
    /// A worker that does nothing by itself.
    pub fn worker(&self) -> Worker {
        Worker::new(self.parts.importer(), self.app.problems.clone())
    }

    /// Work until nothing waits. What is to be tried again later is: time moves.
    pub async fn drain_ingest(&self) {
        let worker = self.worker();
        loop {
            while worker.run_one().await.unwrap() {}
            let postponed = sqlx::query_scalar!(
                r#"select count(*) as "jobs!" from ingest_jobs
                    where stage not in ('published', 'failed', 'cancelled')
                      and lease_owner is null and run_after > $1"#,
                self.clock.now(),
            );
            if postponed.fetch_one(&self.pool).await.unwrap() == 0 {
                break;
            }
            self.clock.advance(time::Duration::minutes(5));
        }
    }

    /// A job as the tenant sees it.
    pub async fn job(&self, scope: TenantScope, id: IngestId) -> Option<Job> {
        let mut tx = self.db().tenant(scope).await.unwrap();
        ingest::find(&mut tx, id).await.unwrap()
    }

    /// Send a file and have it read; what came of it.
    pub async fn ingest(&self, scope: TenantScope, store: VectorStoreId, upload: Upload) -> Report {
        let sent = enqueue(&self.parts.importer(), scope, store, upload).await.unwrap();
        let id = match sent {
            Ok(id) => id,
            Err(failure) => {
                let mut report = Report::default();
                report.failed.push(failure);
                return report;
            }
        };
        loop {
            self.drain_ingest().await;
            let job = self.job(scope, id).await.unwrap();
            if job.stage.is_end() {
                return job.report;
            }
            // Another one is at it.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// A file that nobody in particular sends.
pub fn file(name: &str, bytes: &[u8]) -> Upload {
    Upload {
        file_name: name.to_owned(),
        content: bytes.to_vec().into(),
        uploaded_by: None,
        origin: Origin::default(),
    }
}
