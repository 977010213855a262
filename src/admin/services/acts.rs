//! What the page of back ends does: add one, give it a new secret or other stores, remove it. All of
//! it outlives the request of an admin who closes the page.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::{
    super::{Admin, Desk, Notice, back, forms::Nothing, outlive},
    Besides, choices,
    form::{self, Form, NewBackEnd},
    list,
};
use crate::{
    audit::{Actor, Origin},
    http::{
        Page, PageError,
        csrf::CsrfForm,
        extract::{Path, ticks},
    },
    ids::UserId,
    oauth::{
        resource::Resources,
        services::{self, By, Unchanged},
    },
    sign_in::TenantAdmin,
    tenants::Tenant,
};

/// Who acts, and on what.
struct Act {
    state: Admin,
    tenant: Tenant,
    user: UserId,
    actor: Actor,
}

impl Act {
    fn new(state: &Admin, desk: &Desk, origin: Origin) -> Self {
        Self {
            state: state.clone(),
            tenant: desk.tenant.clone(),
            user: desk.user.id,
            actor: desk.actor(origin),
        }
    }

    fn by(&self) -> By<'_> {
        let at = self.state.clock.now();
        By { tenant: &self.tenant, user: self.user, actor: &self.actor, at }
    }
}

/// `POST /t/{tenant}/service-clients`: answered with the secret, so with a page and no redirect.
pub(in crate::admin) async fn create(
    admin: TenantAdmin,
    State(state): State<Admin>,
    origin: Origin,
    CsrfForm(new): CsrfForm<NewBackEnd>,
) -> Result<Response, PageError> {
    let desk = Desk::from(admin);
    let stores = choices(&state, &desk).await?;
    let (form, wanted) = new.check(&stores, &state.stores.outbound)?;
    let Some(wanted) = wanted else { return refused(&desk, &state, form).await };
    let act = Act::new(&state, &desk, origin);
    let work = outlive(async move {
        let mut tx = act.state.db.control().await?;
        let resources = Resources::new(&act.state.public_url);
        let created = services::create(&mut tx, &resources, &act.by(), wanted).await?;
        if created.is_ok() {
            tx.commit().await?;
        }
        Ok(created)
    });
    match work.await? {
        Ok(created) => {
            let issued = Some((created.client_id, created.secret));
            let besides = Besides { issued, ..Besides::default() };
            Ok(Page(list(&desk, &state, besides).await?).into_response())
        }
        Err(unchanged) => refused(&desk, &state, form.refused(unchanged)).await,
    }
}

async fn refused(desk: &Desk, state: &Admin, form: Form) -> Result<Response, PageError> {
    let page = list(desk, state, Besides { form, ..Besides::default() }).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response())
}

/// The state of a back end that the admin had before them.
#[derive(Debug, Deserialize)]
pub(in crate::admin) struct Seen {
    revision: String,
}

/// A form's number. What is none is the state of no back end.
fn revision(text: &str) -> i32 {
    text.parse().unwrap_or(0)
}

/// `POST /t/{tenant}/service-clients/{client}/secret`: answered with the secret too.
pub(in crate::admin) async fn rotate_secret(
    admin: TenantAdmin,
    State(state): State<Admin>,
    Path((_, client_id)): Path<(String, String)>,
    origin: Origin,
    CsrfForm(seen): CsrfForm<Seen>,
) -> Result<Response, PageError> {
    let desk = Desk::from(admin);
    let act = Act::new(&state, &desk, origin);
    let client = client_id.clone();
    let work = outlive(async move {
        let mut tx = act.state.db.control().await?;
        let rotated =
            services::rotate_secret(&mut tx, &act.by(), (&client, revision(&seen.revision)))
                .await?;
        if rotated.is_ok() {
            tx.commit().await?;
        }
        Ok(rotated)
    });
    match work.await? {
        Ok(secret) => {
            let issued = Some((client_id, Some(secret)));
            let besides = Besides { issued, ..Besides::default() };
            Ok(Page(list(&desk, &state, besides).await?).into_response())
        }
        Err(unchanged) => conflict(&desk, &state, unchanged).await,
    }
}

/// The ticks, and the state that the admin had before them.
#[derive(Debug, Deserialize)]
pub(in crate::admin) struct Ticks {
    revision: String,
    #[serde(default, deserialize_with = "ticks")]
    store: Vec<String>,
}

/// `POST /t/{tenant}/service-clients/{client}/vector-stores`
pub(in crate::admin) async fn choose_stores(
    admin: TenantAdmin,
    State(state): State<Admin>,
    Path((_, client_id)): Path<(String, String)>,
    origin: Origin,
    CsrfForm(ticked): CsrfForm<Ticks>,
) -> Result<Response, PageError> {
    let desk = Desk::from(admin);
    let stores = form::own(&choices(&state, &desk).await?, &ticked.store);
    let act = Act::new(&state, &desk, origin);
    let work = outlive(async move {
        let mut tx = act.state.db.control().await?;
        let seen = (client_id.as_str(), revision(&ticked.revision));
        let chosen = services::choose_stores(&mut tx, &act.by(), seen, &stores).await?;
        if chosen.is_ok() {
            tx.commit().await?;
        }
        Ok(chosen)
    });
    match work.await? {
        Ok(()) => {
            let path = format!("{}/service-clients", desk.base());
            Ok(back(&path, Notice::BackEndChanged).into_response())
        }
        Err(unchanged) => conflict(&desk, &state, unchanged).await,
    }
}

async fn conflict(desk: &Desk, state: &Admin, unchanged: Unchanged) -> Result<Response, PageError> {
    let error = match unchanged {
        Unchanged::NotFound | Unchanged::NothingToChange => return Err(PageError::NotFound),
        Unchanged::StoreGone => "A vector store was removed meanwhile. Nothing was changed.",
        Unchanged::Stale | Unchanged::NameTaken | Unchanged::TooMany => {
            "Somebody else changed this back end meanwhile. Nothing was changed now: look at it \
             again, then decide."
        }
    };
    let page = list(desk, state, Besides { error: Some(error), ..Besides::default() }).await?;
    Ok((StatusCode::CONFLICT, Page(page)).into_response())
}

/// `POST /t/{tenant}/service-clients/{client}/delete`
pub(in crate::admin) async fn delete(
    admin: TenantAdmin,
    State(state): State<Admin>,
    Path((_, client_id)): Path<(String, String)>,
    origin: Origin,
    CsrfForm(Nothing {}): CsrfForm<Nothing>,
) -> Result<Redirect, PageError> {
    let desk = Desk::from(admin);
    let act = Act::new(&state, &desk, origin);
    let work = outlive(async move {
        let mut tx = act.state.db.control().await?;
        let gone = services::delete(&mut tx, &act.by(), &client_id).await?;
        tx.commit().await?;
        Ok(gone)
    });
    if !work.await? {
        return Err(PageError::NotFound);
    }
    Ok(back(&format!("{}/service-clients", desk.base()), Notice::BackEndRemoved))
}
