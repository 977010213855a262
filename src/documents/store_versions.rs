//! Former versions in Postgres.

use time::OffsetDateTime;
use uuid::Uuid;

use super::versions::{OriginalFile, Version};
use crate::{db::TenantTx, ids::DocumentId};

struct VersionRow {
    version: i32,
    title: String,
    media_type: String,
    content_hash: Vec<u8>,
    byte_size: i64,
    char_count: i32,
    uploaded_by: Option<Uuid>,
    created_at: OffsetDateTime,
    replaced_at: OffsetDateTime,
    has_original: bool,
}

impl From<VersionRow> for Version {
    fn from(row: VersionRow) -> Self {
        Self {
            version: row.version,
            title: row.title,
            media_type: row.media_type,
            sha256: row.content_hash.iter().map(|byte| format!("{byte:02x}")).collect(),
            byte_size: row.byte_size,
            char_count: row.char_count,
            uploaded_by: row.uploaded_by.map(Into::into),
            created_at: row.created_at,
            replaced_at: row.replaced_at,
            has_original: row.has_original,
        }
    }
}

/// A document's former versions, newest first.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut TenantTx, document: DocumentId) -> sqlx::Result<Vec<Version>> {
    let rows = sqlx::query_as!(
        VersionRow,
        r#"
        select version, title, media_type, content_hash, byte_size, char_count, uploaded_by,
               created_at, replaced_at,
               exists (select from originals where id = original_id) as "has_original!"
          from document_versions
         where document_id = $1
         order by version desc
        "#,
        document.uuid(),
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Version::from).collect())
}

/// One of them.
///
/// # Errors
/// When the database fails.
pub async fn find(
    tx: &mut TenantTx,
    document: DocumentId,
    version: i32,
) -> sqlx::Result<Option<Version>> {
    let row = sqlx::query_as!(
        VersionRow,
        r#"
        select version, title, media_type, content_hash, byte_size, char_count, uploaded_by,
               created_at, replaced_at,
               exists (select from originals where id = original_id) as "has_original!"
          from document_versions
         where document_id = $1 and version = $2
        "#,
        document.uuid(),
        version,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(Version::from))
}

/// What it said.
///
/// # Errors
/// When the database fails.
pub async fn text(
    tx: &mut TenantTx,
    document: DocumentId,
    version: i32,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "select body from document_versions where document_id = $1 and version = $2",
        document.uuid(),
        version,
    )
    .fetch_optional(tx.conn())
    .await
}

/// The file of the document itself, or of a former version.
pub(super) async fn original(
    tx: &mut TenantTx,
    document: DocumentId,
    version: Option<i32>,
) -> sqlx::Result<Option<OriginalFile>> {
    let row = sqlx::query!(
        "
        select original.id, original.file_name, original.byte_size
          from originals original
         where original.document_id = $1
           and original.id = case when $2::int is null
                 then (select original_id from documents where id = $1)
                 else (select original_id from document_versions
                        where document_id = $1 and version = $2) end
        ",
        document.uuid(),
        version,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| OriginalFile {
        id: row.id.into(),
        file_name: row.file_name,
        byte_size: row.byte_size,
    }))
}
