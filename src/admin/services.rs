//! `/t/{tenant}/service-clients`: a tenant's back ends. A secret comes out once, and never again.

pub(super) mod acts;
mod form;

use std::collections::HashMap;

use askama::Template;
use axum::extract::State;
use time::{Duration, OffsetDateTime};

use super::{Admin, Desk, forms::After, view::Moment};
use crate::{
    http::{Frame, Page, PageError, extract::Query},
    ids::VectorStoreId,
    oauth::{
        resource::Resources,
        scope::Scope,
        services::{self, Proof, ServiceClient},
    },
    secret::Plaintext,
    sign_in::TenantAdmin,
    vector_stores,
};
use form::Form;

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
