//! `/t/{tenant}/documents/ingest`: what people sent, and how far it is on its way to the list.

use askama::Template;
use axum::{extract::State, response::Redirect};
use serde::Deserialize;

use super::{
    Admin, Desk, Notice, back,
    forms::Nothing,
    upload::Refused,
    view::{self, Moment, Pager},
};
use crate::{
    audit::Origin,
    db::{Db, TenantTx},
    documents::ingest::{self, Job, Of, Stage},
    http::{
        Frame, Page, PageError,
        csrf::CsrfForm,
        extract::{Path, Query},
        sentence,
    },
    ids::IngestId,
    sign_in::TenantAdmin,
};

/// How many the page of documents shows of those that are not over.
const SHOWN: i64 = 5;

#[derive(Template)]
#[template(path = "admin/ingest.html")]
pub(super) struct Ingest {
    frame: Frame,
    base: String,
    documents_url: String,
    coming: Coming,
    pager: Pager,
}

/// Files on their way, for either page.
pub(super) struct Coming {
    pub(super) files: Vec<Row>,
    /// How many there are besides.
    pub(super) more: i64,
    /// Whether something happens by itself.
    pub(super) is_live: bool,
}

/// One of them.
pub(super) struct Row {
    pub(super) id: IngestId,
    pub(super) name: String,
    pub(super) size: String,
    pub(super) when: Moment,
    pub(super) state: String,
    pub(super) tone: &'static str,
    /// In hundredths; none once it is over.
    pub(super) progress: Option<i64>,
    /// Why it failed, or is tried again.
    pub(super) reason: Option<String>,
    /// What of it was not read.
    pub(super) failures: Vec<Refused>,
    pub(super) retry_url: Option<String>,
    pub(super) cancel_url: Option<String>,
    pub(super) is_over: bool,
}

/// Which page, and what the act before was.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Filter {
    #[serde(default)]
    page: String,
    notice: Option<String>,
}

/// `GET /t/{tenant}/documents/ingest`
pub(super) async fn index(
    admin: TenantAdmin,
    State(db): State<Db>,
    Query(filter): Query<Filter>,
) -> Result<Page<Ingest>, PageError> {
    let desk = Desk::from(admin);
    let documents_url = format!("{}/documents", desk.base());
    let base = format!("{documents_url}/ingest");
    let page = filter.page.parse().unwrap_or(1).clamp(1, 100_000);
    let mut tx = db.tenant(desk.scope).await?;
    let (jobs, total) = ingest::list(&mut tx, Of::All, (page - 1) * view::PAGE, view::PAGE).await?;
    drop(tx);
    let pager = Pager::numbered(page, jobs.len(), total, |page| format!("{base}?page={page}"));
    let coming = Coming::of(jobs, total, &base);
    let frame = desk.frame("documents", filter.notice.as_deref());
    Ok(Page(Ingest { frame, base, documents_url, coming, pager }))
}

impl Coming {
    /// What is not over, for the page of documents.
    pub(super) async fn unfinished(tx: &mut TenantTx, base: &str) -> sqlx::Result<Self> {
        let (jobs, total) = ingest::list(tx, Of::Unfinished, 0, SHOWN).await?;
        Ok(Self::of(jobs, total, &format!("{base}/ingest")))
    }

    fn of(jobs: Vec<Job>, total: i64, base: &str) -> Self {
        let shown = i64::try_from(jobs.len()).unwrap_or(i64::MAX);
        Self {
            is_live: jobs.iter().any(|job| !job.stage.is_end()),
            more: (total - shown).max(0),
            files: jobs.into_iter().map(|job| row(job, base)).collect(),
        }
    }
}

fn row(job: Job, base: &str) -> Row {
    let (state, tone) = state(&job);
    let is_over = job.stage.is_end();
    let is_failed = job.stage == Stage::Failed;
    let may_cancel = !is_over || is_failed;
    let reason = job.failure.as_deref().map(sentence);
    Row {
        state,
        tone,
        progress: (!is_over).then(|| progress(&job)),
        retry_url: is_failed.then(|| format!("{base}/{}/retry", job.id)),
        cancel_url: may_cancel.then(|| format!("{base}/{}/cancel", job.id)),
        size: view::size(job.byte_size),
        when: job.created_at.into(),
        failures: match (&reason, job.report.failed.len()) {
            // That is the reason.
            (Some(_), 1) => Vec::new(),
            _ => job.report.failed.into_iter().map(Refused::from).collect(),
        },
        reason,
        is_over,
        id: job.id,
        name: job.file_name,
    }
}

fn state(job: &Job) -> (String, &'static str) {
    let words = match job.stage {
        Stage::Received if job.attempts > 0 && !job.is_running => "Tried again soon".to_owned(),
        Stage::Received if !job.is_running => "Waiting".to_owned(),
        Stage::Received if job.chunks_done > 0 => {
            let documents = view::count(job.chunks_done.into(), "document", "documents");
            format!("Reading: {documents} so far")
        }
        Stage::Received => "Reading".to_owned(),
        Stage::Extracted => "Cutting into passages".to_owned(),
        Stage::Chunked => {
            format!("Embedding passage {} of {}", job.chunks_done, job.chunks_total)
        }
        Stage::Embedded => "Saving".to_owned(),
        Stage::Published => return published(job),
        Stage::Failed => return ("Not added".to_owned(), "bad"),
        Stage::Cancelled => return ("Cancelled".to_owned(), "neutral"),
    };
    (words, "info")
}

fn published(job: &Job) -> (String, &'static str) {
    let report = &job.report;
    let added = i64::try_from(report.added + report.updated).unwrap_or(i64::MAX);
    let words = match added {
        0 => "Was there already".to_owned(),
        1 if report.updated == 1 => "Replaced the one before".to_owned(),
        1 => "Added".to_owned(),
        many => format!("{} added", view::count(many, "document", "documents")),
    };
    (words, if report.failed.is_empty() { "good" } else { "warn" })
}

/// How far it is, in hundredths.
fn progress(job: &Job) -> i64 {
    match job.stage {
        Stage::Received if job.is_running => 10,
        Stage::Received => 2,
        Stage::Extracted => 30,
        Stage::Chunked => 40 + 50 * i64::from(job.chunks_done) / i64::from(job.chunks_total.max(1)),
        Stage::Embedded => 95,
        Stage::Published | Stage::Failed | Stage::Cancelled => 100,
    }
}

/// What a person may do with a file on its way.
#[derive(Clone, Copy)]
enum Act {
    Retry,
    Cancel,
}

/// `POST /t/{tenant}/documents/ingest/{job}/retry`
pub(super) async fn retry(
    admin: TenantAdmin,
    State(state): State<Admin>,
    Path((_, job)): Path<(String, IngestId)>,
    origin: Origin,
    CsrfForm(Nothing {}): CsrfForm<Nothing>,
) -> Result<Redirect, PageError> {
    act(&admin.into(), &state, (job, Act::Retry), origin).await
}

/// `POST /t/{tenant}/documents/ingest/{job}/cancel`
pub(super) async fn cancel(
    admin: TenantAdmin,
    State(state): State<Admin>,
    Path((_, job)): Path<(String, IngestId)>,
    origin: Origin,
    CsrfForm(Nothing {}): CsrfForm<Nothing>,
) -> Result<Redirect, PageError> {
    act(&admin.into(), &state, (job, Act::Cancel), origin).await
}

async fn act(
    desk: &Desk,
    state: &Admin,
    (job, act): (IngestId, Act),
    origin: Origin,
) -> Result<Redirect, PageError> {
    let (actor, now) = (desk.actor(origin), state.clock.now());
    let mut tx = state.db.tenant(desk.scope).await?;
    let is_done = match act {
        Act::Retry => ingest::retry(&mut tx, job, &actor, now).await?,
        Act::Cancel => ingest::cancel(&mut tx, job, &actor, now).await?,
    };
    if !is_done {
        return Err(PageError::NotFound);
    }
    tx.commit().await?;
    let notice = match act {
        Act::Retry => {
            state.importer.bell.ring();
            Notice::IngestRetried
        }
        Act::Cancel => {
            state.importer.bell.end();
            Notice::IngestCancelled
        }
    };
    Ok(back(&format!("{}/documents/ingest", desk.base()), notice))
}
