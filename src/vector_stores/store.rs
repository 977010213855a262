//! Vector stores in Postgres.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Backend, Failure, Models, NameTaken, VectorStore};
use crate::{db::TenantTx, ids::VectorStoreId};

struct StoreRow {
    id: Uuid,
    name: String,
    external_id: Option<String>,
    base_url: Option<String>,
    api_key_hint: Option<String>,
    embedded_by: i16,
    next_embedded_by: Option<i16>,
    is_reranked: bool,
    created_at: OffsetDateTime,
    checked_at: Option<OffsetDateTime>,
    failed_at: Option<OffsetDateTime>,
    failure: Option<String>,
}

impl From<StoreRow> for VectorStore {
    fn from(row: StoreRow) -> Self {
        let backend = row.external_id.map_or(Backend::Builtin, |external_id| Backend::OpenAi {
            external_id,
            base_url: row.base_url.unwrap_or_default(),
            key_hint: row.api_key_hint.unwrap_or_default(),
        });
        Self {
            id: row.id.into(),
            name: row.name,
            backend,
            models: Models { active: row.embedded_by, next: row.next_embedded_by },
            is_reranked: row.is_reranked,
            created_at: row.created_at,
            checked_at: row.checked_at,
            failure: row.failed_at.zip(row.failure).map(|(at, reason)| Failure { at, reason }),
        }
    }
}

/// Every store of the tenant, by name.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut TenantTx) -> sqlx::Result<Vec<VectorStore>> {
    let rows = sqlx::query_as!(
        StoreRow,
        r#"
        select id, name, external_id, base_url, api_key_hint, embedded_by, next_embedded_by,
               created_at, checked_at, failed_at, failure,
               id in (select vector_store_id from rerankers) as "is_reranked!"
          from vector_stores
         order by lower(name), id
        "#
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(VectorStore::from).collect())
}

/// Those of the named stores that the tenant still has, by name; and whether it wants what documents
/// say between marks, of which every answer needs to know.
///
/// # Errors
/// When the database fails.
pub async fn to_ask(
    tx: &mut TenantTx,
    named: &[VectorStoreId],
) -> sqlx::Result<(Vec<VectorStore>, bool)> {
    let named: Vec<Uuid> = named.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query!(
        r#"
        select id, name, external_id, base_url, api_key_hint, embedded_by, next_embedded_by,
               created_at, checked_at, failed_at, failure,
               id in (select vector_store_id from rerankers) as "is_reranked!",
               coalesce((select delimits_text from tenant_connections), false) as "delimits_text!"
          from vector_stores
         where id = any($1)
         order by lower(name), id
        "#,
        &named,
    )
    .fetch_all(tx.conn())
    .await?;
    let delimits_text = rows.iter().any(|row| row.delimits_text);
    let stores = rows.into_iter().map(|row| {
        VectorStore::from(StoreRow {
            id: row.id,
            name: row.name,
            external_id: row.external_id,
            base_url: row.base_url,
            api_key_hint: row.api_key_hint,
            embedded_by: row.embedded_by,
            next_embedded_by: row.next_embedded_by,
            is_reranked: row.is_reranked,
            created_at: row.created_at,
            checked_at: row.checked_at,
            failed_at: row.failed_at,
            failure: row.failure,
        })
    });
    Ok((stores.collect(), delimits_text))
}

/// One store of the tenant.
///
/// # Errors
/// When the database fails.
pub async fn find(tx: &mut TenantTx, id: VectorStoreId) -> sqlx::Result<Option<VectorStore>> {
    let row = sqlx::query_as!(
        StoreRow,
        r#"
        select id, name, external_id, base_url, api_key_hint, embedded_by, next_embedded_by,
               created_at, checked_at, failed_at, failure,
               id in (select vector_store_id from rerankers) as "is_reranked!"
          from vector_stores
         where id = $1
        "#,
        id.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(VectorStore::from))
}

/// The store of this name.
///
/// # Errors
/// When the database fails.
pub async fn find_by_name(tx: &mut TenantTx, name: &str) -> sqlx::Result<Option<VectorStore>> {
    let row = sqlx::query_as!(
        StoreRow,
        r#"
        select id, name, external_id, base_url, api_key_hint, embedded_by, next_embedded_by,
               created_at, checked_at, failed_at, failure,
               id in (select vector_store_id from rerankers) as "is_reranked!"
          from vector_stores
         where name = $1
        "#,
        name,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(VectorStore::from))
}

/// What a store of the openai backend keeps besides its name.
pub(super) struct Outside<'a> {
    pub(super) external_id: &'a str,
    pub(super) base_url: &'a str,
    pub(super) api_key_sealed: &'a [u8],
    pub(super) api_key_hint: &'a str,
}

/// Add a store; `outside` is `None` for the builtin backend.
pub(super) async fn create(
    tx: &mut TenantTx,
    id: VectorStoreId,
    name: &str,
    now: OffsetDateTime,
    outside: Option<Outside<'_>>,
) -> sqlx::Result<Result<VectorStore, NameTaken>> {
    let outside = outside.as_ref();
    let row = sqlx::query_as!(
        StoreRow,
        r#"
        insert into vector_stores (tenant_id, id, name, backend, external_id, base_url,
                                   api_key_sealed, api_key_hint, created_at, checked_at)
        values (current_tenant_id(), $1, $2, $3, $4, $5, $6, $7, $8, $9)
        on conflict on constraint vector_stores_name_key do nothing
        returning id, name, external_id, base_url, api_key_hint, embedded_by, next_embedded_by,
                  created_at, checked_at, failed_at, failure, false as "is_reranked!"
        "#,
        id.uuid(),
        name,
        if outside.is_some() { "openai" } else { "builtin" },
        outside.map(|outside| outside.external_id),
        outside.map(|outside| outside.base_url),
        outside.map(|outside| outside.api_key_sealed),
        outside.map(|outside| outside.api_key_hint),
        now,
        outside.map(|_| now),
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(VectorStore::from).ok_or(NameTaken))
}

/// Remove a store and, for the builtin backend, its documents. `false` when there was none.
///
/// All at once, so that nobody sees a part of it: of ten thousand documents that takes seconds, and
/// somebody may be bringing one in.
///
/// # Errors
/// When the database fails.
pub async fn delete(tx: &mut TenantTx, id: VectorStoreId) -> sqlx::Result<bool> {
    sqlx::query!(
        "select set_config('statement_timeout', '300s', true) as statement,
                set_config('lock_timeout', '20s', true) as lock"
    )
    .fetch_one(tx.conn())
    .await?;
    let done = sqlx::query!("delete from vector_stores where id = $1", id.uuid())
        .execute(tx.conn())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Note that the backend answered. Writes at most once a minute while nothing changes.
///
/// # Errors
/// When the database fails.
pub async fn record_success(
    tx: &mut TenantTx,
    id: VectorStoreId,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        update vector_stores
           set checked_at = $2, failed_at = null, failure = null
         where id = $1
           and (failure is not null or checked_at is null or checked_at < $2::timestamptz - interval '1 minute')
        ",
        id.uuid(),
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Note that the backend did not answer, and why. At most once a minute for one reason.
///
/// # Errors
/// When the database fails.
pub async fn record_failure(
    tx: &mut TenantTx,
    id: VectorStoreId,
    now: OffsetDateTime,
    reason: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        update vector_stores
           set failed_at = $2, failure = left($3, 500)
         where id = $1
           and (failure is distinct from left($3, 500) or failed_at < $2::timestamptz - interval '1 minute')
        ",
        id.uuid(),
        now,
        reason,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A store's key as it is kept, with the version of the data key that sealed it.
pub(super) async fn sealed_key(
    tx: &mut TenantTx,
    id: VectorStoreId,
) -> sqlx::Result<Option<Vec<u8>>> {
    let sealed =
        sqlx::query_scalar!("select api_key_sealed from vector_stores where id = $1", id.uuid())
            .fetch_optional(tx.conn())
            .await?;
    Ok(sealed.flatten())
}
