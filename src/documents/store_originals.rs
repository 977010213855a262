//! Originals in Postgres.

use time::OffsetDateTime;

use super::originals::Original;
use crate::{
    db::TenantTx,
    ids::{DocumentId, OriginalId},
};

/// Its row, without its bytes; `false` when there is no such builtin store.
pub(super) async fn insert(
    tx: &mut TenantTx,
    id: OriginalId,
    file: &Original<'_>,
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    let inserted = sqlx::query!(
        "
        insert into originals (tenant_id, id, vector_store_id, file_name, media_type, content_hash,
                               byte_size, created_at)
        select tenant_id, $1, id, $3, $4, $5, $6, $7
          from vector_stores
         where id = $2 and backend = 'builtin'
           for key share
        ",
        id.uuid(),
        file.store.uuid(),
        file.name,
        file.media.as_str(),
        file.hash.as_slice(),
        file.bytes.size(),
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// One of its parts.
pub(super) async fn insert_part(
    tx: &mut TenantTx,
    id: OriginalId,
    part: i32,
    body: &[u8],
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        insert into original_parts (tenant_id, original_id, part, body)
        values (current_tenant_id(), $1, $2, $3)
        ",
        id.uuid(),
        part,
        body,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// How many bytes it has; `None` when it is gone.
pub(super) async fn size(tx: &mut TenantTx, id: OriginalId) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!("select byte_size from originals where id = $1", id.uuid())
        .fetch_optional(tx.conn())
        .await
}

/// One part's bytes; `None` after the last.
pub(super) async fn part(
    tx: &mut TenantTx,
    id: OriginalId,
    part: i32,
) -> sqlx::Result<Option<Vec<u8>>> {
    sqlx::query_scalar!(
        "select body from original_parts where original_id = $1 and part = $2",
        id.uuid(),
        part,
    )
    .fetch_optional(tx.conn())
    .await
}

/// Remove the files that a document had before this one, but for those of its former versions.
pub(super) async fn drop_others(
    tx: &mut TenantTx,
    document: DocumentId,
    kept: Option<OriginalId>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        delete from originals
         where document_id = $1 and id is distinct from $2
           and not exists (
                 select from document_versions
                  where document_id = $1 and original_id = originals.id)
        ",
        document.uuid(),
        kept.map(OriginalId::uuid),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A document has it now.
pub(super) async fn adopt(
    tx: &mut TenantTx,
    document: DocumentId,
    id: OriginalId,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update originals set document_id = $1 where id = $2 and document_id is null",
        document.uuid(),
        id.uuid(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Remove one that no document has.
pub(super) async fn forget(tx: &mut TenantTx, id: OriginalId) -> sqlx::Result<()> {
    sqlx::query!("delete from originals where id = $1 and document_id is null", id.uuid())
        .execute(tx.conn())
        .await?;
    Ok(())
}
