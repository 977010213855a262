//! `/t/{tenant}/service-clients`: a tenant's back ends. A secret comes out once, and never again.

mod form;

use std::collections::HashMap;

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use time::{Duration, OffsetDateTime};

use super::{Admin, Desk, Notice, apps::After, back, documents::Nothing, view::Moment};
use crate::{
    audit::{Actor, Origin},
    fault::Fault,
    http::{
        Frame, Page, PageError,
        csrf::CsrfForm,
        extract::{Path, Query, ticks},
    },
    ids::{UserId, VectorStoreId},
    oauth::{
        resource::Resources,
        scope::Scope,
        services::{self, By, Proof, ServiceClient, Unchanged},
    },
    secret::Plaintext,
    sign_in::TenantAdmin,
    tenants::Tenant,
    vector_stores,
};
use form::{Form, NewBackEnd};

/// So long before the end a page begins to warn.
const SOON: Duration = Duration::days(14);

#[derive(Template)]
#[template(path = "admin/services.html")]
pub(super) struct Services {
    frame: Frame,
    base: String,
    stores_url: String,
    token_endpoint: String,
    introspection_endpoint: String,
    resource: String,
    api: String,
    services: Vec<Row>,
    stores: Vec<Choice>,
    form: Form,
    issued: Option<Issued>,
    error: Option<&'static str>,
}

struct Row {
    id: String,
    name: String,
    proof: &'static str,
    keys_at: Option<String>,
    has_secret: bool,
    /// What it may do in its stores, in words.
    may: Vec<&'static str>,
    has_stores: bool,
    may_introspect: bool,
    reads: String,
    stores: Vec<Choice>,
    revision: i32,
    last_used: Option<Moment>,
    expires: Moment,
    tone: &'static str,
    status: &'static str,
    url: String,
}

/// A vector store to tick.
#[derive(Clone, Debug)]
struct Choice {
    id: VectorStoreId,
    name: String,
    chosen: bool,
}

/// Credentials that were made a moment ago, for this one page.
struct Issued {
    name: String,
    client_id: String,
    secret: Option<Plaintext>,
}

impl Issued {
    fn secret(&self) -> Option<&str> {
        self.secret.as_ref().map(Plaintext::expose)
    }
}

/// What stands on the page besides the list.
#[derive(Default)]
struct Besides<'a> {
    form: Form,
    issued: Option<(String, Option<Plaintext>)>,
    error: Option<&'static str>,
    notice: Option<&'a str>,
}

/// `GET /t/{tenant}/service-clients`
pub(super) async fn index(
    admin: TenantAdmin,
    State(state): State<Admin>,
    Query(after): Query<After>,
) -> Result<Page<Services>, PageError> {
    let besides = Besides { notice: after.notice.as_deref(), ..Besides::default() };
    list(&admin.into(), &state, besides).await.map(Page)
}

async fn list(desk: &Desk, state: &Admin, besides: Besides<'_>) -> Result<Services, PageError> {
    let base = format!("{}/service-clients", desk.base());
    let stores = choices(state, desk).await?;
    let mut tx = state.db.control().await?;
    let clients = services::list(&mut tx, desk.tenant.id).await?;
    drop(tx);
    let named = |(client_id, secret): (String, Option<Plaintext>)| Issued {
        name: clients
            .iter()
            .find(|one| one.client_id == client_id)
            .map(|one| one.name.clone())
            .unwrap_or_default(),
        client_id,
        secret,
    };
    let issued = besides.issued.map(named);
    let now = state.clock.now();
    let origin = state.public_url.as_str();
    Ok(Services {
        frame: desk.frame("service-clients", besides.notice),
        stores_url: format!("{}/vector-stores", desk.base()),
        token_endpoint: format!("{origin}/oauth/token"),
        introspection_endpoint: format!("{origin}/oauth/introspect"),
        resource: Resources::new(&state.public_url).tenant_mcp(&desk.tenant.slug),
        api: Resources::new(&state.public_url).tenant_api(&desk.tenant.slug),
        services: clients.into_iter().map(|one| row(one, &stores, &base, now)).collect(),
        stores: besides.form.ticked(stores),
        form: besides.form,
        error: besides.error,
        issued,
        base,
    })
}

/// The tenant's vector stores, none ticked.
async fn choices(state: &Admin, desk: &Desk) -> sqlx::Result<Vec<Choice>> {
    let mut tx = state.db.tenant(desk.scope).await?;
    let stores = vector_stores::store::list(&mut tx).await?;
    let choice = |store: vector_stores::VectorStore| Choice {
        id: store.id,
        name: store.name,
        chosen: false,
    };
    Ok(stores.into_iter().map(choice).collect())
}

fn row(client: ServiceClient, stores: &[Choice], base: &str, now: OffsetDateTime) -> Row {
    let (tone, status) = if client.expires_at <= now {
        ("bad", "Expired")
    } else if client.expires_at - now < SOON {
        ("warn", "Expires soon")
    } else {
        ("good", "Active")
    };
    let stores: Vec<Choice> = stores
        .iter()
        .map(|store| Choice { chosen: client.stores.contains(&store.id), ..store.clone() })
        .collect();
    let names: HashMap<VectorStoreId, &str> =
        stores.iter().map(|store| (store.id, store.name.as_str())).collect();
    let mut reads: Vec<&str> =
        client.stores.iter().filter_map(|id| names.get(id).copied()).collect();
    reads.sort_unstable();
    let reads = if reads.is_empty() { "Nothing".to_owned() } else { reads.join(", ") };
    let (proof, keys_at) = match client.proof {
        Proof::Secret => ("Secret", None),
        Proof::Keys => ("Own key", None),
        Proof::KeysAt(url) => ("Own key", Some(url)),
    };
    Row {
        url: format!("{base}/{}", client.client_id),
        id: client.client_id,
        name: client.name,
        has_secret: proof == "Secret",
        proof,
        keys_at,
        may: words(client.scope),
        has_stores: client.scope != Scope::default(),
        may_introspect: client.may_introspect,
        reads,
        stores,
        revision: client.revision,
        last_used: client.last_used_at.map(Moment::from),
        expires: client.expires_at.into(),
        tone,
        status,
    }
}

fn words(scope: Scope) -> Vec<&'static str> {
    [
        (Scope::SEARCH_READ, "Search"),
        (Scope::DOCUMENTS_READ, "List documents"),
        (Scope::DOCUMENTS_WRITE, "Add and remove documents"),
    ]
    .into_iter()
    .filter_map(|(one, words)| scope.covers(one).then_some(words))
    .collect()
}

/// What outlives the request of an admin who closes the page.
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
pub(super) async fn create(
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
    let work = tokio::spawn(async move {
        let mut tx = act.state.db.control().await?;
        let resources = Resources::new(&act.state.public_url);
        let created = services::create(&mut tx, &resources, &act.by(), wanted).await?;
        if created.is_ok() {
            tx.commit().await?;
        }
        Ok::<_, Fault>(created)
    });
    match work.await?? {
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
pub(super) struct Seen {
    revision: String,
}

/// A form's number. What is none is the state of no back end.
fn revision(text: &str) -> i32 {
    text.parse().unwrap_or(0)
}

/// `POST /t/{tenant}/service-clients/{client}/secret`: answered with the secret too.
pub(super) async fn rotate_secret(
    admin: TenantAdmin,
    State(state): State<Admin>,
    Path((_, client_id)): Path<(String, String)>,
    origin: Origin,
    CsrfForm(seen): CsrfForm<Seen>,
) -> Result<Response, PageError> {
    let desk = Desk::from(admin);
    let act = Act::new(&state, &desk, origin);
    let client = client_id.clone();
    let work = tokio::spawn(async move {
        let mut tx = act.state.db.control().await?;
        let rotated =
            services::rotate_secret(&mut tx, &act.by(), (&client, revision(&seen.revision)))
                .await?;
        if rotated.is_ok() {
            tx.commit().await?;
        }
        Ok::<_, Fault>(rotated)
    });
    match work.await?? {
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
pub(super) struct Ticks {
    revision: String,
    #[serde(default, deserialize_with = "ticks")]
    store: Vec<String>,
}

/// `POST /t/{tenant}/service-clients/{client}/vector-stores`
pub(super) async fn choose_stores(
    admin: TenantAdmin,
    State(state): State<Admin>,
    Path((_, client_id)): Path<(String, String)>,
    origin: Origin,
    CsrfForm(ticked): CsrfForm<Ticks>,
) -> Result<Response, PageError> {
    let desk = Desk::from(admin);
    let stores = form::own(&choices(&state, &desk).await?, &ticked.store);
    let act = Act::new(&state, &desk, origin);
    let work = tokio::spawn(async move {
        let mut tx = act.state.db.control().await?;
        let seen = (client_id.as_str(), revision(&ticked.revision));
        let chosen = services::choose_stores(&mut tx, &act.by(), seen, &stores).await?;
        if chosen.is_ok() {
            tx.commit().await?;
        }
        Ok::<_, Fault>(chosen)
    });
    match work.await?? {
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
pub(super) async fn delete(
    admin: TenantAdmin,
    State(state): State<Admin>,
    Path((_, client_id)): Path<(String, String)>,
    origin: Origin,
    CsrfForm(Nothing {}): CsrfForm<Nothing>,
) -> Result<Redirect, PageError> {
    let desk = Desk::from(admin);
    let act = Act::new(&state, &desk, origin);
    let work = tokio::spawn(async move {
        let mut tx = act.state.db.control().await?;
        let gone = services::delete(&mut tx, &act.by(), &client_id).await?;
        tx.commit().await?;
        Ok::<_, Fault>(gone)
    });
    if !work.await?? {
        return Err(PageError::NotFound);
    }
    Ok(back(&format!("{}/service-clients", desk.base()), Notice::BackEndRemoved))
}
