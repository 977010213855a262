//! From stage to stage: what each does, and how it is kept.

use serde_json::Value;

use super::{
    Claim, Stage, store_staged as staged,
    store_work::{self, Work},
};
use crate::{
    audit::Origin,
    documents::{
        draft::{Draft, Facts},
        extract::{MediaType, Unreadable},
        importer::{Importer, Source},
        originals::{self, Kept},
        records::Sightings,
        report::{Outcome, Report, SourceFailure},
        whole::{Tally, Whole, bring_in},
    },
    fault::Fault,
};

/// How many chunks are embedded before that is kept.
const BATCH: i64 = 32;
/// How many reasons are kept of a file that holds others.
const MOST_FAILURES: usize = 200;

/// What came of one step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// There is another one to take.
    On,
    /// The job is over.
    Over,
    /// The file cannot be read.
    Unreadable(Unreadable),
}

/// A job in its stage, as its claim sees it.
pub(super) struct Stages<'a> {
    pub(super) importer: &'a Importer,
    pub(super) claim: &'a Claim,
    pub(super) work: &'a Work,
    pub(super) kept: Kept,
}

impl Stages<'_> {
    /// Take the job one step further.
    pub(super) async fn step(&self) -> Result<Step, Fault> {
        match self.work.stage {
            Stage::Received => self.extract().await,
            Stage::Extracted => self.cut().await,
            Stage::Chunked => self.embed().await,
            Stage::Embedded => self.publish().await,
            Stage::Published | Stage::Failed | Stage::Cancelled => Ok(Step::Over),
        }
    }

    fn media(&self) -> Result<MediaType, Fault> {
        MediaType::parse(&self.work.media_type)
            .ok_or_else(|| Fault::new("the job's media type is none that this build knows"))
    }

    fn origin(&self) -> Origin {
        Origin { request: self.work.request, address: self.work.address.clone() }
    }

    fn source<'b>(&'b self, bytes: &'b [u8], origin: &'b Origin) -> Result<Source<'b>, Fault> {
        Ok(Source {
            scope: self.claim.scope,
            store: self.work.store,
            key: self.work.source_key.clone(),
            name: &self.work.file_name,
            bytes,
            media: self.media()?,
            uploaded_by: self.work.uploaded_by,
            origin: Some(origin),
            claim: Some(self.claim),
            kept: Some(self.kept),
            hears: None,
        })
    }

    /// Read the file, or all that it holds.
    async fn extract(&self) -> Result<Step, Fault> {
        let mut tx = self.importer.db.tenant(self.claim.scope).await?;
        let bytes = originals::read(&mut tx, self.kept.id).await?.unwrap_or_default();
        drop(tx);
        let origin = self.origin();
        let source = self.source(&bytes, &origin)?;
        if let Some(id) = self.importer.unchanged(&source).await? {
            let mut report = Report::default();
            report.count(&self.work.file_name, Ok(Outcome::Unchanged(id)));
            return self.end(&report).await;
        }
        if matches!(source.media, MediaType::Zip | MediaType::Mail | MediaType::JsonLines) {
            return self.whole(source).await;
        }
        let parsed = match self.importer.extractor.extract(source.media, source.bytes).await? {
            Ok(parsed) => parsed,
            Err(unreadable) => return Ok(Step::Unreadable(unreadable)),
        };
        let extracted = serde_json::to_string(&parsed)?;
        let now = self.importer.clock.now();
        let mut tx = self.importer.db.tenant(self.claim.scope).await?;
        self.claim.require(&mut tx, now).await?;
        staged::put_extracted(&mut tx, self.claim.job, &extracted).await?;
        store_work::advance(&mut tx, self.claim.job, Stage::Extracted, None, now).await?;
        tx.commit().await?;
        Ok(Step::On)
    }

    /// Read a file that holds others. Each becomes a document by itself, in its own transaction:
    /// what is there already when the job is begun again is passed over.
    async fn whole(&self, source: Source<'_>) -> Result<Step, Fault> {
        let (kind, _) = self.work.source_key.split_once(':').unwrap_or(("upload", ""));
        let file = Whole { source, kind, path: self.work.file_name.clone() };
        let (mut report, mut seen) = (Report::default(), Sightings::default());
        let mut tally = Tally::new(&mut report, &mut seen).in_time();
        bring_in(self.importer, &file, &mut tally).await?;
        if let [SourceFailure { reason, .. }] = report.failed.as_slice()
            && report.is_empty()
        {
            return Ok(Step::Unreadable(Unreadable(reason.clone())));
        }
        self.end(&report).await
    }

    /// Cut the text.
    async fn cut(&self) -> Result<Step, Fault> {
        let mut tx = self.importer.db.tenant(self.claim.scope).await?;
        let extracted = staged::extracted(&mut tx, self.claim.job).await?;
        drop(tx);
        let extracted = extracted.ok_or_else(|| Fault::new("what was read is gone"))?;
        let parsed = serde_json::from_str(&extracted)?;
        let (name, facts) = (&self.work.file_name, Facts::default());
        let sizer = self.importer.embedder.sizer().await;
        let draft = match Draft::of(name, parsed, facts, sizer).await? {
            Ok(draft) => draft,
            Err(unreadable) => return Ok(Step::Unreadable(unreadable)),
        };
        let now = self.importer.clock.now();
        let total = i32::try_from(draft.chunks.len())?;
        let mut tx = self.importer.db.tenant(self.claim.scope).await?;
        self.claim.require(&mut tx, now).await?;
        let text = serde_json::to_string(&draft)?;
        staged::put_draft(&mut tx, self.claim.job, &text, &draft.chunks).await?;
        store_work::advance(&mut tx, self.claim.job, Stage::Chunked, Some(total), now).await?;
        tx.commit().await?;
        Ok(Step::On)
    }

    /// Embed a batch of chunks, or see that none is left, or that there is no model: then they are
    /// found by words until there is.
    async fn embed(&self) -> Result<Step, Fault> {
        let job = self.claim.job;
        let mut chunks = Vec::new();
        let mut draft = None;
        if self.importer.embeds_for(self.claim.scope, self.work.store).await? {
            let mut tx = self.importer.db.tenant(self.claim.scope).await?;
            chunks = staged::bare_chunks(&mut tx, job, BATCH).await?;
            draft = staged::draft(&mut tx, job).await?;
        }
        let mut vectors = None;
        if let (Some(draft), false) = (draft, chunks.is_empty()) {
            let draft: Draft = serde_json::from_str(&draft)?;
            let passages = chunks.iter().map(|(_, chunk)| draft.passage(chunk)).collect();
            vectors = self.importer.embedder.passages(passages).await;
        }
        let now = self.importer.clock.now();
        let mut tx = self.importer.db.tenant(self.claim.scope).await?;
        self.claim.require(&mut tx, now).await?;
        match vectors {
            Some(vectors) => {
                for ((ordinal, _), vector) in chunks.iter().zip(&vectors) {
                    staged::put_vector(&mut tx, job, *ordinal, vector).await?;
                }
                store_work::progress(&mut tx, job, i32::try_from(chunks.len())?, now).await?;
            }
            None => store_work::advance(&mut tx, job, Stage::Embedded, None, now).await?,
        }
        tx.commit().await?;
        Ok(Step::On)
    }

    /// Make it a document: all of it at once.
    async fn publish(&self) -> Result<Step, Fault> {
        let job = self.claim.job;
        let origin = self.origin();
        let source = self.source(&[], &origin)?;
        let mut tx = self.importer.db.tenant(self.claim.scope).await?;
        self.claim.require(&mut tx, self.importer.clock.now()).await?;
        let draft = staged::draft(&mut tx, job).await?;
        let draft = draft.ok_or_else(|| Fault::new("what was cut is gone"))?;
        let mut draft: Draft = serde_json::from_str(&draft)?;
        let (chunks, vectors) = staged::chunks(&mut tx, job).await?;
        draft.chunks = chunks;
        let outcome = self.importer.save(&mut tx, &source, &draft, vectors.as_deref()).await?;
        let mut report = Report::default();
        match outcome {
            Ok(outcome) => report.count(&self.work.file_name, Ok(outcome)),
            Err(unreadable) => return Ok(Step::Unreadable(unreadable)),
        }
        self.close(&mut tx, &report).await?;
        tx.commit().await?;
        Ok(Step::Over)
    }

    /// The job is over, with this.
    async fn end(&self, report: &Report) -> Result<Step, Fault> {
        let now = self.importer.clock.now();
        let mut tx = self.importer.db.tenant(self.claim.scope).await?;
        self.claim.require(&mut tx, now).await?;
        if report.is_empty() && !report.failed.is_empty() {
            let reason = "nothing that the file holds could be read";
            store_work::fail(&mut tx, self.claim.job, reason, &failures(report)?, now).await?;
        } else {
            self.close(&mut tx, report).await?;
        }
        tx.commit().await?;
        Ok(Step::Over)
    }

    async fn close(&self, tx: &mut crate::db::TenantTx, report: &Report) -> Result<(), Fault> {
        let now = self.importer.clock.now();
        store_work::publish(tx, self.claim.job, report, &failures(report)?, now).await?;
        staged::clear(tx, self.claim.job).await?;
        originals::forget(tx, self.kept.id).await?;
        Ok(())
    }
}

/// The first reasons, and how many more there are.
fn failures(report: &Report) -> Result<Value, Fault> {
    let mut first = report.failed[..report.failed.len().min(MOST_FAILURES)].to_vec();
    if let more @ 1.. = report.failed.len() - first.len() {
        let reason = "were not read either".to_owned();
        first.push(SourceFailure { source: format!("{more} more"), reason });
    }
    Ok(serde_json::to_value(first)?)
}
