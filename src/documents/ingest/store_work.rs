//! Jobs in Postgres, as workers see them. What a worker writes is written under its fence, or not.

use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Claim, Stage};
use crate::{
    db::{ControlTx, TenantTx},
    documents::{importer::Report, originals::Kept},
    ids::{IngestId, TenantId, UserId, VectorStoreId},
};

/// A job that was claimed.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) tenant: TenantId,
    pub(super) job: IngestId,
    pub(super) fence: i64,
}

/// Claims are made one after the other, in all nodes, so that tenants' shares are counted right.
pub(super) async fn take_turn(tx: &mut ControlTx) -> sqlx::Result<()> {
    sqlx::query!(r#"select pg_advisory_xact_lock(hashtextextended('ingest', 2)) as "turn: ()""#)
        .fetch_one(tx.conn())
        .await?;
    Ok(())
}

/// Claim the job whose turn it is: of the tenants that have the fewest at work, and not as many as
/// they may, the one that was served longest ago; and of its jobs the oldest, but none before an
/// earlier one of the same source. `None` when nothing waits.
pub(super) async fn claim(
    tx: &mut ControlTx,
    owner: Uuid,
    most_of_one_tenant: i64,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> sqlx::Result<Option<Claimed>> {
    sqlx::query_as!(
        Claimed,
        r#"
        with busy as (
          select tenant_id, count(*) as jobs
            from ingest_jobs
           where leased_until > $3
           group by tenant_id
        ), waits as (
          select distinct tenant_id
            from ingest_jobs
           where stage in ('received', 'extracted', 'chunked', 'embedded')
        ), next as (
          select waits.tenant_id, job.id, coalesce(busy.jobs, 0) as jobs, job.run_after,
                 (select max(claimed_at) from ingest_jobs served
                   where served.tenant_id = waits.tenant_id) as served_at
            from waits
            left join busy using (tenant_id)
           cross join lateral (
             select id, run_after
               from ingest_jobs job
              where job.tenant_id = waits.tenant_id
                and stage in ('received', 'extracted', 'chunked', 'embedded')
                and run_after <= $3
                and (leased_until is null or leased_until <= $3)
                and not exists (
                  select from ingest_jobs earlier
                   where earlier.tenant_id = job.tenant_id
                     and earlier.vector_store_id = job.vector_store_id
                     and earlier.source_number = job.source_number
                     and earlier.id < job.id
                     and earlier.stage in ('received', 'extracted', 'chunked', 'embedded'))
              order by id
              limit 3
           ) job
           where coalesce(busy.jobs, 0) < $2
        ), chosen as (
          select job.tenant_id, job.id
            from ingest_jobs job
            join next on (next.tenant_id, next.id) = (job.tenant_id, job.id)
           order by next.jobs, next.served_at nulls first, next.run_after, next.id
           limit 1
             for update of job skip locked
        )
        update ingest_jobs job
           set lease_owner = $1, leased_until = $4, claimed_at = $3, fence = fence + 1,
               lost = lost + (lease_owner is not null)::integer
          from chosen
         where (job.tenant_id, job.id) = (chosen.tenant_id, chosen.id)
        returning job.tenant_id as "tenant: TenantId", job.id as "job: IngestId", fence
        "#,
        owner,
        most_of_one_tenant,
        now,
        until,
    )
    .fetch_optional(tx.conn())
    .await
}

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

/// Give back what a process had claimed that stops.
pub(super) async fn give_back(tx: &mut ControlTx, owner: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        "update ingest_jobs set lease_owner = null, leased_until = null where lease_owner = $1",
        owner,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// How many jobs there are in each stage, and when the oldest came that is not over.
pub(super) async fn counts(
    tx: &mut ControlTx,
) -> sqlx::Result<Vec<(Stage, i64, Option<OffsetDateTime>)>> {
    let rows = sqlx::query!(
        r#"
        select stage, count(*) as "jobs!", min(created_at) as oldest
          from ingest_jobs
         group by stage
        "#
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (Stage::named(&row.stage), row.jobs, row.oldest)).collect())
}
