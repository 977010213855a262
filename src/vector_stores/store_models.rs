//! Embedding models of vector stores in Postgres.

use time::OffsetDateTime;

use super::{
    Failure,
    models::{EmbeddingModel, Endpoint, LOCAL, Models},
};
use crate::{db::TenantTx, ids::VectorStoreId};

/// Which models make a store's vectors; `None` when it is gone.
///
/// # Errors
/// When the database fails.
pub async fn current(tx: &mut TenantTx, store: VectorStoreId) -> sqlx::Result<Option<Models>> {
    sqlx::query_as!(
        Models,
        "select embedded_by as active, next_embedded_by as next from vector_stores where id = $1",
        store.uuid(),
    )
    .fetch_optional(tx.conn())
    .await
}

/// The same, and no [`switch`] until the transaction ends: for who adds vectors.
///
/// # Errors
/// When the database fails.
pub async fn hold(tx: &mut TenantTx, store: VectorStoreId) -> sqlx::Result<Option<Models>> {
    sqlx::query_as!(
        Models,
        "
        select embedded_by as active, next_embedded_by as next
          from vector_stores
         where id = $1
           for share
        ",
        store.uuid(),
    )
    .fetch_optional(tx.conn())
    .await
}

/// One of a store's models.
///
/// # Errors
/// When the database fails.
pub async fn find(
    tx: &mut TenantTx,
    store: VectorStoreId,
    (id, own_dimensions): (i16, usize),
) -> sqlx::Result<Option<EmbeddingModel>> {
    if id == LOCAL {
        return Ok(Some(EmbeddingModel::local(LOCAL, own_dimensions)));
    }
    let row = sqlx::query!(
        "
        select base_url, model, dimensions, asks_dimensions, api_key_hint, tokens_per_day, used_on,
               used_tokens, rests_until, failed_at, failure
          from embedding_models
         where vector_store_id = $1 and id = $2
        ",
        store.uuid(),
        id,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| EmbeddingModel {
        id,
        model: row.model,
        dimensions: usize::try_from(row.dimensions).unwrap_or_default(),
        endpoint: row.base_url.map(|base_url| Endpoint {
            base_url,
            key_hint: row.api_key_hint,
            asks_dimensions: row.asks_dimensions,
            tokens_per_day: row.tokens_per_day,
            used: row.used_on.map(|day| (day, row.used_tokens)),
            rests_until: row.rests_until,
            failure: row.failed_at.zip(row.failure).map(|(at, reason)| Failure { at, reason }),
        }),
    }))
}

/// Take the number of a store's next model, which is in the making from now on. `None` when there is
/// no such builtin store, or another one is in the making.
///
/// # Errors
/// When the database fails.
pub async fn take_number(tx: &mut TenantTx, store: VectorStoreId) -> sqlx::Result<Option<i16>> {
    sqlx::query_scalar!(
        "
        update vector_stores
           set models_made = models_made + 1, next_embedded_by = models_made + 1
         where id = $1 and backend = 'builtin' and next_embedded_by is null
        returning models_made
        ",
        store.uuid(),
    )
    .fetch_optional(tx.conn())
    .await
}

/// Keep what is known of a model.
///
/// # Errors
/// When the database fails.
pub async fn add(
    tx: &mut TenantTx,
    store: VectorStoreId,
    model: &EmbeddingModel,
    api_key_sealed: Option<&[u8]>,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    let endpoint = model.endpoint.as_ref();
    sqlx::query!(
        "
        insert into embedding_models (tenant_id, vector_store_id, id, base_url, model, dimensions,
                                      asks_dimensions, api_key_sealed, api_key_hint,
                                      tokens_per_day, created_at)
        values (current_tenant_id(), $1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        ",
        store.uuid(),
        model.id,
        endpoint.map(|endpoint| endpoint.base_url.as_str()),
        model.model,
        i32::try_from(model.dimensions).unwrap_or(i32::MAX),
        endpoint.is_some_and(|endpoint| endpoint.asks_dimensions),
        api_key_sealed,
        endpoint.and_then(|endpoint| endpoint.key_hint.as_deref()),
        endpoint.and_then(|endpoint| endpoint.tokens_per_day),
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Give a model another key and budget, and ask it again at once.
///
/// # Errors
/// When the database fails.
pub async fn renew(
    tx: &mut TenantTx,
    store: VectorStoreId,
    model: &EmbeddingModel,
    api_key_sealed: Option<&[u8]>,
) -> sqlx::Result<()> {
    let endpoint = model.endpoint.as_ref();
    sqlx::query!(
        "
        update embedding_models
           set api_key_sealed = $3, api_key_hint = $4, tokens_per_day = $5,
               rests_until = null, failed_at = null, failure = null, failures = 0
         where vector_store_id = $1 and id = $2
        ",
        store.uuid(),
        model.id,
        api_key_sealed,
        endpoint.and_then(|endpoint| endpoint.key_hint.as_deref()),
        endpoint.and_then(|endpoint| endpoint.tokens_per_day),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Let search go by the model in the making: in one statement that every later one sees. The caller
/// holds the store's row ([`hold_alone`]), and every vector is there.
///
/// # Errors
/// When the database fails.
pub async fn switch(tx: &mut TenantTx, store: VectorStoreId, next: i16) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "
        update vector_stores set embedded_by = $2, next_embedded_by = null
         where id = $1 and next_embedded_by = $2
        ",
        store.uuid(),
        next,
    )
    .execute(tx.conn())
    .await?;
    forget_keys(tx, store).await?;
    Ok(done.rows_affected() == 1)
}

/// Wait until nobody adds vectors, and let nobody until the transaction ends.
///
/// # Errors
/// When the database fails.
pub async fn hold_alone(tx: &mut TenantTx, store: VectorStoreId) -> sqlx::Result<()> {
    sqlx::query_scalar!(
        r#"select 1 as "held!" from vector_stores where id = $1 for no key update"#,
        store.uuid(),
    )
    .fetch_optional(tx.conn())
    .await
    .map(drop)
}

/// Give up the model in the making. `false` when there was none of this number.
///
/// # Errors
/// When the database fails.
pub async fn cancel(tx: &mut TenantTx, store: VectorStoreId, next: i16) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "update vector_stores set next_embedded_by = null where id = $1 and next_embedded_by = $2",
        store.uuid(),
        next,
    )
    .execute(tx.conn())
    .await?;
    forget_keys(tx, store).await?;
    Ok(done.rows_affected() == 1)
}

/// Models that are not used any more keep their names, and not their keys.
async fn forget_keys(tx: &mut TenantTx, store: VectorStoreId) -> sqlx::Result<()> {
    sqlx::query!(
        "
        update embedding_models model
           set api_key_sealed = null, api_key_hint = null
          from vector_stores store
         where store.id = $1 and model.vector_store_id = $1 and model.api_key_sealed is not null
           and model.id <> store.embedded_by
           and model.id is distinct from store.next_embedded_by
        ",
        store.uuid(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A model's key as it is kept.
pub(super) async fn sealed_key(
    tx: &mut TenantTx,
    store: VectorStoreId,
    id: i16,
) -> sqlx::Result<Option<Vec<u8>>> {
    let sealed = sqlx::query_scalar!(
        "select api_key_sealed from embedding_models where vector_store_id = $1 and id = $2",
        store.uuid(),
        id,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(sealed.flatten())
}
