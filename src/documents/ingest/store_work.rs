//! Jobs in Postgres, as workers see them. What a worker writes is written under its fence, or not.

use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Claim, Stage};
use crate::{
    db::TenantTx,
    documents::{originals::Kept, report::Report},
    ids::{IngestId, UserId, VectorStoreId},
};

/// What a worker needs to know of a job.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) store: VectorStoreId,
    pub(super) source_key: String,
    pub(super) file_name: String,
    pub(super) media_type: String,
    pub(super) uploaded_by: Option<UserId>,
    pub(super) request: Option<Uuid>,
    pub(super) address: String,
    pub(super) stage: Stage,
    pub(super) attempts: i16,
    pub(super) lost: i16,
    /// None where the job's file, store or document is not the tenant's, or another than the job
    /// says.
    pub(super) kept: Option<Kept>,
}

/// The job, as its tenant sees it; `None` when it is not the claim's any more.
pub(super) async fn work(tx: &mut TenantTx, claim: &Claim) -> sqlx::Result<Option<Work>> {
    let row = sqlx::query!(
        r#"
        select job.vector_store_id, source_key, job.file_name, job.media_type, uploaded_by,
               request_id, address, stage, attempts, lost, job.content_hash, job.byte_size,
               (select original.id
                  from originals original
                  join vector_stores store on store.id = original.vector_store_id
                 where original.id = job.original_id
                   and original.vector_store_id = job.vector_store_id
                   and original.content_hash = job.content_hash
                   and original.byte_size = job.byte_size
                   and original.document_id is null
                   and job.document_id is null
                   and store.backend = 'builtin') as "kept: Uuid"
          from ingest_jobs job
         where job.id = $1 and fence = $2 and lease_owner = $3
        "#,
        claim.job.uuid(),
        claim.fence,
        claim.owner,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| Work {
        store: row.vector_store_id.into(),
        source_key: row.source_key,
        file_name: row.file_name,
        media_type: row.media_type,
        uploaded_by: row.uploaded_by.map(Into::into),
        request: row.request_id,
        address: row.address,
        stage: Stage::named(&row.stage),
        attempts: row.attempts,
        lost: row.lost,
        kept: row.kept.zip(<[u8; 32]>::try_from(row.content_hash).ok()).map(|(id, hash)| Kept {
            id: id.into(),
            hash,
            byte_size: row.byte_size,
        }),
    }))
}

/// Keep a job for longer; with how many documents a file that holds several has become. `false`
/// when it is not the claim's any more.
pub(super) async fn renew(
    tx: &mut TenantTx,
    claim: &Claim,
    documents: i32,
    until: OffsetDateTime,
) -> sqlx::Result<bool> {
    let renewed = sqlx::query!(
        "
        update ingest_jobs
           set leased_until = $4, chunks_done = greatest(chunks_done, $5)
         where id = $1 and fence = $2 and lease_owner = $3
        ",
        claim.job.uuid(),
        claim.fence,
        claim.owner,
        until,
        documents,
    )
    .execute(tx.conn())
    .await?;
    Ok(renewed.rows_affected() == 1)
}

/// A job has come to this stage. Called with its row held.
pub(super) async fn advance(
    tx: &mut TenantTx,
    job: IngestId,
    stage: Stage,
    chunks_total: Option<i32>,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        update ingest_jobs
           set stage = $2, chunks_total = coalesce($3, chunks_total), attempts = 0, lost = 0,
               failure = null, updated_at = $4
         where id = $1
        ",
        job.uuid(),
        stage.as_str(),
        chunks_total,
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// So many more of a job's chunks are embedded. Called with its row held.
pub(super) async fn progress(
    tx: &mut TenantTx,
    job: IngestId,
    chunks: i32,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        update ingest_jobs
           set chunks_done = chunks_done + $2, attempts = 0, lost = 0, updated_at = $3
         where id = $1
        ",
        job.uuid(),
        chunks,
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A job is over. Called with its row held. Its file is the document's from here on, or goes.
pub(super) async fn publish(
    tx: &mut TenantTx,
    job: IngestId,
    report: &Report,
    failures: &Value,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    let count = |number: u64| i32::try_from(number).unwrap_or(i32::MAX);
    let is_one = report.added + report.updated + report.unchanged == 1;
    sqlx::query!(
        "
        update ingest_jobs
           set stage = 'published', document_id = $2, added = $3, updated = $4, unchanged = $5,
               failures = $6, failure = null, original_id = null, lease_owner = null,
               leased_until = null, updated_at = $7
         where id = $1
        ",
        job.uuid(),
        report.last.filter(|_| is_one).map(|id| id.uuid()),
        count(report.added),
        count(report.updated),
        count(report.unchanged),
        failures,
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A job will not become a document. Called with its row held.
pub(super) async fn fail(
    tx: &mut TenantTx,
    job: IngestId,
    reason: &str,
    failures: &Value,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        update ingest_jobs
           set stage = 'failed', failure = left($2, 1000), failures = $3, attempts = attempts + 1,
               lease_owner = null, leased_until = null, updated_at = $4
         where id = $1
        ",
        job.uuid(),
        reason,
        failures,
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A job is refused; `false` when it is not the claim's any more. In one statement: a second one
/// would have Postgres look at the keys again that do not hold.
pub(super) async fn refuse(
    tx: &mut TenantTx,
    claim: &Claim,
    reason: &str,
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    let refused = sqlx::query!(
        "
        update ingest_jobs
           set stage = 'failed', failure = left($4, 1000), attempts = attempts + 1,
               lease_owner = null, leased_until = null, updated_at = $5
         where id = $1 and fence = $2 and lease_owner = $3
        ",
        claim.job.uuid(),
        claim.fence,
        claim.owner,
        reason,
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(refused.rows_affected() == 1)
}

/// A job is tried again, not before `run_after`. Called with its row held.
pub(super) async fn postpone(
    tx: &mut TenantTx,
    job: IngestId,
    (reason, attempts): (&str, i16),
    run_after: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        update ingest_jobs
           set failure = left($2, 1000), attempts = $3, run_after = $4, lost = 0,
               lease_owner = null, leased_until = null
         where id = $1
        ",
        job.uuid(),
        reason,
        attempts,
        run_after,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
