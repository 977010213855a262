//! `/t/{tenant}/quality`: how well search answers what the tenant's admins know the answers to, and
//! what assistants asked in vain.

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::{
    Admin, Desk, Notice,
    apps::After,
    back, document,
    documents::{Nothing, builtin_stores},
    view::{self, Moment},
};
use crate::{
    db::TenantScope,
    fault::Fault,
    golden::{self, Expected, Golden, Measured, Question, Rank, Report, Score},
    http::{
        Frame, Page, PageError,
        csrf::CsrfForm,
        extract::{Path, Query},
    },
    ids::{GoldenQuestionId, VectorStoreId},
    questions,
    search::{Reference, Target},
    sign_in::TenantAdmin,
    vector_stores,
};

#[derive(Template)]
#[template(path = "admin/quality.html")]
pub(super) struct Quality {
    frame: Frame,
    base: String,
    settings_url: String,
    documents_url: String,
    stores: Vec<(VectorStoreId, String)>,
    now: Option<Run>,
    before: Option<Run>,
    /// What is measured, in both.
    numbers: Vec<Number>,
    /// How far a run is, in words, and as parts of a whole.
    under_way: Option<(String, i32, i32)>,
    broke_off: bool,
    questions: Vec<Line>,
    keeps_questions: bool,
    unanswered: Vec<Unanswered>,
    /// What was wrong with what was sent.
    error: Option<String>,
    refused: Vec<(u64, String)>,
    csv: String,
}

struct Run {
    when: Moment,
    fingerprint: String,
    asked: String,
}

struct Number {
    name: &'static str,
    now: String,
    before: Option<String>,
    /// `better`, `worse` or nothing.
    change: &'static str,
}

struct Line {
    id: GoldenQuestionId,
    text: String,
    store: String,
    /// Title and link.
    expected: Vec<(String, String)>,
    deleted: usize,
    now: String,
    is_missed: bool,
    before: String,
    /// `better`, `worse` or nothing.
    change: &'static str,
    delete_url: String,
}

struct Unanswered {
    fingerprint: String,
    text: String,
    times: String,
    found: bool,
    when: Moment,
}

/// `GET /t/{tenant}/quality`
pub(super) async fn index(
    admin: TenantAdmin,
    State(state): State<Admin>,
    Query(after): Query<After>,
) -> Result<Page<Quality>, PageError> {
    let desk = Desk::from(admin);
    let frame = desk.frame("quality", after.notice.as_deref());
    page(&desk, &state, frame).await.map(Page)
}

/// The page, also after something that was not taken.
async fn page(desk: &Desk, state: &Admin, frame: Frame) -> Result<Quality, PageError> {
    let mut tx = state.db.tenant(desk.scope).await?;
    let report = golden::report(&mut tx).await?;
    let stores = builtin_stores(vector_stores::store::list(&mut tx).await?);
    let unanswered = state.questions.unanswered(&mut tx).await?;
    drop(tx);
    let mut tx = state.db.control().await?;
    let keeps_questions = questions::are_kept(&mut tx, desk.tenant.id).await?;
    drop(tx);
    let base = format!("{}/quality", desk.base());
    let is_golden =
        |text: &str| report.questions.iter().any(|(question, ..)| question.text == text);
    Ok(Quality {
        frame,
        settings_url: format!("{}/settings", desk.base()),
        documents_url: format!("{}/documents", desk.base()),
        stores: stores.into_iter().map(|store| (store.id, store.name)).collect(),
        numbers: numbers(&report),
        now: report.now.as_ref().map(run_of),
        before: report.before.as_ref().map(run_of),
        under_way: report.under_way.map(|progress| {
            let words = match progress.of {
                0 => "The questions are asked in a moment.".to_owned(),
                of => format!(
                    "Asking: {} of {}.",
                    progress.asked,
                    view::count(of.into(), "question", "questions")
                ),
            };
            (words, progress.asked, progress.of.max(1))
        }),
        broke_off: report.broke_off,
        unanswered: unanswered
            .into_iter()
            .filter(|one| !golden::question(&one.text).is_some_and(|text| is_golden(&text)))
            .map(|one| Unanswered {
                times: view::count(one.times, "time", "times"),
                when: one.last_at.into(),
                fingerprint: one.fingerprint,
                text: one.text,
                found: one.found,
            })
            .collect(),
        questions: report.questions.into_iter().map(|one| line(one, &base)).collect(),
        keeps_questions,
        base,
        error: None,
        refused: Vec::new(),
        csv: String::new(),
    })
}

fn run_of(measured: &Measured) -> Run {
    let asked = i64::try_from(measured.score.asked).unwrap_or(i64::MAX);
    Run {
        when: measured.at.into(),
        fingerprint: measured.fingerprint.clone(),
        asked: view::count(asked, "question", "questions"),
    }
}

/// The newest run's numbers, and beside them what the one before the last change had, over the
/// questions that both asked.
fn numbers(report: &Report) -> Vec<Number> {
    let Some(now) = &report.now else { return Vec::new() };
    let before = report.before.as_ref().map(|before| before.score);
    let number = |name, value: fn(&Score) -> f64, print: fn(f64) -> String| {
        let change = before.map(|before| change(value(&report.now_of_before), value(&before)));
        Number {
            name,
            now: print(value(&now.score)),
            before: before.map(|before| print(value(&before))),
            change: change.unwrap_or_default(),
        }
    };
    let percent = |value: f64| format!("{value:.0} %");
    vec![
        number("First result", |score| score.percent(score.first), percent),
        number("Among the first 5", |score| score.percent(score.five), percent),
        number("Among the first 10", |score| score.percent(score.ten), percent),
        number(
            "Mean reciprocal rank",
            |score| score.mean_reciprocal_rank,
            |value| format!("{value:.2}"),
        ),
    ]
}

fn change(now: f64, before: f64) -> &'static str {
    if (now - before).abs() < 1e-9 {
        ""
    } else if now > before {
        "better"
    } else {
        "worse"
    }
}

fn line((question, now, before): (Question, Rank, Rank), base: &str) -> Line {
    // The higher the better; a question that was not asked cannot be compared.
    let worth = |rank| match rank {
        Rank::At(rank) => Some(1.0 / f64::from(rank)),
        Rank::Missed => Some(0.0),
        Rank::Unasked => None,
    };
    let words = |rank, unasked: &str| match rank {
        Rank::At(rank) => format!("No. {rank}"),
        Rank::Missed => "not found".to_owned(),
        Rank::Unasked => unasked.to_owned(),
    };
    let mut expected = Vec::new();
    let mut deleted = 0;
    for one in question.expected {
        match one {
            Expected::There { id, title } => {
                let document = Target::Builtin { document: id, chunk: u32::MAX };
                let reference = Reference { store: question.store, document };
                expected.push((title, document::link_to(&reference)));
            }
            Expected::Deleted => deleted += 1,
        }
    }
    Line {
        delete_url: format!("{base}/{}/delete", question.id),
        change: match (worth(now), worth(before)) {
            (Some(now), Some(before)) => change(now, before),
            _ => "",
        },
        now: words(now, if expected.is_empty() { "not asked" } else { "not asked yet" }),
        is_missed: now == Rank::Missed,
        before: words(before, "–"),
        id: question.id,
        text: question.text,
        store: question.store_name,
        expected,
        deleted,
    }
}

/// The page with a word on what was not taken.
pub(super) async fn refused(
    desk: &Desk,
    state: &Admin,
    change: impl FnOnce(&mut Quality),
) -> Result<Response, PageError> {
    let mut page = page(desk, state, desk.frame("quality", None)).await?;
    change(&mut page);
    Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response())
}

impl Quality {
    pub(super) fn say(&mut self, error: &str) {
        self.error = Some(error.to_owned());
    }
}

/// Ask for a run, and begin it now: in a task that the request does not wait for.
pub(super) async fn begin(golden: &Golden, scope: TenantScope) -> Result<(), Fault> {
    golden.want(scope).await?;
    let golden = golden.clone();
    tokio::spawn(async move {
        if let Err(fault) = golden.work(Some(scope), &|_, _| ()).await {
            fault.log();
        }
    });
    Ok(())
}

/// `POST /t/{tenant}/quality/run`
pub(super) async fn run(
    admin: TenantAdmin,
    State(state): State<Admin>,
    CsrfForm(Nothing {}): CsrfForm<Nothing>,
) -> Result<Redirect, PageError> {
    let desk = Desk::from(admin);
    begin(&state.golden, desk.scope).await?;
    Ok(back(&format!("{}/quality", desk.base()), Notice::RunAsked))
}

/// `POST /t/{tenant}/quality/{question}/delete`
pub(super) async fn delete(
    admin: TenantAdmin,
    State(state): State<Admin>,
    Path((_, question)): Path<(String, GoldenQuestionId)>,
    CsrfForm(Nothing {}): CsrfForm<Nothing>,
) -> Result<Redirect, PageError> {
    let desk = Desk::from(admin);
    let mut tx = state.db.tenant(desk.scope).await?;
    if !golden::store::delete(&mut tx, question).await? {
        return Err(PageError::NotFound);
    }
    tx.commit().await?;
    Ok(back(&format!("{}/quality", desk.base()), Notice::QuestionRemoved))
}

/// Lines to import.
#[derive(Debug, Deserialize)]
pub(super) struct Csv {
    #[serde(default)]
    csv: String,
}

/// `POST /t/{tenant}/quality/import`
pub(super) async fn import(
    admin: TenantAdmin,
    State(state): State<Admin>,
    CsrfForm(Csv { csv }): CsrfForm<Csv>,
) -> Result<Response, PageError> {
    let desk = Desk::from(admin);
    let lines = match golden::lines(&csv) {
        Ok(lines) if lines.is_empty() => {
            return refused(&desk, &state, |page| page.say("There is no line to add.")).await;
        }
        Ok(lines) => lines,
        Err(reason) => {
            let change = |page: &mut Quality| {
                page.say(&reason);
                page.csv = csv;
            };
            return refused(&desk, &state, change).await;
        }
    };
    let mut tx = state.db.tenant(desk.scope).await?;
    let imported = golden::import(&mut tx, &state.clock, &lines).await?;
    tx.commit().await?;
    if imported.failed.is_empty() {
        let path = format!("{}/quality", desk.base());
        return Ok(back(&path, Notice::QuestionAdded).into_response());
    }
    refused(&desk, &state, |page| page.refused = imported.failed).await
}

/// A question to put away.
#[derive(Debug, Deserialize)]
pub(super) struct Dismissed {
    #[serde(default)]
    fingerprint: String,
}

/// `POST /t/{tenant}/quality/dismiss`
pub(super) async fn dismiss(
    admin: TenantAdmin,
    State(state): State<Admin>,
    CsrfForm(Dismissed { fingerprint }): CsrfForm<Dismissed>,
) -> Result<Redirect, PageError> {
    let desk = Desk::from(admin);
    if fingerprint.len() != 32 || !fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(PageError::BadRequest("there is no such question"));
    }
    let mut tx = state.db.tenant(desk.scope).await?;
    state.questions.dismiss(&mut tx, &fingerprint).await?;
    tx.commit().await?;
    Ok(back(&format!("{}/quality", desk.base()), Notice::QuestionDismissed))
}
