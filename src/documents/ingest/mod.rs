//! The queue: what people and programs send, read by whichever node has time for it.
//!
//! 1. [`enqueue`] keeps the file as it is, with a job, in one transaction ([`Stage::Received`]).
//! 2. A worker ([`Worker`]) claims a job, of the tenants that wait the one that was served longest
//!    ago. It has the job leased for 30 seconds, and renews that while it works ([`Claim`]).
//! 3. It is taken from stage to stage ([`stages`]), each in one transaction: read by the extractor,
//!    cut into chunks, embedded in batches, and published. Until the last there is nothing that
//!    anybody finds, lists or sees, and after it nothing is left of the stages before.
//! 4. What fails is tried again, later and later, or says why in words. A person may cancel what
//!    waits and retry what failed.
//!
//! A worker may die at any moment. When its lease is over, another goes on where it stopped; the
//! first, should it only have been asleep, finds that the job's fence is higher than its own and
//! changes nothing. A document is the same, however often its job is begun.

mod bell;
mod claim;
mod stages;
mod store;
mod store_claim;
mod store_staged;
mod store_work;
mod upkeep;
mod worker;

use time::OffsetDateTime;

pub use bell::Bell;
pub use claim::Claim;
pub use store::{find, list};
pub use upkeep::sweep;
pub use worker::{Running, Worker};

pub(crate) use super::room::FULL;
use super::{
    extract::Unreadable,
    importer::{Importer, no_store, source_key},
    originals::{self, Original},
    report::{Report, SourceFailure},
    room,
    spool::Content,
};
use crate::{
    audit::{self, Actor, Event, Kind, Origin},
    db::{TenantScope, TenantTx},
    fault::Fault,
    ids::{DocumentId, IngestId, UserId, VectorStoreId},
    neutral,
};

/// The largest file that a person may send (spec row U-01).
pub const MAX_UPLOAD: usize = 25 * 1024 * 1024;

/// Why one is not taken that is larger.
pub(crate) const TOO_LARGE: &str = "the file is larger than 25 MiB";

/// One file, from a person.
#[derive(Debug)]
pub struct Upload {
    /// As the browser named it: shown, and never used as a path.
    pub file_name: String,
    /// What it holds.
    pub content: Content,
    /// Who sent it.
    pub uploaded_by: Option<UserId>,
    /// In which request, from where.
    pub origin: Origin,
}

/// How far a file has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// It is here, as it was sent.
    Received,
    /// Its text has been read.
    Extracted,
    /// The text is cut.
    Chunked,
    /// The chunks have vectors, if there is a model.
    Embedded,
    /// It is a document.
    Published,
    /// It will not become one; [`Job::failure`] says why.
    Failed,
    /// Somebody did not want it any more.
    Cancelled,
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 7] = [
        Self::Received,
        Self::Extracted,
        Self::Chunked,
        Self::Embedded,
        Self::Published,
        Self::Failed,
        Self::Cancelled,
    ];

    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Extracted => "extracted",
            Self::Chunked => "chunked",
            Self::Embedded => "embedded",
            Self::Published => "published",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|stage| stage.as_str() == name).unwrap_or(Self::Failed)
    }

    /// Whether nothing more happens by itself.
    #[must_use]
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Published | Self::Failed | Self::Cancelled)
    }
}

/// A file on its way to being a document, or to being several.
#[derive(Clone, Debug)]
pub struct Job {
    /// Names the row.
    pub id: IngestId,
    /// Where it will be.
    pub store: VectorStoreId,
    /// As it was sent.
    pub file_name: String,
    /// Of the file.
    pub byte_size: i64,
    /// How far it is.
    pub stage: Stage,
    /// How many chunks there are, once it is cut.
    pub chunks_total: i32,
    /// How many of these are embedded; of a file that holds others, how many of those are there.
    pub chunks_done: i32,
    /// How often its stage has failed.
    pub attempts: i16,
    /// Whether somebody works at it.
    pub is_running: bool,
    /// Why it failed, in words; while it waits, why it is tried again.
    pub failure: Option<String>,
    /// What came of it.
    pub report: Report,
    /// When it came.
    pub created_at: OffsetDateTime,
    /// When its stage last changed.
    pub updated_at: OffsetDateTime,
}

/// Which jobs a listing is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Those that are not over, and those that failed.
    Unfinished,
    /// All that are kept.
    All,
}

/// Keep a file and have it read. Its document is there when a worker has done that: see
/// [`find`], or [`Bell::ended`] to wait for it.
///
/// # Errors
/// When the database fails; what is wrong with the file is in the [`SourceFailure`].
pub async fn enqueue(
    importer: &Importer,
    scope: TenantScope,
    store: VectorStoreId,
    upload: Upload,
) -> Result<Result<IngestId, SourceFailure>, Fault> {
    // Only the last part: some browsers send a path.
    let name = upload.file_name.rsplit(['/', '\\']).next().unwrap_or_default();
    let upload = Upload { file_name: neutral::line(name, 200), ..upload };
    enqueue_as(importer, scope, store, upload, None).await
}

/// What a file is called that was found in a watched place.
pub(crate) fn watched_key(path: &str) -> String {
    source_key("watch", path)
}

/// The same, of a source that is known: its document, if there is one, is replaced.
pub(crate) async fn enqueue_as(
    importer: &Importer,
    scope: TenantScope,
    store: VectorStoreId,
    upload: Upload,
    key: Option<String>,
) -> Result<Result<IngestId, SourceFailure>, Fault> {
    let name = neutral::line(&upload.file_name, 500);
    let shown = if name.is_empty() { "the file" } else { &name };
    let refuse = |reason: &str| {
        Ok(Err(SourceFailure { source: shown.to_owned(), reason: reason.to_owned() }))
    };
    let bytes = upload.content.bytes();
    if bytes.size() > MAX_UPLOAD as i64 {
        return refuse(TOO_LARGE);
    }
    let media = match upload.content.media(&name).await? {
        Ok(media) => media,
        Err(Unreadable(reason)) => return refuse(&reason),
    };
    let now = importer.clock.now();
    let hash = upload.content.hash();
    let file = Original { store, name: shown, media, hash: &hash, bytes };
    let mut tx = importer.db.tenant(scope).await?;
    let Some(original) = originals::keep(&mut tx, &file, now).await? else {
        return refuse(&no_store().0);
    };
    if !room::takes(&mut tx, bytes.size()).await? {
        return refuse(FULL);
    }
    let new = store::New {
        original,
        source_key: &key.unwrap_or_else(|| source_key("upload", &name)),
        file: &file,
        uploaded_by: upload.uploaded_by,
        origin: &upload.origin,
    };
    let id = store::insert(&mut tx, &new, now).await?;
    tx.commit().await?;
    importer.bell.ring();
    Ok(Ok(id))
}

/// Take back a file that is not a document yet: `false` when it is, or there is none.
///
/// # Errors
/// When the database fails.
pub async fn cancel(
    tx: &mut TenantTx,
    id: IngestId,
    actor: &Actor,
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    let Some(file_name) = store::cancel(tx, id, now).await? else { return Ok(false) };
    let event = about(tx, Kind::IngestCancelled, (id, &file_name), now).by(actor);
    audit::store::append(tx, &event).await?;
    Ok(true)
}

/// Begin again with a file that failed: `false` when it did not, or its bytes are gone. Ring the
/// bell once that is committed.
///
/// # Errors
/// When the database fails.
pub async fn retry(
    tx: &mut TenantTx,
    id: IngestId,
    actor: &Actor,
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    let Some(file_name) = store::retry(tx, id, now).await? else { return Ok(false) };
    let event = about(tx, Kind::IngestRetried, (id, &file_name), now).by(actor);
    audit::store::append(tx, &event).await?;
    Ok(true)
}

fn about(
    tx: &TenantTx,
    kind: Kind,
    (id, file_name): (IngestId, &str),
    now: OffsetDateTime,
) -> Event {
    Event::new(kind, now)
        .tenant(tx.scope().tenant_id())
        .with("file", file_name)
        .with("ingest", id.to_string())
}

impl Job {
    /// The document that came of it, where it is one.
    #[must_use]
    pub const fn document(&self) -> Option<DocumentId> {
        self.report.last
    }
}
