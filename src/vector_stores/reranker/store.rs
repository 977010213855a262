//! Rerankers in Postgres.

use time::OffsetDateTime;

use super::Reranker;
use crate::{db::TenantTx, ids::VectorStoreId, vector_stores::Failure};

/// A store's reranker; `None` for most.
///
/// # Errors
/// When the database fails.
pub async fn find(tx: &mut TenantTx, store: VectorStoreId) -> sqlx::Result<Option<Reranker>> {
    let row = sqlx::query!(
        "
        select base_url, model, api_key_hint, failed_at, failure
          from rerankers
         where vector_store_id = $1
        ",
        store.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| Reranker {
        base_url: row.base_url,
        model: row.model,
        key_hint: row.api_key_hint,
        failure: row.failed_at.zip(row.failure).map(|(at, reason)| Failure { at, reason }),
    }))
}

/// Keep a store's reranker, in place of the one before. `false` when the store is gone.
pub(super) async fn save(
    tx: &mut TenantTx,
    store: VectorStoreId,
    reranker: &Reranker,
    api_key_sealed: Option<&[u8]>,
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "
        insert into rerankers (tenant_id, vector_store_id, base_url, model, api_key_sealed,
                               api_key_hint, created_at)
        select tenant_id, id, $2, $3, $4, $5, $6
          from vector_stores
         where id = $1 and backend = 'builtin'
           for key share
        on conflict (tenant_id, vector_store_id)
        do update set base_url = excluded.base_url, model = excluded.model,
                      api_key_sealed = excluded.api_key_sealed,
                      api_key_hint = excluded.api_key_hint, created_at = excluded.created_at,
                      failed_at = null, failure = null
        ",
        store.uuid(),
        reranker.base_url,
        reranker.model,
        api_key_sealed,
        reranker.key_hint,
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Forget a store's reranker and its key. `false` when there was none.
pub(super) async fn remove(tx: &mut TenantTx, store: VectorStoreId) -> sqlx::Result<bool> {
    let done = sqlx::query!("delete from rerankers where vector_store_id = $1", store.uuid())
        .execute(tx.conn())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Note that it gave no order, and why.
///
/// # Errors
/// When the database fails.
pub async fn record_failure(
    tx: &mut TenantTx,
    store: VectorStoreId,
    now: OffsetDateTime,
    reason: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update rerankers set failed_at = $2, failure = left($3, 500) where vector_store_id = $1",
        store.uuid(),
        now,
        reason,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Note that it works again.
///
/// # Errors
/// When the database fails.
pub async fn record_success(tx: &mut TenantTx, store: VectorStoreId) -> sqlx::Result<()> {
    sqlx::query!(
        "update rerankers set failed_at = null, failure = null where vector_store_id = $1",
        store.uuid(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Its key as it is kept.
pub(in crate::vector_stores) async fn sealed_key(
    tx: &mut TenantTx,
    store: VectorStoreId,
) -> sqlx::Result<Option<Vec<u8>>> {
    let sealed = sqlx::query_scalar!(
        "select api_key_sealed from rerankers where vector_store_id = $1",
        store.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(sealed.flatten())
}
