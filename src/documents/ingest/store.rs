//! Jobs in Postgres, as people see them.

use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Job, Of, Stage};
use crate::{
    audit::Origin,
    db::TenantTx,
    documents::{
        originals::Original,
        report::{Report, SourceFailure},
    },
    ids::{IngestId, OriginalId, UserId},
};

/// A file that has come.
pub(super) struct New<'a> {
    pub(super) original: OriginalId,
    pub(super) source_key: &'a str,
    pub(super) file: &'a Original<'a>,
    pub(super) uploaded_by: Option<UserId>,
    pub(super) origin: &'a Origin,
}

/// A job for it.
pub(super) async fn insert(
    tx: &mut TenantTx,
    new: &New<'_>,
    now: OffsetDateTime,
) -> sqlx::Result<IngestId> {
    let id = IngestId::new();
    sqlx::query!(
        "
        insert into ingest_jobs (tenant_id, id, vector_store_id, original_id, source_key,
                                 source_number, file_name, media_type, content_hash, byte_size,
                                 uploaded_by, request_id, address, run_after, created_at,
                                 updated_at)
        values (current_tenant_id(), $1, $2, $3, $4, hashtextextended($4, 0), $5, $6, $7, $8, $9,
                $10, $11, $12, $12, $12)
        ",
        id.uuid(),
        new.file.store.uuid(),
        new.original.uuid(),
        new.source_key,
        new.file.name,
        new.file.media.as_str(),
        new.file.hash.as_slice(),
        new.file.bytes.size(),
        new.uploaded_by.map(UserId::uuid),
        new.origin.request,
        new.origin.address,
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(id)
}

struct JobRow {
    id: Uuid,
    vector_store_id: Uuid,
    document_id: Option<Uuid>,
    file_name: String,
    byte_size: i64,
    stage: String,
    chunks_total: i32,
    chunks_done: i32,
    added: i32,
    updated: i32,
    unchanged: i32,
    failure: Option<String>,
    failures: Value,
    attempts: i16,
    is_running: bool,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl From<JobRow> for Job {
    fn from(row: JobRow) -> Self {
        let count = |number: i32| u64::try_from(number).unwrap_or_default();
        let stage = Stage::named(&row.stage);
        let mut failed: Vec<SourceFailure> =
            serde_json::from_value(row.failures).unwrap_or_default();
        if let Some(reason) = row.failure.clone().filter(|_| stage == Stage::Failed)
            && failed.is_empty()
        {
            failed.push(SourceFailure { source: row.file_name.clone(), reason });
        }
        let mut report = Report::default();
        (report.added, report.updated) = (count(row.added), count(row.updated));
        (report.unchanged, report.failed) = (count(row.unchanged), failed);
        report.last = row.document_id.map(Into::into);
        Self {
            id: row.id.into(),
            store: row.vector_store_id.into(),
            file_name: row.file_name,
            byte_size: row.byte_size,
            stage,
            chunks_total: row.chunks_total,
            chunks_done: row.chunks_done,
            attempts: row.attempts,
            is_running: row.is_running,
            failure: row.failure,
            report,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// One of the tenant's.
///
/// # Errors
/// When the database fails.
pub async fn find(tx: &mut TenantTx, id: IngestId) -> sqlx::Result<Option<Job>> {
    let row = sqlx::query_as!(
        JobRow,
        r#"
        select id, vector_store_id, document_id, file_name, byte_size, stage, chunks_total,
               chunks_done, added, updated, unchanged, failure, failures, attempts,
               lease_owner is not null as "is_running!", created_at, updated_at
          from ingest_jobs
         where id = $1
        "#,
        id.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(Job::from))
}

/// The tenant's, newest first, with how many there are of that kind.
///
/// # Errors
/// When the database fails.
pub async fn list(
    tx: &mut TenantTx,
    of: Of,
    offset: i64,
    limit: i64,
) -> sqlx::Result<(Vec<Job>, i64)> {
    let all = of == Of::All;
    let rows = sqlx::query_as!(
        JobRow,
        r#"
        select id, vector_store_id, document_id, file_name, byte_size, stage, chunks_total,
               chunks_done, added, updated, unchanged, failure, failures, attempts,
               lease_owner is not null as "is_running!", created_at, updated_at
          from ingest_jobs
         where $1 or stage not in ('published', 'cancelled')
         order by id desc
        offset $2 limit $3
        "#,
        all,
        offset.max(0),
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    let total = sqlx::query_scalar!(
        r#"select count(*) as "total!" from ingest_jobs
            where $1 or stage not in ('published', 'cancelled')"#,
        all,
    )
    .fetch_one(tx.conn())
    .await?;
    Ok((rows.into_iter().map(Job::from).collect(), total))
}

/// End a job that is not over, with all that was kept for it. Its file's name; `None` when there is
/// no such job.
pub(super) async fn cancel(
    tx: &mut TenantTx,
    id: IngestId,
    now: OffsetDateTime,
) -> sqlx::Result<Option<String>> {
    // Whoever works at it holds a lower fence from here on.
    let cancelled = sqlx::query!(
        r#"
        update ingest_jobs job
           set stage = 'cancelled', fence = fence + 1, lease_owner = null, leased_until = null,
               original_id = null, failure = null, updated_at = $2
          from (select id, original_id from ingest_jobs where id = $1 for update) before
         where job.id = before.id and stage not in ('published', 'cancelled')
        returning file_name, before.original_id as "original_id: Uuid"
        "#,
        id.uuid(),
        now,
    )
    .fetch_optional(tx.conn())
    .await?;
    let Some(cancelled) = cancelled else { return Ok(None) };
    super::store_staged::clear(tx, id).await?;
    if let Some(original) = cancelled.original_id {
        crate::documents::originals::forget(tx, original.into()).await?;
    }
    Ok(Some(cancelled.file_name))
}

/// Let a job that failed wait again. Its file's name.
pub(super) async fn retry(
    tx: &mut TenantTx,
    id: IngestId,
    now: OffsetDateTime,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "
        update ingest_jobs
           set stage = 'received', failure = null, failures = '[]', attempts = 0, lost = 0,
               chunks_total = 0, chunks_done = 0, run_after = $2, updated_at = $2
         where id = $1 and stage = 'failed' and original_id is not null
        returning file_name
        ",
        id.uuid(),
        now,
    )
    .fetch_optional(tx.conn())
    .await
}

/// The tenants with jobs that have been over for so long that nobody asks for them, or with files
/// that nothing refers to.
pub(super) async fn tenants_to_tidy(
    tx: &mut crate::db::ControlTx,
    before: Before,
) -> sqlx::Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"
        select tenant_id as "tenant_id!" from ingest_jobs
         where (stage in ('published', 'failed') and updated_at < $1)
            or (stage = 'cancelled' and updated_at < $2)
        union
        select tenant_id from originals where document_id is null and created_at < $2
        "#,
        before.ended,
        before.cancelled,
    )
    .fetch_all(tx.conn())
    .await
}

/// What is older than this is tidied away.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    pub(super) ended: OffsetDateTime,
    pub(super) cancelled: OffsetDateTime,
}

/// Remove them from one tenant.
pub(super) async fn tidy(tx: &mut TenantTx, before: Before) -> sqlx::Result<()> {
    sqlx::query!(
        "
        delete from ingest_jobs
         where (stage in ('published', 'failed') and updated_at < $1)
            or (stage = 'cancelled' and updated_at < $2)
        ",
        before.ended,
        before.cancelled,
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        "
        delete from originals original
         where document_id is null and created_at < $1
           and not exists (select from ingest_jobs where original_id = original.id)
        ",
        before.cancelled,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
