//! Adding a store: checked live before it is saved.

use std::time::Duration;

use reqwest::Url;
use tokio::time::Instant;

use crate::{
    audit::{self, Actor, Kind},
    clock::Clock,
    db::{Db, TenantScope, TenantTx},
    fault::Fault,
    ids::VectorStoreId,
    outbound::{Outbound, api::Api},
    secret::{Secret, seal::MasterKey},
};

use super::{NameTaken, VectorStore, credentials, openai, store};

/// What it takes to reach outside stores and keep their keys.
#[derive(Clone, Debug)]
pub struct Context {
    /// Postgres.
    pub db: Db,
    /// Now.
    pub clock: Clock,
    /// The guarded HTTP client.
    pub outbound: Outbound,
    /// What data keys are wrapped with.
    pub master_key: MasterKey,
}

/// An OpenAI vector store that somebody wants to add.
#[derive(Debug)]
pub struct NewOpenAi {
    /// Unique in the tenant, 1 to 80 characters.
    pub name: String,
    /// `vs_…`
    pub external_id: String,
    /// Where the API is; `None` for OpenAI itself.
    pub base_url: Option<String>,
    /// The tenant's own key.
    pub api_key: Secret,
}

/// What came of adding a store.
#[derive(Debug)]
pub enum Created {
    /// It answered and was saved.
    Created(VectorStore),
    /// Another store of the tenant has this name.
    NameTaken,
    /// It was not saved; the reason is fit for the person who asked.
    Refused(String),
}

/// Add a builtin store and its event. The name has 1 to 80 characters: see [`store_name`].
///
/// # Errors
/// When the database fails.
pub async fn create_builtin(
    tx: &mut TenantTx,
    clock: &Clock,
    actor: &Actor,
    name: &str,
) -> sqlx::Result<Result<VectorStore, NameTaken>> {
    let now = clock.now();
    let created = store::create(tx, VectorStoreId::new(), name, now, None).await?;
    if let Ok(store) = &created {
        let event = store.event(Kind::VectorStoreCreated, tx.scope(), actor, now);
        audit::store::append(tx, &event).await?;
    }
    Ok(created)
}

/// A store's name as it is kept: trimmed, without control characters, 1 to 80 characters.
#[must_use]
pub fn store_name(text: &str) -> Option<String> {
    let name = text.trim();
    let fits = (1..=80).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    fits.then(|| name.to_owned())
}

/// A model's name as its maker gave it: trimmed, without control characters, 1 to 200 characters.
#[must_use]
pub fn model_name(text: &str) -> Option<String> {
    let name = text.trim();
    let fits = (1..=200).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    fits.then(|| name.to_owned())
}

/// Add an OpenAI vector store and its event, after it answered a search with this key.
///
/// # Errors
/// When the database fails; what the store or the caller does wrong is a [`Created`].
pub async fn create_openai(
    context: &Context,
    scope: TenantScope,
    actor: &Actor,
    new: NewOpenAi,
) -> Result<Created, Fault> {
    let Some(name) = store_name(&new.name) else {
        return Ok(refused("the name must have 1 to 80 characters"));
    };
    let external_id = new.external_id.trim();
    if !openai::is_id(external_id) {
        return Ok(refused("the vector store's id looks like vs_abc123: letters, digits, - and _"));
    }
    let base_url = new.base_url.as_deref().map(str::trim).filter(|url| !url.is_empty());
    let base_url = base_url.unwrap_or(openai::DEFAULT_BASE_URL).trim_end_matches('/');
    if let Err(reason) = check_base_url(&context.outbound, base_url) {
        return Ok(refused(reason));
    }
    if let Err(reason) = check_key(&new.api_key) {
        return Ok(refused(reason));
    }
    // Before the network: a name that is taken need not wait for it.
    let mut tx = context.db.tenant(scope).await?;
    if store::find_by_name(&mut tx, &name).await?.is_some() {
        return Ok(Created::NameTaken);
    }
    drop(tx);
    let api = Api {
        outbound: &context.outbound,
        base_url,
        api_key: Some(&new.api_key),
        deadline: Instant::now() + Duration::from_secs(15),
    };
    let client = openai::Client { api, external_id };
    if let Err(error) = client.search("test", 1, None).await {
        return Ok(Created::Refused(error.to_string()));
    }
    let checked = Checked {
        external_id: external_id.to_owned(),
        base_url: base_url.to_owned(),
        api_key: new.api_key,
        name,
    };
    // A browser that gives up must not leave it half done.
    let (context, actor) = (context.clone(), actor.clone());
    tokio::spawn(async move { save(&context, scope, &actor, checked).await }).await?
}

/// A store that answered.
struct Checked {
    name: String,
    external_id: String,
    base_url: String,
    api_key: Secret,
}

async fn save(
    context: &Context,
    scope: TenantScope,
    actor: &Actor,
    checked: Checked,
) -> Result<Created, Fault> {
    let id = VectorStoreId::new();
    let now = context.clock.now();
    let mut tx = context.db.tenant(scope).await?;
    let sealed = credentials::seal(&mut tx, &context.master_key, now, id, &checked.api_key).await?;
    let outside = store::Outside {
        external_id: &checked.external_id,
        base_url: &checked.base_url,
        api_key_sealed: &sealed,
        api_key_hint: &credentials::hint(&checked.api_key),
    };
    match store::create(&mut tx, id, &checked.name, now, Some(outside)).await? {
        Ok(created) => {
            let event = created.event(Kind::VectorStoreCreated, scope, actor, now);
            audit::store::append(&mut tx, &event).await?;
            tx.commit().await?;
            Ok(Created::Created(created))
        }
        Err(NameTaken) => Ok(Created::NameTaken),
    }
}

/// Whether this can be an API key.
///
/// # Errors
/// Why it cannot, in words.
pub fn check_key(api_key: &Secret) -> Result<(), &'static str> {
    let api_key = api_key.expose();
    let fits =
        (8..=1_024).contains(&api_key.len()) && api_key.bytes().all(|b| b.is_ascii_graphic());
    fits.then_some(()).ok_or("the API key must have 8 to 1,024 characters without spaces")
}

/// Whether an API can be there, as far as its address says.
///
/// # Errors
/// Why it cannot, in words.
pub fn check_base_url(outbound: &Outbound, base_url: &str) -> Result<(), String> {
    let url: Url = base_url.parse().map_err(|_| "the base URL is not a URL".to_owned())?;
    if base_url.contains(char::is_control) {
        return Err("the base URL must be one line of text".to_owned());
    }
    if base_url.len() > 512 || url.query().is_some() || url.fragment().is_some() {
        return Err("the base URL must be short and have no query".to_owned());
    }
    outbound.check(&url).map_err(|error| error.to_string())
}

fn refused(reason: impl Into<String>) -> Created {
    Created::Refused(reason.into())
}
