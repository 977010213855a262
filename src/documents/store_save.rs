//! Documents and their texts in Postgres: how they are saved.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use super::{chunk::Chunk, store_chunks};
use crate::{
    db::TenantTx,
    embeddings::Vector,
    ids::{DocumentId, OriginalId, UserId, VectorStoreId},
};

/// What is known of a source before it is read.
pub(super) enum Known {
    /// The same bytes are there, under this key or, when this key is not there, another.
    Same(DocumentId),
    /// This key is there with other bytes.
    Changed(DocumentId),
    /// Neither.
    New,
}

/// Whether a source is there already, by its key and then by its bytes: a key whose bytes changed
/// changes its document, even to what another document says.
///
/// Holds off whoever brings the same bytes or the same key to this store until the transaction
/// ends, so that of two at once one adds and the other finds.
pub(super) async fn known(
    tx: &mut TenantTx,
    store: VectorStoreId,
    source_key: &str,
    content_hash: &[u8; 32],
) -> sqlx::Result<Known> {
    hold(tx, store, source_key, content_hash).await?;
    let row = sqlx::query!(
        r#"
        select id, content_hash = $3 as "same!"
          from documents
         where vector_store_id = $1 and (source_key = $2 or content_hash = $3)
         order by source_key = $2 desc, content_hash = $3 desc, id
         limit 1
        "#,
        store.uuid(),
        source_key,
        content_hash.as_slice(),
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(match row {
        Some(row) if row.same => Known::Same(row.id.into()),
        Some(row) => Known::Changed(row.id.into()),
        None => Known::New,
    })
}

/// Hold off whoever brings the same bytes or the same key to this store until the transaction ends.
pub(super) async fn hold(
    tx: &mut TenantTx,
    store: VectorStoreId,
    source_key: &str,
    content_hash: &[u8],
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        select pg_advisory_xact_lock(hashtextextended($1::text, 0)) as "key: ()",
               pg_advisory_xact_lock(hashtextextended($2::text, 1)) as "hash: ()"
        "#,
        format!("{store}/{source_key}"),
        format!("{store}/{content_hash:?}"),
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(())
}

/// A document that is ready to be saved.
#[derive(Debug)]
pub(super) struct Ready<'a> {
    pub(super) store: VectorStoreId,
    pub(super) source_key: &'a str,
    pub(super) title: &'a str,
    pub(super) url: Option<&'a str>,
    pub(super) metadata: &'a Value,
    pub(super) media_type: &'a str,
    /// The text-search configuration of its words.
    pub(super) language: &'a str,
    pub(super) content_hash: &'a [u8; 32],
    pub(super) byte_size: i64,
    pub(super) findings: &'a Findings,
    /// Whether it waits for an admin.
    pub(super) held: bool,
    pub(super) text: &'a str,
    pub(super) chunks: &'a [Chunk],
    /// By which model, and of the chunks in their order; without a model there are none yet.
    pub(super) vectors: Option<(i16, &'a [Vector])>,
    pub(super) uploaded_by: Option<UserId>,
    /// The file that it was read from, if that is kept.
    pub(super) original: Option<OriginalId>,
}

/// What was found in a document on its way in.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Findings {
    pub(super) hidden: usize,
    pub(super) active: usize,
    /// [`crate::neutral::Flag`] by name.
    pub(super) flags: Vec<String>,
}

/// Save a document with its text and chunks: a new one, or in place of what `replaces` holds.
/// `false` when the store was deleted meanwhile.
pub(super) async fn save(
    tx: &mut TenantTx,
    id: DocumentId,
    replaces: bool,
    ready: &Ready<'_>,
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    let saved = if replaces {
        update(tx, id, ready, now).await?
    } else {
        insert(tx, id, ready, now).await?
    };
    if let Some(held) = saved {
        save_text(tx, id, ready.text).await?;
        store_chunks::save(tx, id, ready, held).await?;
    }
    Ok(saved.is_some())
}

/// Whether it is held now; `None` when there is no such store.
async fn insert(
    tx: &mut TenantTx,
    id: DocumentId,
    ready: &Ready<'_>,
    now: OffsetDateTime,
) -> sqlx::Result<Option<bool>> {
    sqlx::query_scalar!(
        r#"
        insert into documents (tenant_id, id, vector_store_id, source_key, title, url, metadata,
                               media_type, content_hash, byte_size, char_count, uploaded_by,
                               created_at, updated_at, hidden_characters, active_content,
                               content_flags, held_at, language, original_id)
        select tenant_id, $1, id, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, $13, $14, $15,
               case when $16 then $12::timestamptz end, $17, $18
          from vector_stores
         where id = $2 and backend = 'builtin'
           for key share
        returning documents.held_at is not null as "held!"
        "#,
        id.uuid(),
        ready.store.uuid(),
        ready.source_key,
        ready.title,
        ready.url,
        ready.metadata,
        ready.media_type,
        ready.content_hash.as_slice(),
        ready.byte_size,
        whole(ready.text.chars().count()),
        ready.uploaded_by.map(UserId::uuid),
        now,
        whole(ready.findings.hidden),
        whole(ready.findings.active),
        &ready.findings.flags,
        ready.held,
        ready.language,
        ready.original.map(OriginalId::uuid),
    )
    .fetch_optional(tx.conn())
    .await
}

async fn update(
    tx: &mut TenantTx,
    id: DocumentId,
    ready: &Ready<'_>,
    now: OffsetDateTime,
) -> sqlx::Result<Option<bool>> {
    sqlx::query_scalar!(
        r#"
        update documents
           set title = $2, url = $3, metadata = $4, media_type = $5, content_hash = $6,
               byte_size = $7, char_count = $8, uploaded_by = $9, updated_at = $10,
               hidden_characters = $11, active_content = $12, content_flags = $13,
               held_at = case when $14 then $10::timestamptz else held_at end, language = $15,
               original_id = $16
         where id = $1
        returning held_at is not null as "held!"
        "#,
        id.uuid(),
        ready.title,
        ready.url,
        ready.metadata,
        ready.media_type,
        ready.content_hash.as_slice(),
        ready.byte_size,
        whole(ready.text.chars().count()),
        ready.uploaded_by.map(UserId::uuid),
        now,
        whole(ready.findings.hidden),
        whole(ready.findings.active),
        &ready.findings.flags,
        ready.held,
        ready.language,
        ready.original.map(OriginalId::uuid),
    )
    .fetch_optional(tx.conn())
    .await
}

async fn save_text(tx: &mut TenantTx, id: DocumentId, text: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "
        insert into document_texts (tenant_id, document_id, body)
        values (current_tenant_id(), $1, $2)
        on conflict (tenant_id, document_id) do update set body = excluded.body
        ",
        id.uuid(),
        text,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// As Postgres counts: no document is so long.
pub(super) fn whole(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
