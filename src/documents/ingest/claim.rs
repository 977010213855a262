//! Leave to work at a job, for as long as the fence says so.

use std::sync::atomic::{AtomicI32, Ordering};

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::store_work;
use crate::{
    db::{TenantScope, TenantTx},
    fault::Fault,
    ids::IngestId,
};

/// How long a job stays with a worker that is not heard of.
pub(super) const LEASE: Duration = Duration::seconds(30);

/// A job that somebody works at.
#[derive(Debug)]
pub struct Claim {
    pub(super) scope: TenantScope,
    pub(super) job: IngestId,
    pub(super) owner: Uuid,
    pub(super) fence: i64,
    /// How many documents of a file that holds several are there.
    documents: AtomicI32,
}

/// The job went to somebody else, or somebody cancelled it.
#[derive(Debug, thiserror::Error)]
#[error("the job is another worker's by now, or was cancelled")]
pub(super) struct Lost;

impl Claim {
    pub(super) const fn new(scope: TenantScope, job: IngestId, owner: Uuid, fence: i64) -> Self {
        Self { scope, job, owner, fence, documents: AtomicI32::new(0) }
    }

    /// The job.
    #[must_use]
    pub const fn job(&self) -> IngestId {
        self.job
    }

    /// See that the job is still ours, and hold on to it until the transaction is over.
    pub(in crate::documents) async fn require(
        &self,
        tx: &mut TenantTx,
        now: OffsetDateTime,
    ) -> Result<(), Fault> {
        if store_work::renew(tx, self, self.documents(), now + LEASE).await? {
            Ok(())
        } else {
            Err(Lost.into())
        }
    }

    /// Another document of the file is there.
    pub(in crate::documents) fn count_document(&self) {
        self.documents.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn documents(&self) -> i32 {
        self.documents.load(Ordering::Relaxed)
    }
}
