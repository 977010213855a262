//! `/t/{tenant}/apps`: who has let which app read what; revoking ends it at its next call.

use std::collections::HashMap;

use askama::Template;
use axum::{extract::State, response::Redirect};
use serde::Deserialize;

use super::{Admin, Desk, Notice, back, documents::Nothing, view::Moment};
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
    oauth::{self, apps::App},
    sign_in::Member,
    vector_stores,
};

#[derive(Template)]
#[template(path = "admin/apps.html")]
pub(super) struct Apps {
    frame: Frame,
    may_manage: bool,
    overview_url: String,
    apps: Vec<Row>,
}

/// A connected app in words.
pub(super) struct Row {
    pub(super) id: GrantId,
    pub(super) name: String,
    pub(super) tenant_name: String,
    pub(super) user: String,
    pub(super) redirect_host: String,
    pub(super) scopes: String,
    pub(super) stores: String,
    pub(super) since: Moment,
    pub(super) last_used: Option<Moment>,
    pub(super) revoke_url: String,
}

/// What the act before was.
#[derive(Debug, Deserialize)]
pub(super) struct After {
    pub(super) notice: Option<String>,
}

/// `GET /t/{tenant}/apps`
pub(super) async fn index(
    member: Member,
    State(db): State<Db>,
    State(clock): State<Clock>,
    Query(after): Query<After>,
) -> Result<Page<Apps>, PageError> {
    let desk = Desk::from(member);
    let mut tx = db.control().await?;
    let only = (!desk.may_manage).then_some(desk.user.id);
    let apps = oauth::apps::of_tenant(&mut tx, desk.tenant.id, only, clock.now()).await?;
    drop(tx);
    let names = store_names(&db, desk.scope).await?;
    let base = format!("{}/apps", desk.base());
    Ok(Page(Apps {
        frame: desk.frame("apps", after.notice.as_deref()),
        may_manage: desk.may_manage,
        overview_url: desk.base(),
        apps: apps.into_iter().map(|app| row(app, &names, &base)).collect(),
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

/// One app; its revoke form posts below `base`.
pub(super) fn row(app: App, names: &HashMap<VectorStoreId, String>, base: &str) -> Row {
    let mut stores: Vec<&str> =
        app.stores.iter().filter_map(|id| names.get(id)).map(String::as_str).collect();
    stores.sort_unstable();
    Row {
        stores: if stores.is_empty() { "Nothing any more".to_owned() } else { stores.join(", ") },
        scopes: scopes(&app.scope).to_owned(),
        redirect_host: redirect_host(&app.redirect_uri),
        since: app.created_at.into(),
        last_used: app.last_used_at.map(Moment::from),
        revoke_url: format!("{base}/{}/revoke", app.grant),
        id: app.grant,
        name: app.client_name,
        tenant_name: app.tenant_name,
        user: app.email,
    }
}

fn scopes(scope: &[String]) -> &'static str {
    if scope.iter().any(|scope| scope == "offline_access") {
        "Search and read, also while you are away"
    } else {
        "Search and read"
    }
}

/// Where the client is called back: a host, or the scheme of a private-use URI.
fn redirect_host(uri: &str) -> String {
    let Ok(uri) = url::Url::parse(uri) else { return String::new() };
    match (uri.scheme(), uri.host_str()) {
        ("http" | "https", Some(host)) => host.to_owned(),
        (scheme, _) => format!("{scheme}: on the user’s device"),
    }
}

/// `POST /t/{tenant}/apps/{grant}/revoke`: a reader's own, or any of the tenant for an admin.
pub(super) async fn revoke(
    member: Member,
    State(state): State<Admin>,
    Path((_, grant)): Path<(String, GrantId)>,
    origin: Origin,
    CsrfForm(Nothing {}): CsrfForm<Nothing>,
) -> Result<Redirect, PageError> {
    let desk = Desk::from(member);
    let by = oauth::apps::By {
        user: desk.user.id,
        only_own: !desk.may_manage,
        origin,
        at: state.clock.now(),
    };
    let mut tx = state.db.control().await?;
    if !oauth::apps::revoke(&mut tx, desk.tenant.id, grant, &by).await? {
        return Err(PageError::NotFound);
    }
    tx.commit().await?;
    Ok(back(&format!("{}/apps", desk.base()), Notice::Revoked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callback_is_named_by_host_or_scheme() {
        assert_eq!(redirect_host("https://chatgpt.com/connector"), "chatgpt.com");
        assert_eq!(redirect_host("http://127.0.0.1:33418/"), "127.0.0.1");
        assert_eq!(
            redirect_host("cursor://anysphere.cursor-mcp/oauth"),
            "cursor: on the user’s device"
        );
    }
}
