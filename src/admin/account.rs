//! `/account`: a user's tenants and the apps that they have let in, wherever.

use std::collections::HashMap;

use askama::Template;
use axum::{extract::State, response::Redirect};

use super::{
    Admin, Desk, Notice, apps, back,
    forms::{After, Nothing},
    members, outlive,
};
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
    oauth::{
        self,
        apps::{By, Of},
    },
    sign_in::SignedIn,
};

#[derive(Template)]
#[template(path = "account/overview.html")]
pub(super) struct Account {
    frame: Frame,
    email: String,
    tenants: Vec<Row>,
    connections: Vec<apps::Row>,
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
    Query(after): Query<After>,
) -> Result<Page<Account>, PageError> {
    let mut names = HashMap::new();
    for (tenant, _) in &user.memberships {
        if let Some(desk) = user.clone().into_member(&tenant.slug).map(Desk::from) {
            names.extend(apps::store_names(&db, desk.scope).await?);
        }
    }
    let mut tx = db.control().await?;
    let of = Of { user: Some(user.user.id), tenant: user.session.only_in, ..Of::default() };
    let own = oauth::apps::connections(&mut tx, of, clock.now(), (apps::MOST, 0)).await?;
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
        connections: own.into_iter().map(|app| apps::row(app, &names, "/account/apps")).collect(),
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
    let by = By { user: user.user.id, only_own: true, origin, at: state.clock.now() };
    let only_in = user.session.only_in;
    let done = outlive(async move {
        let mut tx = state.db.control().await?;
        let done = oauth::apps::revoke_own(&mut tx, grant, only_in, &by).await?;
        tx.commit().await?;
        Ok(done)
    });
    if done.await? { Ok(back("/account", Notice::Revoked)) } else { Err(PageError::NotFound) }
}
