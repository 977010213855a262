//! The part of the apps page that decides: what members asked for, and what was decided before.

use axum::{extract::State, response::Redirect};
use serde::Deserialize;

use super::{Admin, Desk, Notice, apps, back, outlive, view::Moment};
use crate::{
    audit::Origin,
    db::ControlTx,
    http::{PageError, csrf::CsrfForm, extract::Path},
    oauth::{
        approvals::{self, Approval, Decision},
        apps::AppKey,
        tenant_policy::{self, AppsRule},
    },
    sign_in::TenantAdmin,
};

/// Where apps need approval: those that wait, and those that were decided on.
pub(super) struct Lists {
    pub(super) waiting: Vec<Row>,
    pub(super) approved: Vec<Row>,
    pub(super) refused: Vec<Row>,
}

/// An app that somebody asked for, in words.
pub(super) struct Row {
    pub(super) key: AppKey,
    pub(super) name: String,
    pub(super) is_verified: bool,
    pub(super) place: String,
    pub(super) requested_by: String,
    pub(super) requested_at: Moment,
    pub(super) decided_by: String,
    pub(super) decided_at: Option<Moment>,
    pub(super) decide_url: String,
}

/// The tenant's rule in a sentence, and what there is to decide.
pub(super) async fn lists(
    tx: &mut ControlTx,
    desk: &Desk,
) -> sqlx::Result<(&'static str, Option<Lists>)> {
    let rule = tenant_policy::find(tx, desk.tenant.id).await?.apps;
    let sentence = match rule {
        AppsRule::Open => "Members connect any app.",
        AppsRule::Approval => "Members connect apps that an admin has approved.",
        AppsRule::AllowList => "Members connect apps of listed hosts.",
        AppsRule::Off => "Members connect no apps.",
    };
    if rule != AppsRule::Approval {
        return Ok((sentence, None));
    }
    let mut lists = Lists { waiting: Vec::new(), approved: Vec::new(), refused: Vec::new() };
    for approval in approvals::list(tx, desk.tenant.id).await? {
        let list = match approval.approved {
            None => &mut lists.waiting,
            Some(true) => &mut lists.approved,
            Some(false) => &mut lists.refused,
        };
        list.push(row(approval, &desk.base()));
    }
    Ok((sentence, Some(lists)))
}

fn row(approval: Approval, base: &str) -> Row {
    let unknown = || "a deleted account".to_owned();
    Row {
        key: approval.key,
        is_verified: approval.is_verified(),
        decide_url: format!("{base}/apps/{}/decide", approval.key),
        requested_by: approval.requested_by.unwrap_or_else(unknown),
        requested_at: approval.requested_at.into(),
        decided_by: approval.decided_by.unwrap_or_else(unknown),
        decided_at: approval.decided_at.map(Moment::from),
        name: approval.client_name,
        place: apps::place(approval.place),
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Decided {
    decision: String,
}

/// `POST /t/{tenant}/apps/{id}/decide`
pub(super) async fn decide(
    admin: TenantAdmin,
    State(state): State<Admin>,
    Path((_, app)): Path<(String, AppKey)>,
    origin: Origin,
    CsrfForm(decided): CsrfForm<Decided>,
) -> Result<Redirect, PageError> {
    let desk = Desk::from(admin);
    let decision = Decision::ALL
        .into_iter()
        .find(|decision| decision.name() == decided.decision)
        .ok_or(PageError::BadRequest("there is no such decision"))?;
    let by = desk.by(origin, &state.clock);
    let (tenant, path) = (desk.tenant.id, format!("{}/apps", desk.base()));
    let done = outlive(async move {
        let mut tx = state.db.control().await?;
        let done = approvals::decide(&mut tx, tenant, &app, decision, &by).await?;
        tx.commit().await?;
        Ok(done)
    });
    let notice = match decision {
        _ if !done.await? => Notice::DecidedBefore,
        Decision::Approve | Decision::ApproveAfterAll => Notice::AppApproved,
        Decision::Refuse => Notice::AppRefused,
        Decision::Withdraw => Notice::AppWithdrawn,
    };
    Ok(back(&path, notice))
}
