//! What has the last word on the order of a store's best passages: a model behind an endpoint,
//! chosen by an admin after it showed that it works. `search` asks it; this slice keeps it.

pub mod endpoint;
pub mod store;

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Backend, Context, Failure, check_base_url, check_key, credentials, model_name,
    store as vector_stores,
};
use crate::{
    audit::{self, Actor, Event, Kind},
    db::TenantScope,
    fault::Fault,
    ids::VectorStoreId,
    outbound::api::Api,
    secret::Secret,
};
use endpoint::Client;

/// How long an endpoint may take to show that it works.
const PATIENCE: Duration = Duration::from_secs(15);

/// A store's reranker, without its key.
#[derive(Clone, Debug)]
pub struct Reranker {
    /// Without a trailing slash and without `/rerank`.
    pub base_url: String,
    /// By its maker.
    pub model: String,
    /// The last four characters of the key; `None` where it takes none.
    pub key_hint: Option<String>,
    /// The last time it gave no order; `None` while it works.
    pub failure: Option<Failure>,
}

/// A reranker that somebody wants to use.
#[derive(Debug)]
pub struct NewReranker {
    /// Where the API is.
    pub base_url: String,
    /// By its maker.
    pub model: String,
    /// The tenant's own key; `None` where the API takes none.
    pub api_key: Option<Secret>,
}

/// What came of choosing a reranker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// The next question goes by it.
    InUse,
    /// Nothing changed; the reason is fit for the person who asked.
    Refused(String),
    /// There is no such builtin store.
    NoStore,
}

/// Let a model behind an endpoint order a store's best passages, once it has shown that it does.
///
/// # Errors
/// When the database fails; what the endpoint or the caller does wrong is a [`Chosen`].
pub async fn choose(
    context: &Context,
    scope: TenantScope,
    (id, actor): (VectorStoreId, &Actor),
    new: NewReranker,
) -> Result<Chosen, Fault> {
    let mut tx = context.db.tenant(scope).await?;
    let store = vector_stores::find(&mut tx, id).await?;
    drop(tx);
    if store.is_none_or(|store| store.backend != Backend::Builtin) {
        return Ok(Chosen::NoStore);
    }
    let reranker = match checked(context, &new).await {
        Ok(reranker) => reranker,
        Err(reason) => return Ok(Chosen::Refused(reason)),
    };
    let change = Change {
        context: context.clone(),
        scope,
        id,
        actor: actor.clone(),
        reranker,
        api_key: new.api_key,
    };
    // A browser that gives up must not leave it half done.
    tokio::spawn(change.save()).await?
}

/// Let the order of a store's passages be search's own again. `false` when it is.
///
/// # Errors
/// When the database fails.
pub async fn remove(
    context: &Context,
    scope: TenantScope,
    (id, actor): (VectorStoreId, &Actor),
) -> Result<bool, Fault> {
    let mut tx = context.db.tenant(scope).await?;
    let Some(reranker) = store::find(&mut tx, id).await? else { return Ok(false) };
    if !store::remove(&mut tx, id).await? {
        return Ok(false);
    }
    let event = Event::new(Kind::RerankerRemoved, context.clock.now())
        .tenant(scope.tenant_id())
        .by(actor)
        .with("vector_store", id.to_string())
        .with("name", reranker.model);
    audit::store::append(&mut tx, &event).await?;
    tx.commit().await?;
    Ok(true)
}

/// The reranker behind an endpoint that has put two texts into an order.
async fn checked(context: &Context, new: &NewReranker) -> Result<Reranker, String> {
    let Some(model) = model_name(&new.model) else {
        return Err("the model's name must have 1 to 200 characters".to_owned());
    };
    let base_url = new.base_url.trim().trim_end_matches('/');
    let base_url = base_url.strip_suffix("/rerank").unwrap_or(base_url).to_owned();
    check_base_url(&context.outbound, &base_url)?;
    if let Some(key) = &new.api_key {
        check_key(key)?;
    }
    let api = Api {
        outbound: &context.outbound,
        base_url: &base_url,
        api_key: new.api_key.as_ref(),
        deadline: Instant::now() + PATIENCE,
    };
    let texts = ["a text about something else".to_owned(), "a test".to_owned()];
    let client = Client { api, model: &model };
    client.rerank("test", &texts).await.map_err(|error| error.to_string())?;
    let key_hint = new.api_key.as_ref().map(credentials::hint);
    Ok(Reranker { base_url, model, key_hint, failure: None })
}

/// A reranker that was checked.
struct Change {
    context: Context,
    scope: TenantScope,
    id: VectorStoreId,
    actor: Actor,
    reranker: Reranker,
    api_key: Option<Secret>,
}

impl Change {
    async fn save(self) -> Result<Chosen, Fault> {
        let Self { context, scope, id, actor, reranker, api_key } = self;
        let now = context.clock.now();
        let mut tx = context.db.tenant(scope).await?;
        let sealed = match &api_key {
            Some(key) => {
                let master = &context.master_key;
                Some(credentials::seal_for_reranker(&mut tx, master, now, (id, key)).await?)
            }
            None => None,
        };
        if !store::save(&mut tx, id, &reranker, sealed.as_deref(), now).await? {
            return Ok(Chosen::NoStore);
        }
        let event = Event::new(Kind::RerankerChosen, now)
            .tenant(scope.tenant_id())
            .by(&actor)
            .with("vector_store", id.to_string())
            .with("name", reranker.model)
            .with("base_url", reranker.base_url);
        audit::store::append(&mut tx, &event).await?;
        tx.commit().await?;
        Ok(Chosen::InUse)
    }
}
