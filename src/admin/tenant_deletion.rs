//! `/t/{tenant}/settings/delete`: the end of a tenant, for its owners.

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use time::Duration;

use super::{Admin, Desk, outlive, view};
use crate::{
    audit::Origin,
    db::Db,
    documents,
    http::{Frame, Page, PageError, csrf::CsrfForm},
    sign_in::TenantAdmin,
    tenants::{self, Role, deletion},
    vector_stores,
};

/// Who deletes a tenant has signed in no longer ago than this (spec row W-37).
const FRESH: Duration = Duration::minutes(10);
const ONLY_OWNERS: PageError = PageError::Forbidden("only an owner of this tenant may delete it");

#[derive(Template)]
#[template(path = "admin/tenant_deletion.html")]
struct Deletion {
    frame: Frame,
    base: String,
    name: String,
    /// What goes, in words.
    goes: Vec<String>,
    is_fresh: bool,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "admin/tenant_deleted.html")]
struct Deleted {
    frame: Frame,
    name: String,
}

/// What was typed.
#[derive(Debug, Deserialize)]
pub(super) struct Form {
    #[serde(default)]
    confirm: String,
}

/// `GET /t/{tenant}/settings/delete`
pub(super) async fn index(
    admin: TenantAdmin,
    State(state): State<Admin>,
) -> Result<Page<impl Template>, PageError> {
    if admin.role != Role::Owner {
        return Err(ONLY_OWNERS);
    }
    let is_fresh = is_fresh(&admin, &state);
    page(&Desk::from(admin), &state.db, is_fresh, None).await.map(Page)
}

fn is_fresh(admin: &TenantAdmin, state: &Admin) -> bool {
    state.clock.now() - admin.session.created_at <= FRESH
}

async fn page(
    desk: &Desk,
    db: &Db,
    is_fresh: bool,
    error: Option<String>,
) -> Result<Deletion, PageError> {
    let mut tx = db.tenant(desk.scope).await?;
    let (documents, bytes) = documents::store::usage(&mut tx).await?;
    let stores = vector_stores::store::list(&mut tx).await?.len();
    drop(tx);
    let mut tx = db.control().await?;
    let members = tenants::store::members(&mut tx, desk.tenant.id).await?.len();
    let count = |number: usize, one, many| {
        view::count(i64::try_from(number).unwrap_or(i64::MAX), one, many)
    };
    Ok(Deletion {
        frame: desk.frame("settings", None),
        base: format!("{}/settings", desk.base()),
        name: desk.tenant.name.clone(),
        goes: vec![
            format!(
                "{} ({}), with everything that was made of them",
                view::count(documents, "document", "documents"),
                view::size(bytes)
            ),
            format!("{}, keys included", count(stores, "vector store", "vector stores")),
            format!("{}: people keep their accounts", count(members, "membership", "memberships")),
            "Every connected app and back end: their next call is refused".to_owned(),
        ],
        is_fresh,
        error,
    })
}

/// `POST /t/{tenant}/settings/delete`
pub(super) async fn delete(
    admin: TenantAdmin,
    State(state): State<Admin>,
    origin: Origin,
    CsrfForm(form): CsrfForm<Form>,
) -> Result<Response, PageError> {
    if admin.role != Role::Owner {
        return Err(ONLY_OWNERS);
    }
    let is_fresh = is_fresh(&admin, &state);
    let desk = Desk::from(admin);
    let wrong = if form.confirm.trim() == desk.tenant.name { None } else { Some(WRONG_NAME) };
    if !is_fresh || wrong.is_some() {
        let page = page(&desk, &state.db, is_fresh, wrong.map(str::to_owned)).await?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response());
    }
    let (tenant, actor) = (desk.tenant.clone(), desk.actor(origin));
    outlive(async move {
        let mut tx = state.db.control().await?;
        deletion::begin(&mut tx, &tenant, &actor, state.clock.now()).await?;
        Ok(tx.commit().await?)
    })
    .await?;
    let frame = Frame { tenant: None, tenants: Vec::new(), ..desk.frame.clone() };
    Ok(Page(Deleted { frame, name: desk.tenant.name }).into_response())
}

const WRONG_NAME: &str = "That is not the tenant’s name. Nothing was deleted.";
