//! How embedding models are used, in Postgres: what of their budgets, by which node, how well.

use time::{Date, OffsetDateTime};
use uuid::Uuid;

use crate::{db::TenantTx, ids::VectorStoreId};

/// Count tokens that are about to be sent on this day. `false`, and none of them is counted, when
/// they are more than are left.
///
/// # Errors
/// When the database fails.
pub async fn reserve(
    tx: &mut TenantTx,
    (store, id): (VectorStoreId, i16),
    day: Date,
    tokens: i64,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "
        update embedding_models
           set used_on = $3,
               used_tokens = $4 + case when used_on = $3 then used_tokens else 0 end
         where vector_store_id = $1 and id = $2
           and (tokens_per_day is null
                or $4 + case when used_on = $3 then used_tokens else 0 end <= tokens_per_day)
        ",
        store.uuid(),
        id,
        day,
        tokens,
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Count what was sent indeed, where that differs from what was [`reserve`]d.
///
/// # Errors
/// When the database fails.
pub async fn correct(
    tx: &mut TenantTx,
    (store, id): (VectorStoreId, i16),
    day: Date,
    more: i64,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        update embedding_models set used_tokens = greatest(used_tokens + $4, 0)
         where vector_store_id = $1 and id = $2 and used_on = $3
        ",
        store.uuid(),
        id,
        day,
        more,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Be the one node that asks a model for passages, until then. `false` while another one is, or
/// while the model rests.
///
/// # Errors
/// When the database fails.
pub async fn lease(
    tx: &mut TenantTx,
    (store, id): (VectorStoreId, i16),
    node: Uuid,
    (now, until): (OffsetDateTime, OffsetDateTime),
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "
        update embedding_models set leased_by = $3, leased_until = $5
         where vector_store_id = $1 and id = $2
           and (leased_by is null or leased_by = $3 or leased_until <= $4)
           and (rests_until is null or rests_until <= $4)
        ",
        store.uuid(),
        id,
        node,
        now,
        until,
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Leave a model to whoever comes next.
///
/// # Errors
/// When the database fails.
pub async fn release(
    tx: &mut TenantTx,
    (store, id): (VectorStoreId, i16),
    node: Uuid,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        update embedding_models set leased_by = null, leased_until = null
         where vector_store_id = $1 and id = $2 and leased_by = $3
        ",
        store.uuid(),
        id,
        node,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Note that a model answered.
///
/// # Errors
/// When the database fails.
pub async fn record_success(
    tx: &mut TenantTx,
    (store, id): (VectorStoreId, i16),
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        update embedding_models
           set failed_at = null, failure = null, failures = 0, rests_until = null
         where vector_store_id = $1 and id = $2
           and (failed_at is not null or rests_until is not null)
        ",
        store.uuid(),
        id,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Note that a model gave no answer, and why. How often that was so one after the other.
///
/// # Errors
/// When the database fails.
pub async fn record_failure(
    tx: &mut TenantTx,
    (store, id): (VectorStoreId, i16),
    now: OffsetDateTime,
    reason: &str,
) -> sqlx::Result<i16> {
    let failures = sqlx::query_scalar!(
        "
        update embedding_models
           set failed_at = $3, failure = left($4, 500), failures = least(failures + 1, 100)
         where vector_store_id = $1 and id = $2
        returning failures
        ",
        store.uuid(),
        id,
        now,
        reason,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(failures.unwrap_or_default())
}

/// Ask a model for no passages until then.
///
/// # Errors
/// When the database fails.
pub async fn rest(
    tx: &mut TenantTx,
    (store, id): (VectorStoreId, i16),
    until: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        update embedding_models set rests_until = $3
         where vector_store_id = $1 and id = $2
        ",
        store.uuid(),
        id,
        until,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
