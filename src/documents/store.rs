//! Documents and their texts in Postgres: what is read, listed and deleted.

use std::collections::BTreeMap;

use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Document, Listing, Passage, Wanted};
use crate::{
    db::TenantTx,
    ids::{DocumentId, VectorStoreId},
};

/// A name that a source's own metadata does not have.
pub(super) const HIDDEN: &str = "hidden_characters_removed";

struct DocumentRow {
    id: Uuid,
    vector_store_id: Uuid,
    source_key: String,
    title: String,
    url: Option<String>,
    metadata: Value,
    media_type: String,
    content_hash: Vec<u8>,
    byte_size: i64,
    char_count: i32,
    hidden_characters: i32,
    active_content: i32,
    content_flags: Vec<String>,
    is_held: bool,
    uploaded_by: Option<Uuid>,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl From<DocumentRow> for Document {
    fn from(row: DocumentRow) -> Self {
        let mut metadata: BTreeMap<String, String> =
            serde_json::from_value(row.metadata).unwrap_or_default();
        // Where it was kept before it had a column.
        let counted = metadata.remove(HIDDEN).and_then(|count| count.parse().ok()).unwrap_or(0);
        Self {
            id: row.id.into(),
            vector_store_id: row.vector_store_id.into(),
            source_key: row.source_key,
            title: row.title,
            url: row.url,
            metadata,
            media_type: row.media_type,
            sha256: row.content_hash.iter().map(|byte| format!("{byte:02x}")).collect(),
            byte_size: row.byte_size,
            char_count: row.char_count,
            hidden_characters: row.hidden_characters.max(counted),
            active_content: row.active_content,
            content_flags: row.content_flags,
            is_held: row.is_held,
            uploaded_by: row.uploaded_by.map(Into::into),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// One page of a store's documents, newest first.
///
/// # Errors
/// When the database fails.
pub async fn list(
    tx: &mut TenantTx,
    store: VectorStoreId,
    wanted: Wanted<'_>,
    offset: i64,
    limit: i64,
) -> sqlx::Result<Listing> {
    let name = Some(wanted.name.trim()).filter(|name| !name.is_empty());
    let rows = sqlx::query_as!(
        DocumentRow,
        r#"
        select id, vector_store_id, source_key, title, url, metadata, media_type, content_hash,
               byte_size, char_count, hidden_characters, active_content, content_flags, uploaded_by,
               created_at, updated_at, held_at is not null as "is_held!"
          from documents
         where vector_store_id = $1
           and ($2::text is null or strpos(lower(title), lower($2)) > 0
                                 or strpos(lower(source_key), lower($2)) > 0)
           and (not $3 or hidden_characters > 0 or content_flags <> '{}'
                       or metadata ? 'hidden_characters_removed' or held_at is not null)
           and (not $4 or held_at is null)
         order by updated_at desc, id desc
        offset $5 limit $6
        "#,
        store.uuid(),
        name,
        wanted.flagged,
        wanted.released,
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
           and (not $3 or hidden_characters > 0 or content_flags <> '{}'
                       or metadata ? 'hidden_characters_removed' or held_at is not null)
           and (not $4 or held_at is null)
        "#,
        store.uuid(),
        name,
        wanted.flagged,
        wanted.released,
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(Listing { documents: rows.into_iter().map(Document::from).collect(), total })
}

/// Documents of a store in the order in which they first came in, newest first: those after a
/// document, or from the first on.
///
/// # Errors
/// When the database fails.
pub async fn page(
    tx: &mut TenantTx,
    store: VectorStoreId,
    after: Option<DocumentId>,
    limit: i64,
) -> sqlx::Result<Vec<Document>> {
    let rows = sqlx::query_as!(
        DocumentRow,
        r#"
        select id, vector_store_id, source_key, title, url, metadata, media_type, content_hash,
               byte_size, char_count, hidden_characters, active_content, content_flags, uploaded_by,
               created_at, updated_at, held_at is not null as "is_held!"
          from documents
         where vector_store_id = $1 and ($2::uuid is null or id < $2)
         order by id desc
         limit $3
        "#,
        store.uuid(),
        after.map(DocumentId::uuid),
        limit.clamp(1, 1_001),
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Document::from).collect())
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
        r#"
        select id, vector_store_id, source_key, title, url, metadata, media_type, content_hash,
               byte_size, char_count, hidden_characters, active_content, content_flags, uploaded_by,
               created_at, updated_at, held_at is not null as "is_held!"
          from documents
         where id = $1
        "#,
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
        "select start_char, end_char, heading, page
           from chunks where document_id = $1 and ordinal = $2",
        id.uuid(),
        ordinal,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| Passage {
        start: usize::try_from(row.start_char).unwrap_or_default(),
        end: usize::try_from(row.end_char).unwrap_or_default(),
        heading: row.heading,
        page: row.page.map(i32::cast_unsigned),
    }))
}

/// Let assistants find a document that waited. Its title; `None` when none waits under this id.
///
/// # Errors
/// When the database fails.
pub async fn release(tx: &mut TenantTx, id: DocumentId) -> sqlx::Result<Option<String>> {
    let title = sqlx::query_scalar!(
        "update documents set held_at = null where id = $1 and held_at is not null returning title",
        id.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    if title.is_some() {
        // As `save_chunks` does, but for the embeddings, which follow.
        sqlx::query!(
            "
            with index as (
              insert into chunk_index (tenant_id, vector_store_id, document_id, ordinal, terms)
              select chunk.tenant_id, chunk.vector_store_id, document_id, ordinal,
                     term_vector(concat_ws(' ', document.title, heading, body),
                                 document.language::regconfig)
                from chunks chunk
                join documents document on document.id = chunk.document_id
               where document_id = $1
            )
            insert into embedding_backlog as known (tenant_id, vector_store_id)
            select tenant_id, vector_store_id from documents where id = $1
            on conflict (tenant_id, vector_store_id) do update set noted = known.noted + 1
            ",
            id.uuid(),
        )
        .execute(tx.conn())
        .await?;
    }
    Ok(title)
}

/// Remove a document with its text and chunks. `None` when there was none.
///
/// # Errors
/// When the database fails.
pub async fn delete(tx: &mut TenantTx, id: DocumentId) -> sqlx::Result<Option<Document>> {
    let row = sqlx::query_as!(
        DocumentRow,
        r#"
        delete from documents
         where id = $1
        returning id, vector_store_id, source_key, title, url, metadata, media_type, content_hash,
                  byte_size, char_count, hidden_characters, active_content, content_flags,
                  uploaded_by, created_at, updated_at, held_at is not null as "is_held!"
        "#,
        id.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(Document::from))
}
