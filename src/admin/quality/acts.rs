//! What the page of golden questions does: ask them, take one away, bring in many, and put away
//! what was asked in vain.

use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::{
    super::{Admin, Desk, Notice, back, forms::Nothing},
    Quality, refused,
};
use crate::{
    db::TenantScope,
    fault::Fault,
    golden::{self, Golden},
    http::{PageError, csrf::CsrfForm, extract::Path},
    ids::GoldenQuestionId,
    sign_in::TenantAdmin,
};

/// Ask for a run, and begin it now: in a task that the request does not wait for.
async fn begin(golden: &Golden, scope: TenantScope) -> Result<(), Fault> {
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
pub(in crate::admin) async fn run(
    admin: TenantAdmin,
    State(state): State<Admin>,
    CsrfForm(Nothing {}): CsrfForm<Nothing>,
) -> Result<Redirect, PageError> {
    let desk = Desk::from(admin);
    begin(&state.golden, desk.scope).await?;
    Ok(back(&format!("{}/quality", desk.base()), Notice::RunAsked))
}

/// `POST /t/{tenant}/quality/{question}/delete`
pub(in crate::admin) async fn delete(
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
pub(in crate::admin) struct Csv {
    #[serde(default)]
    csv: String,
}

/// `POST /t/{tenant}/quality/import`
pub(in crate::admin) async fn import(
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
pub(in crate::admin) struct Dismissed {
    #[serde(default)]
    fingerprint: String,
}

/// `POST /t/{tenant}/quality/dismiss`
pub(in crate::admin) async fn dismiss(
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
