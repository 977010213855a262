//! One document on its way in: known already, or read, cut and saved in one transaction.

use std::borrow::Cow;

use serde_json::Value;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::{
    draft::{Draft, Facts},
    embed,
    extract::{Extractor, MediaType, Parsed, Unreadable},
    import::{Listener, Progress},
    ingest::{Bell, Claim, MAX_UPLOAD, Stage},
    originals::{self, Kept, Original},
    report::Outcome,
    room::{self, FULL},
    spool::{Bytes, Spool},
    store_save::{self, Known, Ready},
    store_sync,
};
use crate::{
    audit::{self, Event, Kind, Origin},
    clock::Clock,
    db::{Db, TenantScope, TenantTx},
    embeddings::{Embedder, Vector},
    fault::Fault,
    ids::{DocumentId, OriginalId, UserId, VectorStoreId},
    neutral,
    outbound::Outbound,
    secret::seal::MasterKey,
    tenants::connection,
};

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
    /// Where files are until they are whole.
    pub spool: Spool,
    /// What wakes the queue's workers.
    pub bell: Bell,
    /// The way to models elsewhere.
    pub outbound: Outbound,
    /// What data keys are wrapped with.
    pub master_key: MasterKey,
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
    /// Under which it is read; `None` for an import on the command line.
    pub(super) claim: Option<&'a Claim>,
    /// Where its bytes are kept already; `bytes` may be empty then.
    pub(super) kept: Option<Kept>,
    /// Who is told how far it is.
    pub(super) hears: Option<Listener<'a>>,
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
            claim: self.claim,
            kept: None,
            hears: self.hears,
        }
    }

    fn is_at(&self, stage: Stage) {
        if let Some(hears) = self.hears {
            hears(Progress::At(stage));
        }
    }

    fn hash(&self) -> [u8; 32] {
        self.kept.map_or_else(|| content_hash(self.bytes), |kept| kept.hash)
    }

    fn byte_size(&self) -> i64 {
        let size = i64::try_from(self.bytes.len()).unwrap_or(i64::MAX);
        self.kept.map_or(size, |kept| kept.byte_size)
    }
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
        match self.read(source).await? {
            Ok(parsed) => self.parsed(source, parsed, Facts::default()).await,
            Err(unreadable) => Ok(Err(unreadable)),
        }
    }

    /// What the extractor makes of it. What crashes it may have been unlucky, and gets another try.
    pub(super) async fn read(
        &self,
        source: &Source<'_>,
    ) -> Result<Result<Parsed, Unreadable>, Fault> {
        source.is_at(Stage::Received);
        match self.extractor.extract(source.media, source.bytes).await? {
            Err(unreadable) if unreadable.is_crash() && source.claim.is_some() => {
                self.extractor.extract(source.media, source.bytes).await
            }
            outcome => Ok(outcome),
        }
    }

    /// The document that holds these very bytes.
    pub(super) async fn unchanged(&self, source: &Source<'_>) -> Result<Option<DocumentId>, Fault> {
        let mut tx = self.db.tenant(source.scope).await?;
        let hash = source.hash();
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

    /// Cut, embed and save what was read.
    pub(super) async fn parsed(
        &self,
        source: &Source<'_>,
        parsed: Parsed,
        facts: Facts,
    ) -> Result<Result<Outcome, Unreadable>, Fault> {
        source.is_at(Stage::Extracted);
        let sizer = self.embedder.sizer().await;
        let draft = match Draft::of(source.name, parsed, facts, sizer).await? {
            Ok(draft) => draft,
            Err(unreadable) => return Ok(Err(unreadable)),
        };
        source.is_at(Stage::Chunked);
        let embeds = embeds_now(source, draft.chunks.len())
            && self.embeds_for(source.scope, source.store).await?;
        let vectors = if embeds { self.embedder.passages(draft.passages()).await } else { None };
        source.is_at(Stage::Embedded);
        let mut tx = self.db.tenant(source.scope).await?;
        if let Some(claim) = source.claim {
            claim.require(&mut tx, self.clock.now()).await?;
        }
        let outcome = self.save(&mut tx, source, &draft, vectors.as_deref()).await?;
        if outcome.is_ok() {
            tx.commit().await?;
        }
        if let Some(claim) = source.claim {
            claim.count_document();
        }
        Ok(outcome)
    }

    /// Whether the model that runs here makes a store's vectors.
    pub(super) async fn embeds_for(
        &self,
        scope: TenantScope,
        store: VectorStoreId,
    ) -> Result<bool, Fault> {
        if !self.embedder.is_there() {
            return Ok(false);
        }
        let mut tx = self.db.tenant(scope).await?;
        Ok(embed::own_model(&mut tx, store).await?.is_some())
    }

    /// Save a draft with the vectors of the model that runs here: whole, or, when the transaction is
    /// dropped, not at all.
    pub(super) async fn save(
        &self,
        tx: &mut TenantTx,
        source: &Source<'_>,
        draft: &Draft,
        vectors: Option<&[Vector]>,
    ) -> Result<Result<Outcome, Unreadable>, Fault> {
        let now = self.clock.now();
        let hash = source.hash();
        let known = store_save::known(tx, source.store, &source.key, &hash).await?;
        let (id, replaces) = match known {
            Known::Same(id) => {
                store_sync::adopt(tx, id, &source.key).await?;
                return Ok(Ok(Outcome::Unchanged(id)));
            }
            Known::Changed(id) => (id, true),
            Known::New => (DocumentId::new(), false),
        };
        let original = match self.original(tx, source, &hash).await? {
            Ok(original) => original,
            Err(gone) => return Ok(Err(gone)),
        };
        let by = embed::own_model(tx, source.store).await?;
        let ready = Ready {
            store: source.store,
            source_key: &source.key,
            title: &draft.title,
            url: draft.url.as_deref(),
            metadata: &Value::Object(draft.metadata.clone()),
            media_type: source.media.as_str(),
            language: &draft.language,
            content_hash: &hash,
            byte_size: source.byte_size(),
            findings: &draft.findings,
            held: connection::holds_documents(tx).await?,
            text: &draft.text,
            chunks: &draft.chunks,
            vectors: by.zip(vectors),
            uploaded_by: source.uploaded_by,
            original,
        };
        if !store_save::save(tx, id, replaces, &ready, now).await? {
            return Ok(Err(no_store()));
        }
        originals::adopt(tx, id, original).await?;
        let event = stored(source, id, &draft.title, replaces, now);
        audit::store::append(tx, &event).await?;
        if source.claim.is_some() && !replaces && !room::admits(tx, ready.byte_size).await? {
            return Ok(Err(Unreadable(FULL.to_owned())));
        }
        Ok(Ok(if replaces { Outcome::Updated(id) } else { Outcome::Added(id) }))
    }

    /// Where the bytes are kept: there already, or from now on, a line of a file as a file of one
    /// line. What is larger than a person may send is not kept.
    async fn original(
        &self,
        tx: &mut TenantTx,
        source: &Source<'_>,
        hash: &[u8; 32],
    ) -> Result<Result<Option<OriginalId>, Unreadable>, Fault> {
        let kept = source.kept.map(|kept| kept.id);
        if kept.is_some() || source.bytes.len() > MAX_UPLOAD {
            return Ok(Ok(kept));
        }
        let (store, media, bytes) = (source.store, source.media, Bytes::Here(source.bytes));
        let name: Cow<'_, str> = match media {
            MediaType::JsonLines => format!("{}.jsonl", source.name).into(),
            _ => source.name.into(),
        };
        let file = Original { store, name: &name, media, hash, bytes };
        let kept = originals::keep(tx, &file, self.clock.now()).await?;
        Ok(kept.map(Some).ok_or_else(no_store))
    }
}

pub(super) fn no_store() -> Unreadable {
    Unreadable("the vector store is gone, or is not a builtin one".to_owned())
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

pub(super) fn content_hash(bytes: &[u8]) -> [u8; 32] {
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
