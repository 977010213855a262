//! What a document said before: its last ten versions, and the files that they were read from.
//!
//! The database keeps them, whichever way a replacement comes in (migration 0018).

use serde::Serialize;
use time::OffsetDateTime;

use super::{
    Document, SourceFailure, Upload,
    ingest::{self, MAX_UPLOAD},
    originals, store_versions as store,
};
use crate::{
    audit::{self, Event, Kind, Origin},
    db::{TenantScope, TenantTx},
    documents::Importer,
    fault::Fault,
    ids::{DocumentId, IngestId, OriginalId, UserId},
};

pub use store::{find, list, text};

/// A former version, without its text.
#[derive(Clone, Debug, Serialize)]
pub struct Version {
    /// Counted from 1.
    pub version: i32,
    /// Its title then.
    pub title: String,
    /// Of its original.
    pub media_type: String,
    /// SHA-256 of the original, in hexadecimal digits.
    pub sha256: String,
    /// Of the original.
    pub byte_size: i64,
    /// Of the extracted text.
    pub char_count: i32,
    /// Who brought it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uploaded_by: Option<UserId>,
    /// Since when it was what the document said.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// Until when.
    #[serde(with = "time::serde::rfc3339")]
    pub replaced_at: OffsetDateTime,
    /// Whether the file that it was read from is kept.
    pub has_original: bool,
}

/// A file as it was sent, without its bytes.
#[derive(Clone, Debug)]
pub struct OriginalFile {
    /// For [`part`].
    pub id: OriginalId,
    /// As it was named.
    pub file_name: String,
    /// How many bytes it has.
    pub byte_size: i64,
}

/// The file that a document, or a former version of it, was read from, if that is kept.
///
/// # Errors
/// When the database fails.
pub async fn original(
    tx: &mut TenantTx,
    document: DocumentId,
    version: Option<i32>,
) -> sqlx::Result<Option<OriginalFile>> {
    store::original(tx, document, version).await
}

/// A mebibyte of a file, counted from 0; `None` after the last.
///
/// # Errors
/// When the database fails.
pub async fn part(
    tx: &mut TenantTx,
    original: OriginalId,
    number: i32,
) -> sqlx::Result<Option<Vec<u8>>> {
    originals::part(tx, original, number).await
}

/// Who restores a version, and in which request.
#[derive(Clone, Debug)]
pub struct By {
    /// Them.
    pub user: UserId,
    /// Where from.
    pub origin: Origin,
}

/// Make a former version what the document says, as a new version: its original is read again.
/// `None` when there is no such version, or its original is not kept.
///
/// # Errors
/// When the database fails; what is wrong with the file is in the [`SourceFailure`].
pub async fn restore(
    importer: &Importer,
    scope: TenantScope,
    (document, version): (&Document, i32),
    by: By,
) -> Result<Option<Result<IngestId, SourceFailure>>, Fault> {
    let mut tx = importer.db.tenant(scope).await?;
    let Some(file) = original(&mut tx, document.id, Some(version)).await? else { return Ok(None) };
    let Some(bytes) = originals::read(&mut tx, file.id).await? else { return Ok(None) };
    drop(tx);
    if bytes.len() > MAX_UPLOAD {
        return Ok(None);
    }
    let upload = Upload {
        file_name: file.file_name,
        content: bytes.into(),
        uploaded_by: Some(by.user),
        origin: by.origin.clone(),
    };
    let (store, key) = (document.vector_store_id, document.source_key.clone());
    let restored = ingest::enqueue_as(importer, scope, store, upload, Some(key)).await?;
    if restored.is_ok() {
        let event = Event::new(Kind::DocumentRestored, importer.clock.now())
            .tenant(scope.tenant_id())
            .user(by.user)
            .from(&by.origin)
            .with("document", document.id.to_string())
            .with("title", document.title.as_str())
            .with("version", version);
        let mut tx = importer.db.tenant(scope).await?;
        audit::store::append(&mut tx, &event).await?;
        tx.commit().await?;
    }
    Ok(Some(restored))
}
