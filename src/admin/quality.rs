//! `/t/{tenant}/quality`: how well search answers what the tenant's admins know the answers to, and
//! what assistants asked in vain.

pub(super) mod acts;
pub(super) mod choose;
mod shown;

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use self::shown::{Line, Number, Run};
use super::{
    Admin, Desk, builtin,
    forms::After,
    view::{self, Moment},
};
use crate::{
    golden,
    http::{Frame, Page, PageError, extract::Query},
    ids::VectorStoreId,
    questions,
    sign_in::TenantAdmin,
};

#[derive(Template)]
#[template(path = "admin/quality.html")]
pub(super) struct Quality {
    frame: Frame,
    base: String,
    settings_url: String,
    documents_url: String,
    vector_stores_url: String,
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
    let stores = builtin::list(&mut tx).await?;
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
        vector_stores_url: format!("{}/vector-stores", desk.base()),
        stores: stores.into_iter().map(|store| (store.id, store.name)).collect(),
        numbers: shown::numbers(&report),
        now: report.now.as_ref().map(shown::run_of),
        before: report.before.as_ref().map(shown::run_of),
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
        questions: report.questions.into_iter().map(|one| shown::line(one, &base)).collect(),
        keeps_questions,
        base,
        error: None,
        refused: Vec::new(),
        csv: String::new(),
    })
}

/// The page with a word on what was not taken.
async fn refused(
    desk: &Desk,
    state: &Admin,
    change: impl FnOnce(&mut Quality),
) -> Result<Response, PageError> {
    let mut page = page(desk, state, desk.frame("quality", None)).await?;
    change(&mut page);
    Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response())
}

impl Quality {
    fn say(&mut self, error: &str) {
        self.error = Some(error.to_owned());
    }
}
