//! What is wrong with the installation: the notices on the overview and operator pages.

use axum::{extract::State, response::Redirect};
use time::OffsetDateTime;

use super::{
    Admin, Notice, back,
    forms::Nothing,
    view::{self, Moment},
};
use crate::{
    audit::{self, Actor, Event, Origin},
    db::ControlTx,
    http::{PageError, csrf::CsrfForm, extract::Path},
    problems::{self, Kind, Problem},
    sign_in::Operator,
};

/// One notice.
pub(super) struct Line {
    pub(super) kind: &'static str,
    pub(super) what: &'static str,
    pub(super) remedy: &'static str,
    pub(super) detail: String,
    pub(super) last_seen: Moment,
    pub(super) times: String,
}

impl From<Problem> for Line {
    fn from(problem: Problem) -> Self {
        Self {
            kind: problem.kind.as_str(),
            what: problem.kind.what(),
            remedy: problem.kind.remedy(),
            detail: problem.detail,
            last_seen: problem.last_at.into(),
            times: view::count(problem.seen, "time", "times"),
        }
    }
}

/// What is wrong now.
pub(super) async fn lines(tx: &mut ControlTx, now: OffsetDateTime) -> sqlx::Result<Vec<Line>> {
    let problems = problems::store::list(tx, now).await?;
    Ok(problems.into_iter().map(Line::from).collect())
}

/// `POST /operator/problems/{kind}/dismiss`: until it is seen again.
pub(super) async fn dismiss(
    operator: Operator,
    State(state): State<Admin>,
    Path(kind): Path<String>,
    origin: Origin,
    CsrfForm(Nothing {}): CsrfForm<Nothing>,
) -> Result<Redirect, PageError> {
    let kind = Kind::from_name(&kind).ok_or(PageError::NotFound)?;
    let actor = Actor { user: Some(operator.user.id), origin: Some(origin) };
    let mut tx = state.db.control().await?;
    if problems::store::dismiss(&mut tx, kind).await? {
        let event = Event::new(audit::Kind::ProblemDismissed, state.clock.now())
            .by(&actor)
            .with("problem", kind.as_str());
        audit::store::append_control(&mut tx, &event).await?;
        tx.commit().await?;
    }
    Ok(back("/operator", Notice::ProblemDismissed))
}
