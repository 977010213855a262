//! One document on its way in: known already, or read, cut and saved in one transaction.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::{
    chunk::{Chunk, MOST_CHUNKS, chunks},
    embed,
    extract::{Extractor, MediaType, Parsed, Unreadable},
    language::language,
    outline::{Composed, compose},
    records::Sightings,
    room::{FULL, Room},
    store,
    store_save::{self, Findings, Known, Ready},
    store_sync,
    sync::Seen,
    whole::{Tally, Whole, bring_in},
};
use crate::{
    audit::{self, Event, Kind, Origin},
    clock::Clock,
    db::{Db, TenantScope},
    embeddings::{Embedder, Sizer},
    fault::Fault,
    ids::{DocumentId, UserId, VectorStoreId},
    neutral,
    tenants::connection,
};

/// What came of bringing documents in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Documents that were not there.
    pub added: u64,
    /// Documents whose content had changed; they keep their id.
    pub updated: u64,
    /// Documents that were there already.
    pub unchanged: u64,
    /// Sources that could not be read.
    pub failed: Vec<SourceFailure>,
    /// The document that was added, updated or found last.
    pub last: Option<DocumentId>,
    pub(super) seen: Seen,
}

/// A source that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFailure {
    /// A path, with a line number where it is one line of a file.
    pub source: String,
    /// Why, in words.
    pub reason: String,
}

impl Report {
    pub(super) fn fail(&mut self, source: &str, reason: impl Into<String>) {
        // Names are shown on terminals and pages: no control characters, no end.
        let source = neutral::line(source, 300);
        self.failed.push(SourceFailure { source, reason: reason.into() });
    }

    /// What it came across, for whoever asks what is not there any more.
    pub(super) fn seen(&self) -> Seen {
        self.seen.clone()
    }

    /// An archive was read to its end.
    pub(super) fn read_whole(&mut self, key: String) {
        self.seen.whole.insert(key);
    }

    pub(super) fn count(&mut self, source: &str, outcome: Result<Outcome, Unreadable>) {
        if let Ok(Outcome::Added(id) | Outcome::Updated(id) | Outcome::Unchanged(id)) = &outcome {
            self.seen.documents.insert(*id);
        }
        match outcome {
            Ok(Outcome::Added(id)) => (self.added, self.last) = (self.added + 1, Some(id)),
            Ok(Outcome::Updated(id)) => (self.updated, self.last) = (self.updated + 1, Some(id)),
            Ok(Outcome::Unchanged(id)) => {
                (self.unchanged, self.last) = (self.unchanged + 1, Some(id));
            }
            Err(Unreadable(reason)) => self.fail(source, reason),
        }
    }
}

/// What it takes to bring documents in.
#[derive(Clone, Debug)]
pub struct Importer {
    /// Postgres.
    pub db: Db,
    /// Now.
    pub clock: Clock,
    /// What reads files.
    pub extractor: Extractor,
    /// What makes passages comparable with questions, where there is a model.
    pub embedder: Embedder,
}

/// One file's bytes, from a person.
#[derive(Debug)]
pub struct Upload {
    /// As the browser named it: shown, and never used as a path.
    pub file_name: String,
    /// The content.
    pub bytes: Vec<u8>,
    /// Who sent it.
    pub uploaded_by: Option<UserId>,
    /// In which request, from where.
    pub origin: Origin,
}

/// The largest file that a person may send (spec row U-01).
pub const MAX_UPLOAD: usize = 25 * 1024 * 1024;

/// What came of one document.
pub(super) enum Outcome {
    Added(DocumentId),
    Updated(DocumentId),
    Unchanged(DocumentId),
}

/// A document as its source has it, before it is read.
pub(super) struct Source<'a> {
    pub(super) scope: TenantScope,
    pub(super) store: VectorStoreId,
    /// Unique in the store, and the same next time.
    pub(super) key: String,
    /// For a title, when nothing better makes one.
    pub(super) name: &'a str,
    pub(super) bytes: &'a [u8],
    pub(super) media: MediaType,
    pub(super) uploaded_by: Option<UserId>,
    /// `None` for an import on the command line.
    pub(super) origin: Option<&'a Origin>,
}

impl Source<'_> {
    /// Another one of the same store, from the same person; all else is still to be said.
    pub(super) const fn beside(&self) -> Self {
        Self {
            scope: self.scope,
            store: self.store,
            key: String::new(),
            name: "",
            bytes: &[],
            media: self.media,
            uploaded_by: self.uploaded_by,
            origin: self.origin,
        }
    }
}

/// What a source says of itself besides its text.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) url: Option<String>,
    pub(super) metadata: Map<String, Value>,
}

impl Importer {
    /// Bring in one file, unless it is there.
    pub(super) async fn file(
        &self,
        source: &Source<'_>,
    ) -> Result<Result<Outcome, Unreadable>, Fault> {
        // Most of an import that is run again ends here, without a child process.
        if let Some(id) = self.unchanged(source).await? {
            return Ok(Ok(Outcome::Unchanged(id)));
        }
        match self.extractor.extract(source.media, source.bytes).await? {
            Ok(parsed) => self.parsed(source, parsed, Facts::default()).await,
            Err(unreadable) => Ok(Err(unreadable)),
        }
    }

    /// The document that holds these very bytes.
    pub(super) async fn unchanged(&self, source: &Source<'_>) -> Result<Option<DocumentId>, Fault> {
        let mut tx = self.db.tenant(source.scope).await?;
        let hash = content_hash(source.bytes);
        match store_save::known(&mut tx, source.store, &source.key, &hash).await? {
            Known::Same(id) => {
                if store_sync::adopt(&mut tx, id, &source.key).await? {
                    tx.commit().await?;
                }
                Ok(Some(id))
            }
            Known::Changed(_) | Known::New => Ok(None),
        }
    }

    /// Save what was read: in one transaction, whole or not at all.
    pub(super) async fn parsed(
        &self,
        source: &Source<'_>,
        parsed: Parsed,
        mut facts: Facts,
    ) -> Result<Result<Outcome, Unreadable>, Fault> {
        let name = source.name.to_owned();
        for (name, value) in &parsed.metadata {
            facts.metadata.insert(name.clone(), Value::String(neutral::line(value, 512)));
        }
        // A large text takes a while: not on a thread that answers others.
        let sizer = self.embedder.sizer().await;
        let cut = tokio::task::spawn_blocking(move || {
            let cut = cut(&parsed, &name, &sizer);
            let language = language(&cut.0.text);
            (cut, language)
        });
        let ((Composed { title, text, .. }, chunks, findings), language) = cut.await?;
        if text.is_empty() {
            return Ok(Err(Unreadable("it has no text that a reader sees".to_owned())));
        }
        if chunks.len() > MOST_CHUNKS {
            return Ok(Err(Unreadable("it is too long: split it into several files".to_owned())));
        }
        let texts =
            chunks.iter().map(|chunk: &Chunk| embed::text(&title, &chunk.heading, &chunk.body));
        let vectors = if embeds_now(source, chunks.len()) {
            self.embedder.passages(texts.collect()).await
        } else {
            None
        };
        let hash = content_hash(source.bytes);
        let mut tx = self.db.tenant(source.scope).await?;
        let held = connection::holds_documents(&mut tx).await?;
        let ready = Ready {
            store: source.store,
            source_key: &source.key,
            title: &title,
            url: facts.url.as_deref(),
            metadata: &Value::Object(facts.metadata),
            media_type: source.media.as_str(),
            language,
            content_hash: &hash,
            byte_size: i64::try_from(source.bytes.len())?,
            findings: &findings,
            held,
            text: &text,
            chunks: &chunks,
            vectors: vectors.as_deref(),
            uploaded_by: source.uploaded_by,
        };
        let known = store_save::known(&mut tx, source.store, &source.key, &hash).await?;
        let (id, replaces) = match known {
            Known::Same(id) => {
                if store_sync::adopt(&mut tx, id, &source.key).await? {
                    tx.commit().await?;
                }
                return Ok(Ok(Outcome::Unchanged(id)));
            }
            Known::Changed(id) => (id, true),
            Known::New => (DocumentId::new(), false),
        };
        if !store_save::save(&mut tx, id, replaces, &ready, self.clock.now()).await? {
            return Ok(Err(Unreadable("the vector store is gone, or is not a builtin one".into())));
        }
        let event = stored(source, id, &title, replaces, self.clock.now());
        audit::store::append(&mut tx, &event).await?;
        tx.commit().await?;
        Ok(Ok(if replaces { Outcome::Updated(id) } else { Outcome::Added(id) }))
    }
}

/// The text of what was read, its chunks, and what is odd about it.
fn cut(parsed: &Parsed, name: &str, sizer: &Sizer) -> (Composed, Vec<Chunk>, Findings) {
    let composed = compose(parsed, name);
    let chunks = chunks(&composed.text, &composed.outline, sizer);
    let findings = Findings {
        hidden: composed.removed,
        active: neutral::neutralise(&composed.text).active,
        flags: neutral::flags(&composed.text),
    };
    (composed, chunks, findings)
}

/// Whether passages are embedded before the document is there, or in the background: a person who
/// uploads much waits for none of it.
fn embeds_now(source: &Source<'_>, chunks: usize) -> bool {
    const FEW: usize = 64;
    source.origin.is_none() || (source.media != MediaType::JsonLines && chunks <= FEW)
}

/// What the audit says of a document that came in; nobody's where the command line brought it.
fn stored(
    source: &Source<'_>,
    id: DocumentId,
    title: &str,
    replaces: bool,
    now: OffsetDateTime,
) -> Event {
    let mut event = Event::new(Kind::DocumentStored, now)
        .tenant(source.scope.tenant_id())
        .with("document", id.to_string())
        .with("title", title)
        .with("replaced", replaces);
    event.user = source.uploaded_by;
    match source.origin {
        Some(origin) => event.from(origin),
        None => event,
    }
}

fn content_hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// A key that fits the column, whatever the name's length.
pub(super) fn source_key(kind: &str, name: &str) -> String {
    let name: String = neutral::clean(name).text.replace('\n', " ");
    if name.chars().count() <= 900 {
        return format!("{kind}:{name}");
    }
    let digest: String =
        content_hash(name.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let end: String = name.chars().rev().take(200).collect::<Vec<_>>().into_iter().rev().collect();
    format!("{kind}:{digest}…{end}")
}

/// Bring in one file that a person sent.
///
/// # Errors
/// When the database fails; what the file does wrong is in the [`Report`].
pub async fn ingest_upload(
    importer: &Importer,
    scope: TenantScope,
    store: VectorStoreId,
    upload: Upload,
) -> Result<Report, Fault> {
    let mut report = Report::default();
    // Only the last part: some browsers send a path.
    let name = upload.file_name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name = neutral::line(name, 200);
    let shown = if name.is_empty() { "the file" } else { &name };
    if upload.bytes.len() > MAX_UPLOAD {
        report.fail(shown, "the file is larger than 25 MiB");
        return Ok(report);
    }
    let mut tx = importer.db.tenant(scope).await?;
    let mut room = Room::of(store::usage(&mut tx).await?);
    drop(tx);
    if !room.is_left() {
        report.fail(shown, FULL);
        return Ok(report);
    }
    let media = match MediaType::detect(&name, &upload.bytes) {
        Ok(media) => media,
        Err(Unreadable(reason)) => {
            report.fail(shown, reason);
            return Ok(report);
        }
    };
    let source = Source {
        scope,
        store,
        key: source_key("upload", &name),
        name: &name,
        bytes: &upload.bytes,
        media,
        uploaded_by: upload.uploaded_by,
        origin: Some(&upload.origin),
    };
    let mut seen = Sightings::default();
    let file = Whole { source, kind: "upload", path: shown.to_owned() };
    bring_in(importer, &file, &mut Tally::new(&mut report, &mut seen).within(&mut room)).await?;
    Ok(report)
}
