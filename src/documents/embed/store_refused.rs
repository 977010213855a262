//! Passages that an endpoint does not take, in Postgres.

use time::OffsetDateTime;

use super::store::Chunk;
use crate::{
    db::TenantTx,
    ids::{DocumentId, VectorStoreId},
    vector_stores::Models,
};

/// A passage without a vector, since the endpoint does not take it.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Where it is.
    pub document: DocumentId,
    /// What that is called.
    pub title: String,
    /// Which of its passages.
    pub ordinal: i32,
    /// What the endpoint answered: 400, 413, 422.
    pub status: i16,
}

impl Refused {
    /// Why, in words.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self.status {
            413 => "it is too long for the model (413)",
            422 => "the endpoint cannot process it (422)",
            _ => "the endpoint refuses it (400)",
        }
    }
}

/// Pass a chunk over from now on, if it still says what it said.
pub(super) async fn add(
    tx: &mut TenantTx,
    (store, model): (VectorStoreId, i16),
    chunk: &Chunk,
    (status, now): (u16, OffsetDateTime),
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        insert into refused_passages (tenant_id, vector_store_id, document_id, ordinal, model,
                                      status, refused_at)
        select current_tenant_id(), $1, index.document_id, index.ordinal, $5, $6, $7
          from chunk_index index
          join chunks chunk using (document_id, ordinal)
         where index.document_id = $2 and index.ordinal = $3 and chunk.xmin::text = $4
            on conflict do nothing
        ",
        store.uuid(),
        chunk.document_id,
        chunk.ordinal,
        chunk.version,
        model,
        i16::try_from(status).unwrap_or(i16::MAX),
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Some of those that one of a store's models passes over.
///
/// # Errors
/// When the database fails.
pub async fn refused(
    tx: &mut TenantTx,
    (store, model): (VectorStoreId, i16),
    most: i64,
) -> sqlx::Result<Vec<Refused>> {
    sqlx::query_as!(
        Refused,
        r#"
        select document.id as "document: DocumentId", document.title, ordinal, status
          from refused_passages refused
          join documents document on document.id = refused.document_id
         where refused.vector_store_id = $1 and refused.model = $2
         order by lower(document.title), document.id, ordinal
         limit $3
        "#,
        store.uuid(),
        model,
        most,
    )
    .fetch_all(tx.conn())
    .await
}

/// How many they are, by the active model and by the one in the making.
pub(super) async fn count(
    tx: &mut TenantTx,
    store: VectorStoreId,
    models: Models,
) -> sqlx::Result<(i64, i64)> {
    let row = sqlx::query!(
        r#"
        select count(*) filter (where model = $2) as "active!",
               count(*) filter (where model = $3) as "next!"
          from refused_passages
         where vector_store_id = $1
        "#,
        store.uuid(),
        models.active,
        models.next,
    )
    .fetch_one(tx.conn())
    .await?;
    Ok((row.active, row.next))
}

/// Forget what models did not take that are not used any more.
pub(super) async fn forget_others(
    tx: &mut TenantTx,
    store: VectorStoreId,
    models: Models,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        delete from refused_passages
         where vector_store_id = $1 and model <> $2 and model is distinct from $3
        ",
        store.uuid(),
        models.active,
        models.next,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
