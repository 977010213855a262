//! Documents that came from folders, in Postgres.

use super::sync::Kept;
use crate::{
    db::TenantTx,
    ids::{DocumentId, VectorStoreId},
};

/// The documents whose source is `place` or below it.
pub(super) async fn below(
    tx: &mut TenantTx,
    store: VectorStoreId,
    place: &str,
) -> sqlx::Result<Vec<Kept>> {
    let rows = sqlx::query!(
        "
        select id, source_key, title, content_hash, byte_size
          from documents
         where vector_store_id = $1
           and (source_key = $2 or starts_with(source_key, rtrim($2, '/') || '/'))
         order by source_key
        ",
        store.uuid(),
        place,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Kept {
            id: row.id.into(),
            source_key: row.source_key,
            title: row.title,
            content_hash: row.content_hash,
            byte_size: row.byte_size,
        })
        .collect())
}

/// Remove a document that is still what it was; whether it was.
pub(super) async fn delete(tx: &mut TenantTx, kept: &Kept) -> sqlx::Result<bool> {
    let gone = sqlx::query!(
        "delete from documents where id = $1 and source_key = $2 and content_hash = $3",
        kept.id.uuid(),
        kept.source_key,
        kept.content_hash,
    )
    .execute(tx.conn())
    .await?;
    Ok(gone.rows_affected() == 1)
}

/// Give a document that is still what it was, and what it holds, another source, unless that has
/// one; whether it did.
pub(super) async fn rename(
    tx: &mut TenantTx,
    store: VectorStoreId,
    kept: &Kept,
    key: &str,
) -> sqlx::Result<bool> {
    let renamed = sqlx::query!(
        "
        with renamed as (
          update documents
             set source_key = $4
           where id = $1 and source_key = $2 and content_hash = $3
             and not exists (
                   select from documents
                    where vector_store_id = $5
                      and (source_key = $4 or starts_with(source_key, $4 || '/')))
          returning id),
        held as (
          update documents
             set source_key = $4 || substr(source_key, length($2) + 1)
           where vector_store_id = $5 and starts_with(source_key, $2 || '/')
             and exists (select from renamed))
        select id from renamed
        ",
        kept.id.uuid(),
        kept.source_key,
        kept.content_hash,
        key,
        store.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(renamed.is_some())
}

/// Make a document that was imported, or found in a watched place, the one that a person uploaded: it stays when its file goes.
/// Whether it was not before.
pub(super) async fn adopt(tx: &mut TenantTx, id: DocumentId, key: &str) -> sqlx::Result<bool> {
    let adopted = sqlx::query!(
        "
        update documents set source_key = $2
         where id = $1 and source_key ~ '^(path|watch):' and starts_with($2, 'upload:')
        ",
        id.uuid(),
        key,
    )
    .execute(tx.conn())
    .await?;
    Ok(adopted.rows_affected() == 1)
}
