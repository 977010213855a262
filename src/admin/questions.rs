//! `POST /t/{tenant}/settings/questions`: whether the tenant's admins read what assistants ask.

use axum::{extract::State, response::Redirect};
use serde::Deserialize;

use super::{Admin, Desk, Notice, back, outlive};
use crate::{
    audit::Origin,
    http::{PageError, csrf::CsrfForm},
    questions,
    sign_in::TenantAdmin,
};

/// The one box.
#[derive(Debug, Deserialize)]
pub(super) struct Form {
    keep: Option<String>,
}

/// `POST /t/{tenant}/settings/questions`
pub(super) async fn decide(
    admin: TenantAdmin,
    State(state): State<Admin>,
    origin: Origin,
    CsrfForm(form): CsrfForm<Form>,
) -> Result<Redirect, PageError> {
    let desk = Desk::from(admin);
    let (decision, actor) = ((desk.tenant.id, form.keep.is_some()), desk.actor(origin));
    outlive(async move {
        let mut tx = state.db.control().await?;
        questions::decide(&mut tx, decision, &actor, state.clock.now()).await?;
        Ok(tx.commit().await?)
    })
    .await?;
    Ok(back(&format!("{}/settings", desk.base()), Notice::RulesSaved))
}
