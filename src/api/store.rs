//! Idempotency keys in Postgres.

use time::{Duration, OffsetDateTime};

use crate::{
    db::{ControlTx, TenantTx},
    ids::{IngestId, VectorStoreId},
};

/// How long a key means the same file.
const KEPT: Duration = Duration::days(1);

/// A file that was sent under a key.
pub(super) struct Attempt {
    pub(super) request_hash: Vec<u8>,
    pub(super) job: IngestId,
}

/// What was sent under a client's key. Others who ask the same wait until the transaction ends.
pub(super) async fn find(
    tx: &mut TenantTx,
    (client_id, key): (&str, &str),
) -> sqlx::Result<Option<Attempt>> {
    let tenant = tx.scope().tenant_id();
    sqlx::query!(
        r#"select pg_advisory_xact_lock(hashtextextended($1::text, 3)) as "attempt: ()""#,
        format!("{tenant}/{client_id}/{key}"),
    )
    .fetch_one(tx.conn())
    .await?;
    sqlx::query_as!(
        Attempt,
        r#"
        select request_hash, job_id as "job: IngestId"
          from api_uploads
         where client_id = $1 and idempotency_key = $2
        "#,
        client_id,
        key,
    )
    .fetch_optional(tx.conn())
    .await
}

/// Remember it.
pub(super) async fn insert(
    tx: &mut TenantTx,
    (client_id, key): (&str, &str),
    (store, request_hash, job): (VectorStoreId, &[u8; 32], IngestId),
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        insert into api_uploads (tenant_id, client_id, idempotency_key, vector_store_id,
                                 request_hash, job_id, created_at)
        values (current_tenant_id(), $1, $2, $3, $4, $5, $6)
        ",
        client_id,
        key,
        store.uuid(),
        request_hash.as_slice(),
        job.uuid(),
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Forget the keys of more than a day ago.
///
/// # Errors
/// When the database fails.
pub async fn forget_old(tx: &mut ControlTx, now: OffsetDateTime) -> sqlx::Result<()> {
    sqlx::query!("delete from api_uploads where created_at < $1", now - KEPT)
        .execute(tx.conn())
        .await?;
    Ok(())
}
