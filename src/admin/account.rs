//! `/account`: a user's tenants and the apps that they have let in, wherever.

use std::collections::HashMap;

use askama::Template;
use axum::{extract::State, response::Redirect};

use super::{Admin, Desk, Notice, apps, back, documents::Nothing, members};
use crate::{
    audit::Origin,
    clock::Clock,
    db::Db,
    http::{
        Frame, Page, PageError,
        csrf::CsrfForm,
        extract::{Path, Query},
    },
    ids::GrantId,
    oauth,
    sign_in::SignedIn,
};

#[derive(Template)]
#[template(path = "account/overview.html")]
pub(super) struct Account {
    frame: Frame,
    email: String,
    tenants: Vec<Row>,
    apps: Vec<apps::Row>,
}

struct Row {
    name: String,
    url: String,
    role: &'static str,
    tone: &'static str,
}

/// `GET /account`
pub(super) async fn index(
    user: SignedIn,
    State(db): State<Db>,
    State(clock): State<Clock>,
    Query(after): Query<apps::After>,
) -> Result<Page<Account>, PageError> {
    let mut names = HashMap::new();
    for (tenant, _) in &user.memberships {
        if let Some(desk) = user.clone().into_member(&tenant.slug).map(Desk::from) {
            names.extend(apps::store_names(&db, desk.scope).await?);
        }
    }
    let mut tx = db.control().await?;
    let apps = oauth::apps::of_user(&mut tx, user.user.id, clock.now()).await?;
    drop(tx);
    let tenants = user.memberships.iter().map(|(tenant, role)| Row {
        name: tenant.name.clone(),
        url: format!("/t/{}", tenant.slug),
        role: members::role(*role),
        tone: members::tone(*role),
    });
    Ok(Page(Account {
        tenants: tenants.collect(),
        frame: Frame { notice: Notice::named(after.notice.as_deref()), ..user.frame },
        email: user.user.email,
        apps: apps.into_iter().map(|app| apps::row(app, &names, "/account/apps")).collect(),
    }))
}

/// `POST /account/apps/{grant}/revoke`
pub(super) async fn revoke(
    user: SignedIn,
    State(state): State<Admin>,
    Path(grant): Path<GrantId>,
    origin: Origin,
    CsrfForm(Nothing {}): CsrfForm<Nothing>,
) -> Result<Redirect, PageError> {
    let now = state.clock.now();
    let mut tx = state.db.control().await?;
    let apps = oauth::apps::of_user(&mut tx, user.user.id, now).await?;
    let Some(app) = apps.into_iter().find(|app| app.grant == grant) else {
        return Err(PageError::NotFound);
    };
    let by = oauth::apps::By { user: user.user.id, only_own: true, origin, at: now };
    if !oauth::apps::revoke(&mut tx, app.tenant, grant, &by).await? {
        return Err(PageError::NotFound);
    }
    tx.commit().await?;
    Ok(back("/account", Notice::Revoked))
}
