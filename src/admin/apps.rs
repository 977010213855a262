//! `/t/{tenant}/apps`: who has let which app read what; revoking ends it at its next call.

use std::collections::HashMap;

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::{
    Admin, Desk, Notice, approvals, back,
    forms::{After, Nothing},
    outlive,
    view::{self, Moment, PAGE, Pager},
};
use crate::{
    audit::Origin,
    clock::Clock,
    db::{Db, TenantScope},
    http::{
        Frame, Page, PageError,
        csrf::CsrfForm,
        extract::{Path, Query},
    },
    ids::{GrantId, VectorStoreId},
    oauth::apps::{self, AppKey, Connection, Face, Of, Summary},
    sign_in::{Member, TenantAdmin},
    tenants, vector_stores,
};

/// The most apps of one user's that a page lists.
pub(super) const MOST: i64 = 500;

/// For an admin: the apps of everybody.
#[derive(Template)]
#[template(path = "admin/apps.html")]
struct Apps {
    frame: Frame,
    base: String,
    connection: tenants::connection::Connection,
    rule: &'static str,
    approvals: Option<approvals::Lists>,
    apps: Vec<App>,
}

struct App {
    face: FaceLine,
    url: String,
    people: String,
    since: Moment,
    last_used: Option<Moment>,
}

/// For a reader: their own.
#[derive(Template)]
#[template(path = "admin/own_apps.html")]
struct OwnApps {
    frame: Frame,
    base: String,
    connection: tenants::connection::Connection,
    connections: Vec<Row>,
}

/// One app and everybody who has connected it.
#[derive(Template)]
#[template(path = "admin/app.html")]
pub(super) struct OneApp {
    frame: Frame,
    base: String,
    revoke_url: String,
    face: FaceLine,
    people: String,
    connections: Vec<Row>,
    pager: Pager,
}

/// Who an app says that it is.
pub(super) struct FaceLine {
    pub(super) name: String,
    pub(super) is_verified: bool,
    pub(super) place: String,
    pub(super) warning: Option<&'static str>,
}

impl From<Face> for FaceLine {
    fn from(face: Face) -> Self {
        let redirect = place(face.redirect_host.clone());
        let place = match face.published_by {
            Some(host) if host == face.redirect_host => host,
            Some(host) => format!("{host}, answers go to {redirect}"),
            None => redirect,
        };
        Self { name: face.client_name, is_verified: face.is_verified, place, warning: face.warning }
    }
}

/// Where an app belongs, in words.
pub(super) fn place(place: String) -> String {
    match place.as_str() {
        scheme if scheme.ends_with(':') => format!("{scheme} on the user’s device"),
        "127.0.0.1" | "[::1]" | "localhost" => "a program on the user’s device".to_owned(),
        _ => place,
    }
}

/// An app that one member has connected, in words.
pub(super) struct Row {
    pub(super) id: GrantId,
    pub(super) face: FaceLine,
    pub(super) tenant_name: String,
    pub(super) user: String,
    pub(super) scopes: &'static str,
    pub(super) stores: String,
    pub(super) times: Option<String>,
    pub(super) since: Moment,
    pub(super) last_used: Option<Moment>,
    pub(super) revoke_url: String,
}

/// `GET /t/{tenant}/apps`
pub(super) async fn index(
    member: Member,
    State(db): State<Db>,
    State(clock): State<Clock>,
    Query(after): Query<After>,
) -> Result<Response, PageError> {
    let desk = Desk::from(member);
    let (now, base) = (clock.now(), desk.base());
    let frame = desk.frame("apps", after.notice.as_deref());
    let mut tx = db.tenant(desk.scope).await?;
    let connection = tenants::connection::find(&mut tx).await?;
    drop(tx);
    let mut tx = db.control().await?;
    if desk.may_manage {
        let (rule, approvals) = approvals::lists(&mut tx, &desk).await?;
        let apps = apps::summaries(&mut tx, desk.tenant.id, None, now).await?;
        let apps = apps.into_iter().map(|app| summary(app, &base)).collect();
        return Ok(Page(Apps { frame, base, connection, rule, approvals, apps }).into_response());
    }
    let of = Of { tenant: Some(desk.tenant.id), user: Some(desk.user.id), app: None };
    let own = apps::connections(&mut tx, of, now, (MOST, 0)).await?;
    drop(tx);
    let names = store_names(&db, desk.scope).await?;
    let revoke = format!("{base}/apps");
    let connections = own.into_iter().map(|app| row(app, &names, &revoke)).collect();
    Ok(Page(OwnApps { frame, base, connection, connections }).into_response())
}

fn summary(app: Summary, base: &str) -> App {
    App {
        url: format!("{base}/apps/{}", app.key),
        people: app.only_email.unwrap_or_else(|| view::count(app.people, "person", "people")),
        since: app.created_at.into(),
        last_used: app.last_used_at.map(Moment::from),
        face: app.face.into(),
    }
}

/// Which part of a long list.
#[derive(Debug, Deserialize)]
pub(super) struct Part {
    notice: Option<String>,
    page: Option<i64>,
}

/// `GET /t/{tenant}/apps/{id}`
pub(super) async fn show(
    admin: TenantAdmin,
    State(db): State<Db>,
    State(clock): State<Clock>,
    Path((_, app)): Path<(String, AppKey)>,
    Query(part): Query<Part>,
) -> Result<Page<OneApp>, PageError> {
    let desk = Desk::from(admin);
    let mut tx = db.control().await?;
    let found = apps::summaries(&mut tx, desk.tenant.id, Some(&app), clock.now()).await?;
    let Some(known) = found.into_iter().next() else { return Err(PageError::NotFound) };
    let number = part.page.unwrap_or(1).clamp(1, 100_000);
    let of = Of { tenant: Some(desk.tenant.id), user: None, app: Some(&app) };
    let window = (PAGE, (number - 1) * PAGE);
    let shown = apps::connections(&mut tx, of, clock.now(), window).await?;
    drop(tx);
    let names = store_names(&db, desk.scope).await?;
    let (base, url) = (desk.base(), format!("{}/apps/{app}", desk.base()));
    let link = |page| format!("{url}?page={page}");
    let revoke = format!("{base}/apps");
    Ok(Page(OneApp {
        frame: desk.frame("apps", part.notice.as_deref()),
        revoke_url: format!("{url}/revoke-all"),
        people: view::count(known.people, "person", "people"),
        face: known.face.into(),
        pager: Pager::numbered(number, shown.len(), known.people, link),
        connections: shown.into_iter().map(|one| row(one, &names, &revoke)).collect(),
        base,
    }))
}

/// What the tenant's vector stores are called.
pub(super) async fn store_names(
    db: &Db,
    scope: TenantScope,
) -> sqlx::Result<HashMap<VectorStoreId, String>> {
    let mut tx = db.tenant(scope).await?;
    let stores = vector_stores::store::list(&mut tx).await?;
    Ok(stores.into_iter().map(|store| (store.id, store.name)).collect())
}

/// One connection; its revoke form posts below `base`.
pub(super) fn row(app: Connection, names: &HashMap<VectorStoreId, String>, base: &str) -> Row {
    let mut stores: Vec<&str> =
        app.stores.iter().filter_map(|id| names.get(id)).map(String::as_str).collect();
    stores.sort_unstable();
    Row {
        stores: if stores.is_empty() { "Nothing any more".to_owned() } else { stores.join(", ") },
        scopes: if app.while_away { "Search and read, also while away" } else { "Search and read" },
        times: (app.grants > 1).then(|| view::count(app.grants, "time", "times")),
        since: app.created_at.into(),
        last_used: app.last_used_at.map(Moment::from),
        revoke_url: format!("{base}/{}/revoke", app.grant),
        id: app.grant,
        face: app.face.into(),
        tenant_name: app.tenant_name,
        user: app.email,
    }
}

/// `POST /t/{tenant}/apps/{id}/revoke`, named by a grant: a reader's own, or any of the tenant for
/// an admin.
pub(super) async fn revoke(
    member: Member,
    State(state): State<Admin>,
    Path((_, grant)): Path<(String, GrantId)>,
    origin: Origin,
    CsrfForm(Nothing {}): CsrfForm<Nothing>,
) -> Result<Redirect, PageError> {
    let desk = Desk::from(member);
    let by = desk.by(origin, &state.clock);
    let (tenant, path) = (desk.tenant.id, format!("{}/apps", desk.base()));
    let done = outlive(async move {
        let mut tx = state.db.control().await?;
        let done = apps::revoke(&mut tx, tenant, grant, &by).await?;
        tx.commit().await?;
        Ok(done)
    });
    if done.await? { Ok(back(&path, Notice::Revoked)) } else { Err(PageError::NotFound) }
}

/// `POST /t/{tenant}/apps/{id}/revoke-all`
pub(super) async fn revoke_all(
    admin: TenantAdmin,
    State(state): State<Admin>,
    Path((_, app)): Path<(String, AppKey)>,
    origin: Origin,
    CsrfForm(Nothing {}): CsrfForm<Nothing>,
) -> Result<Redirect, PageError> {
    let desk = Desk::from(admin);
    let by = desk.by(origin, &state.clock);
    let (tenant, path) = (desk.tenant.id, format!("{}/apps", desk.base()));
    let done = outlive(async move {
        let mut tx = state.db.control().await?;
        let done = apps::revoke_for_everybody(&mut tx, tenant, &app, &by).await?;
        tx.commit().await?;
        Ok(done)
    });
    if done.await? { Ok(back(&path, Notice::Revoked)) } else { Err(PageError::NotFound) }
}
