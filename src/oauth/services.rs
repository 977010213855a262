//! A tenant's back ends: confidential clients that its admins make, and no one else.
//!
//! Each has what its admin gave it: leave to search some vector stores in its own name (OAuth 2.1
//! §4.2), leave to ask what a token of the tenant's is good for (RFC 7662), or both, and a day on
//! which that ends. The first is a grant without a user; `liveness` looks after it like any other.

use serde_json::{Map, Value};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

pub use super::{key_metadata::public_keys, store_services::list};

use super::{
    client::{AuthMethod, Client, GrantType, Source},
    client_name,
    resource::Resources,
    scope::Scope,
    store_clients,
    store_grants::{self, Grant},
    store_services, tenant_policy,
};
use crate::{
    audit::{self, Actor, Event, Kind},
    db::ControlTx,
    ids::{GrantId, UserId, VectorStoreId},
    secret::{self, Plaintext},
    tenants::Tenant,
};

/// The most that one tenant has.
const MOST: usize = 100;

/// A back end, as its tenant's admins see it.
#[derive(Clone, Debug)]
pub struct ServiceClient {
    /// Its `client_id`.
    pub client_id: String,
    /// What an admin called it; unique in the tenant.
    pub name: String,
    /// How it proves who it is.
    pub proof: Proof,
    /// Whether it may buy tokens in its own name.
    pub scope: Scope,
    /// Whether it may introspect the tenant's tokens.
    pub may_introspect: bool,
    /// The vector stores that it may do this in and that still exist.
    pub stores: Vec<VectorStoreId>,
    /// Since when.
    pub created_at: OffsetDateTime,
    /// Until when.
    pub expires_at: OffsetDateTime,
    /// When it last called, give or take an hour.
    pub last_used_at: Option<OffsetDateTime>,
    /// Moves with every change.
    pub revision: i32,
}

/// How a back end proves who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// By a secret that we made.
    Secret,
    /// By a key whose public half an admin pasted.
    Keys,
    /// By a key whose public half is at this URL.
    KeysAt(String),
}

/// How a new back end is to prove who it is.
#[derive(Clone, Debug)]
pub enum NewProof {
    /// Make it a secret.
    Secret,
    /// By these public keys: RFC 7517 §5.
    Keys(Value),
    /// By the public keys at this https URL.
    KeysAt(String),
}

/// A back end that an admin wants.
#[derive(Clone, Debug)]
pub struct New {
    /// As [`clean_name`] has it.
    pub name: String,
    /// How it proves who it is.
    pub proof: NewProof,
    /// What it may do in its own name.
    pub scope: Scope,
    /// In which vector stores.
    pub stores: Vec<VectorStoreId>,
    /// Whether it may introspect the tenant's tokens.
    pub may_introspect: bool,
    /// How long it lives.
    pub life: Duration,
}

/// Who acts, in which tenant, when.
#[derive(Clone, Debug)]
pub struct By<'a> {
    /// Where.
    pub tenant: &'a Tenant,
    /// The admin.
    pub user: UserId,
    /// The same for the audit.
    pub actor: &'a Actor,
    /// When.
    pub at: OffsetDateTime,
}

/// A back end that was made.
#[derive(Debug)]
pub struct Created {
    /// Its `client_id`.
    pub client_id: String,
    /// Its secret, where it has one: to be shown this once.
    pub secret: Option<Plaintext>,
}

/// Why nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unchanged {
    /// Another back end of the tenant has this name.
    NameTaken,
    /// The tenant has as many as it may have.
    TooMany,
    /// A vector store was removed meanwhile.
    StoreGone,
    /// There is no such back end in the tenant.
    NotFound,
    /// Somebody else changed it since the caller looked.
    Stale,
    /// It has no secret, or searches nothing: there is nothing to change.
    NothingToChange,
}

/// A name as it is kept; `None` when it is empty or longer than 60 characters.
#[must_use]
pub fn clean_name(text: &str) -> Option<String> {
    client_name::clean(text).filter(|name| !name.is_empty())
}

/// Make a back end, with its grant and its event.
///
/// # Errors
/// When the database fails.
pub async fn create(
    tx: &mut ControlTx,
    resources: &Resources,
    by: &By<'_>,
    new: New,
) -> sqlx::Result<Result<Created, Unchanged>> {
    // Admins take turns, so that of two who choose one name one is told.
    tenant_policy::hold_to_change(tx, by.tenant.id).await?;
    let names = store_services::names(tx, by.tenant.id).await?;
    if names.len() >= MOST {
        return Ok(Err(Unchanged::TooMany));
    }
    if names.iter().any(|name| name.to_lowercase() == new.name.to_lowercase()) {
        return Ok(Err(Unchanged::NameTaken));
    }
    let expires_at = by.at + new.life;
    let (client, secret) = client(&new);
    store_clients::create(tx, &client, by.at).await?;
    let mut grant = None;
    if new.scope != Scope::default() {
        let new_grant = grant_of(&client, resources, by, (new.scope, expires_at));
        grant = Some(new_grant.id);
        if is_gone(store_grants::create(tx, &new_grant, &new.stores, by.at).await)? {
            return Ok(Err(Unchanged::StoreGone));
        }
    }
    let row = store_services::NewRow {
        tenant: by.tenant.id,
        client_id: &client.client_id,
        grant,
        may_introspect: new.may_introspect,
        created_by: by.user,
        expires_at,
    };
    store_services::create(tx, row, by.at).await?;
    let event = event(Kind::ServiceClientCreated, by, (&client.client_id, &client.client_name))
        .with("may_introspect", new.may_introspect)
        .with("scope", new.scope.to_string())
        .with("vector_stores", ids(&new.stores))
        .with("expires_at", expires_at.unix_timestamp());
    audit::store::append_control(tx, &event).await?;
    Ok(Ok(Created { client_id: client.client_id, secret }))
}

/// The client, and its secret where it has one.
fn client(new: &New) -> (Client, Option<Plaintext>) {
    let (methods, jwks, jwks_uri) = match &new.proof {
        NewProof::Secret => {
            (vec![AuthMethod::ClientSecretBasic, AuthMethod::ClientSecretPost], None, None)
        }
        NewProof::Keys(keys) => (vec![AuthMethod::PrivateKeyJwt], Some(keys.clone()), None),
        NewProof::KeysAt(url) => (vec![AuthMethod::PrivateKeyJwt], None, Some(url.clone())),
    };
    let secret = matches!(new.proof, NewProof::Secret)
        .then(|| Plaintext::generate(secret::Kind::ClientSecret));
    let client = Client {
        client_id: Uuid::new_v4().to_string(),
        client_name: new.name.clone(),
        source: Source::Tenant,
        redirect_uris: Vec::new(),
        grant_types: match new.scope == Scope::default() {
            true => Vec::new(),
            false => vec![GrantType::ClientCredentials],
        },
        token_endpoint_auth_methods: methods,
        secret_hash: secret.as_ref().map(Plaintext::hash),
        jwks,
        jwks_uri,
        dpop_bound: false,
        version: 1,
        last_used_at: None,
        service: None,
        metadata: Map::new(),
    };
    (client, secret)
}

fn grant_of(
    client: &Client,
    resources: &Resources,
    by: &By<'_>,
    (scope, expires_at): (Scope, OffsetDateTime),
) -> Grant {
    let slug = &by.tenant.slug;
    // What its tokens are for where it names no resource.
    let resource = match scope.covers(Scope::SEARCH_READ) {
        true => resources.tenant_mcp(slug),
        false => resources.tenant_api(slug),
    };
    Grant {
        id: GrantId::new(),
        tenant: by.tenant.id,
        user: None,
        client_id: client.client_id.clone(),
        client_version: client.version,
        redirect_uri: String::new(),
        resource,
        resource_was_sent: true,
        scope,
        dpop_jkt: None,
        expires_at,
    }
}

/// Put a new secret in the place of the old one, which proves nothing from the commit on. Of any
/// number of racing callers who saw the same `revision`, one gets a secret.
///
/// # Errors
/// When the database fails.
pub async fn rotate_secret(
    tx: &mut ControlTx,
    by: &By<'_>,
    (client_id, revision): (&str, i32),
) -> sqlx::Result<Result<Plaintext, Unchanged>> {
    let changed = match store_services::advance(tx, by.tenant.id, client_id, revision).await? {
        None => return Ok(Err(Unchanged::NotFound)),
        Some(changed) if !changed.was_current => return Ok(Err(Unchanged::Stale)),
        Some(changed) => changed,
    };
    let secret = Plaintext::generate(secret::Kind::ClientSecret);
    if !store_services::replace_secret(tx, client_id, &secret.hash()).await? {
        return Ok(Err(Unchanged::NothingToChange));
    }
    let event = event(Kind::ServiceClientSecretRotated, by, (client_id, &changed.name));
    audit::store::append_control(tx, &event).await?;
    Ok(Ok(secret))
}

/// Choose anew what a back end may search: from its next call on.
///
/// # Errors
/// When the database fails.
pub async fn choose_stores(
    tx: &mut ControlTx,
    by: &By<'_>,
    (client_id, revision): (&str, i32),
    stores: &[VectorStoreId],
) -> sqlx::Result<Result<(), Unchanged>> {
    let changed = match store_services::advance(tx, by.tenant.id, client_id, revision).await? {
        None => return Ok(Err(Unchanged::NotFound)),
        Some(changed) if !changed.was_current => return Ok(Err(Unchanged::Stale)),
        Some(changed) => changed,
    };
    let Some(grant) = changed.grant else { return Ok(Err(Unchanged::NothingToChange)) };
    if is_gone(store_services::replace_stores(tx, by.tenant.id, grant, stores).await)? {
        return Ok(Err(Unchanged::StoreGone));
    }
    let event = event(Kind::ServiceClientChanged, by, (client_id, &changed.name))
        .with("vector_stores", ids(stores));
    audit::store::append_control(tx, &event).await?;
    Ok(Ok(()))
}

/// End a back end, with everything that it holds. `false` when there is none.
///
/// # Errors
/// When the database fails.
pub async fn delete(tx: &mut ControlTx, by: &By<'_>, client_id: &str) -> sqlx::Result<bool> {
    let Some(gone) = store_services::delete(tx, by.tenant.id, client_id, by.at).await? else {
        return Ok(false);
    };
    let mut event = event(Kind::ServiceClientDeleted, by, (client_id, &gone.name));
    if let Some(grant) = gone.grant {
        event = event.grant(grant);
    }
    audit::store::append_control(tx, &event).await?;
    Ok(true)
}

/// The client is what the event is about, and not through what it was done.
fn event(kind: Kind, by: &By<'_>, (client_id, name): (&str, &str)) -> Event {
    Event::new(kind, by.at)
        .tenant(by.tenant.id)
        .by(by.actor)
        .with("client_id", client_id)
        .with("client_name", name)
}

fn ids(stores: &[VectorStoreId]) -> Vec<String> {
    stores.iter().map(ToString::to_string).collect()
}

/// Whether a store that was named has been removed meanwhile: the transaction is lost then.
fn is_gone(done: sqlx::Result<()>) -> sqlx::Result<bool> {
    match done {
        Ok(()) => Ok(false),
        Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => Ok(true),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_visible_line() {
        assert_eq!(clean_name("  Billing\n bot ").as_deref(), Some("Billing bot"));
        assert_eq!(clean_name(" \u{200b} "), None);
        assert_eq!(clean_name(&"x".repeat(61)), None);
    }
}
