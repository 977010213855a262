//! Documents and their texts in Postgres: what is read, listed and deleted.

use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Document, Listing, Passage};
use crate::{
    db::TenantTx,
    ids::{DocumentId, VectorStoreId},
};

struct DocumentRow {
    id: Uuid,
    vector_store_id: Uuid,
    source_key: String,
    title: String,
    url: Option<String>,
    metadata: Value,
    media_type: String,
    byte_size: i64,
    char_count: i32,
    uploaded_by: Option<Uuid>,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl From<DocumentRow> for Document {
    fn from(row: DocumentRow) -> Self {
        Self {
            id: row.id.into(),
            vector_store_id: row.vector_store_id.into(),
            source_key: row.source_key,
            title: row.title,
            url: row.url,
            metadata: serde_json::from_value(row.metadata).unwrap_or_default(),
            media_type: row.media_type,
            byte_size: row.byte_size,
            char_count: row.char_count,
            uploaded_by: row.uploaded_by.map(Into::into),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// One page of a store's documents, newest first; `name` keeps those whose title or source has it.
///
/// # Errors
/// When the database fails.
pub async fn list(
    tx: &mut TenantTx,
    store: VectorStoreId,
    name: Option<&str>,
    offset: i64,
    limit: i64,
) -> sqlx::Result<Listing> {
    let name = name.map(str::trim).filter(|name| !name.is_empty());
    let rows = sqlx::query_as!(
        DocumentRow,
        "
        select id, vector_store_id, source_key, title, url, metadata, media_type, byte_size,
               char_count, uploaded_by, created_at, updated_at
          from documents
         where vector_store_id = $1
           and ($2::text is null or strpos(lower(title), lower($2)) > 0
                                 or strpos(lower(source_key), lower($2)) > 0)
         order by updated_at desc, id desc
        offset $3 limit $4
        ",
        store.uuid(),
        name,
        offset.max(0),
        limit.clamp(1, 1_000),
    )
    .fetch_all(tx.conn())
    .await?;
    let total = sqlx::query_scalar!(
        r#"
        select count(*) as "total!"
          from documents
         where vector_store_id = $1
           and ($2::text is null or strpos(lower(title), lower($2)) > 0
                                 or strpos(lower(source_key), lower($2)) > 0)
        "#,
        store.uuid(),
        name,
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(Listing { documents: rows.into_iter().map(Document::from).collect(), total })
}

/// What the sources call a store's documents.
///
/// # Errors
/// When the database fails.
pub async fn source_keys(
    tx: &mut TenantTx,
    store: VectorStoreId,
) -> sqlx::Result<Vec<(DocumentId, String)>> {
    let rows = sqlx::query!(
        "select id, source_key from documents where vector_store_id = $1",
        store.uuid(),
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.id.into(), row.source_key)).collect())
}

/// How many documents a store holds.
///
/// # Errors
/// When the database fails.
pub async fn count(tx: &mut TenantTx, store: VectorStoreId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "total!" from documents where vector_store_id = $1"#,
        store.uuid(),
    )
    .fetch_one(tx.conn())
    .await
}

/// How many documents the tenant has in all its stores, and how many bytes they came in.
///
/// # Errors
/// When the database fails.
pub async fn usage(tx: &mut TenantTx) -> sqlx::Result<(i64, i64)> {
    let row = sqlx::query!(
        r#"
        select count(*) as "documents!", coalesce(sum(byte_size), 0)::bigint as "bytes!"
          from documents
        "#
    )
    .fetch_one(tx.conn())
    .await?;
    Ok((row.documents, row.bytes))
}

/// One document of the tenant.
///
/// # Errors
/// When the database fails.
pub async fn find(tx: &mut TenantTx, id: DocumentId) -> sqlx::Result<Option<Document>> {
    let row = sqlx::query_as!(
        DocumentRow,
        "
        select id, vector_store_id, source_key, title, url, metadata, media_type, byte_size,
               char_count, uploaded_by, created_at, updated_at
          from documents
         where id = $1
        ",
        id.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(Document::from))
}

/// A document's whole text.
///
/// # Errors
/// When the database fails.
pub async fn text(tx: &mut TenantTx, id: DocumentId) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("select body from document_texts where document_id = $1", id.uuid())
        .fetch_optional(tx.conn())
        .await
}

/// The place of a document's chunk.
///
/// # Errors
/// When the database fails.
pub async fn passage(
    tx: &mut TenantTx,
    id: DocumentId,
    ordinal: i32,
) -> sqlx::Result<Option<Passage>> {
    let row = sqlx::query!(
        "select start_char, end_char, heading from chunks where document_id = $1 and ordinal = $2",
        id.uuid(),
        ordinal,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| Passage {
        start: usize::try_from(row.start_char).unwrap_or_default(),
        end: usize::try_from(row.end_char).unwrap_or_default(),
        heading: row.heading,
    }))
}

/// Remove a document with its text and chunks. `None` when there was none.
///
/// # Errors
/// When the database fails.
pub async fn delete(tx: &mut TenantTx, id: DocumentId) -> sqlx::Result<Option<Document>> {
    let row = sqlx::query_as!(
        DocumentRow,
        "
        delete from documents
         where id = $1
        returning id, vector_store_id, source_key, title, url, metadata, media_type, byte_size,
                  char_count, uploaded_by, created_at, updated_at
        ",
        id.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(Document::from))
}
