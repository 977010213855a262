//! Choosing another model for a store, after it showed that it works; and how far a change is.

use std::time::Duration;

use tokio::time::Instant;

use super::{Meaning, store, store_refused};
use crate::{
    audit::{self, Actor, Event, Kind},
    db::{TenantScope, TenantTx},
    embeddings::{
        DIMENSIONS,
        endpoint::{Client, MOST_DIMENSIONS},
    },
    fault::Fault,
    ids::VectorStoreId,
    outbound::api::Api,
    secret::Secret,
    vector_stores::{
        check_base_url, check_key, credentials, model_name,
        models::{EmbeddingModel, Endpoint},
        openai::DEFAULT_BASE_URL,
        store_models,
    },
};

/// How long an endpoint may take to show that it works.
const PATIENCE: Duration = Duration::from_secs(15);
/// Less would not embed a page.
const LEAST_TOKENS: i64 = 1_000;

/// Which model is to make a store's vectors.
#[derive(Debug)]
pub enum Choice {
    /// The installation's own.
    Own,
    /// One behind an API like OpenAI's.
    Endpoint(NewEndpoint),
}

/// An endpoint that somebody wants to use.
#[derive(Debug)]
pub struct NewEndpoint {
    /// Where the API is; `None` for OpenAI itself.
    pub base_url: Option<String>,
    /// By its maker.
    pub model: String,
    /// How long its vectors shall be; `None` for as long as they are.
    pub dimensions: Option<usize>,
    /// The tenant's own key; `None` where the API takes none.
    pub api_key: Option<Secret>,
    /// How many tokens a day it may be sent; `None` for any number.
    pub tokens_per_day: Option<i64>,
}

/// What came of choosing a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// It makes every vector now, and search goes by it then.
    InTheMaking,
    /// It is the one that search goes by already: it has another key or budget now.
    Kept,
    /// Nothing changed; the reason is fit for the person who asked.
    Refused(String),
    /// There is no such builtin store.
    NoStore,
}

/// How far a store's vectors are.
#[derive(Clone, Debug)]
pub struct Status {
    /// What search goes by.
    pub active: EmbeddingModel,
    /// What it will go by.
    pub next: Option<EmbeddingModel>,
    /// How many passages there are.
    pub passages: i64,
    /// Those that have a vector by the active model.
    pub embedded: i64,
    /// Those that have one by the next.
    pub prepared: i64,
    /// Those that the active model does not take, and those that the next one does not.
    pub refused: (i64, i64),
    /// About how many tokens all of them are.
    pub tokens: i64,
}

/// How far a store's vectors are; `None` when there is no such store.
///
/// # Errors
/// When the database fails.
pub async fn status(tx: &mut TenantTx, id: VectorStoreId) -> sqlx::Result<Option<Status>> {
    let Some(models) = store_models::current(tx, id).await? else { return Ok(None) };
    let Some(active) = store_models::find(tx, id, (models.active, DIMENSIONS)).await? else {
        return Ok(None);
    };
    let next = match models.next {
        Some(next) => store_models::find(tx, id, (next, DIMENSIONS)).await?,
        None => None,
    };
    let progress = store::progress(tx, id, models).await?;
    let refused = store_refused::count(tx, id, models).await?;
    Ok(Some(Status {
        active,
        next,
        passages: progress.chunks,
        embedded: progress.embedded,
        prepared: progress.prepared,
        refused,
        tokens: progress.tokens,
    }))
}

/// Let another model make a store's vectors, once it has shown that it does.
///
/// # Errors
/// When the database fails; what the endpoint or the caller does wrong is a [`Chosen`].
pub async fn choose(
    meaning: &Meaning,
    scope: TenantScope,
    (id, actor): (VectorStoreId, &Actor),
    choice: Choice,
) -> Result<Chosen, Fault> {
    let mut tx = meaning.context.db.tenant(scope).await?;
    let Some(models) = store_models::current(&mut tx, id).await? else {
        return Ok(Chosen::NoStore);
    };
    let active = store_models::find(&mut tx, id, (models.active, DIMENSIONS)).await?;
    drop(tx);
    if models.next.is_some() {
        return Ok(refused("another model is being prepared: give that up first"));
    }
    let made = match choice {
        Choice::Own => own(meaning, active.as_ref()),
        Choice::Endpoint(new) => checked(meaning, new).await,
    };
    let (model, api_key) = match made {
        Ok(made) => made,
        Err(reason) => return Ok(Chosen::Refused(reason)),
    };
    let change = Change {
        meaning: meaning.clone(),
        scope,
        id,
        actor: actor.clone(),
        keeps: active.filter(|active| is_same(active, &model)).map(|active| active.id),
    };
    // A browser that gives up must not leave it half done.
    tokio::spawn(async move { change.save(model, api_key).await }).await?
}

/// Give up the change to another model. `false` when there is none.
///
/// # Errors
/// When the database fails.
pub async fn cancel(
    meaning: &Meaning,
    scope: TenantScope,
    (id, actor): (VectorStoreId, &Actor),
) -> Result<bool, Fault> {
    let mut tx = meaning.context.db.tenant(scope).await?;
    let next = store_models::current(&mut tx, id).await?.and_then(|models| models.next);
    let Some(next) = next else { return Ok(false) };
    let model = store_models::find(&mut tx, id, (next, DIMENSIONS)).await?;
    if !store_models::cancel(&mut tx, id, next).await? {
        return Ok(false);
    }
    // What was made by it is swept.
    store::note(&mut tx, id).await?;
    let mut event = Event::new(Kind::EmbeddingModelGivenUp, meaning.context.clock.now())
        .tenant(scope.tenant_id())
        .by(actor)
        .with("vector_store", id.to_string());
    if let Some(model) = model {
        event = event.with("name", model.model);
    }
    audit::store::append(&mut tx, &event).await?;
    tx.commit().await?;
    Ok(true)
}

type Made = (EmbeddingModel, Option<Secret>);

fn own(meaning: &Meaning, active: Option<&EmbeddingModel>) -> Result<Made, String> {
    if active.is_some_and(|active| active.endpoint.is_none()) {
        return Err("search goes by this model already".to_owned());
    }
    if !meaning.embedder.is_there() {
        return Err(
            "this installation has no model of its own: the operator can add one".to_owned()
        );
    }
    Ok((EmbeddingModel::local(0, DIMENSIONS), None))
}

/// The model behind an endpoint that embedded a word.
async fn checked(meaning: &Meaning, new: NewEndpoint) -> Result<Made, String> {
    let Some(model) = model_name(&new.model) else {
        return Err("the model's name must have 1 to 200 characters".to_owned());
    };
    let base_url = new.base_url.as_deref().map(str::trim).filter(|url| !url.is_empty());
    let base_url = base_url.unwrap_or(DEFAULT_BASE_URL).trim_end_matches('/');
    let base_url = base_url.strip_suffix("/embeddings").unwrap_or(base_url).to_owned();
    check_base_url(&meaning.context.outbound, &base_url)?;
    if let Some(key) = &new.api_key {
        check_key(key)?;
    }
    let fits = |dimensions: usize| (1..=MOST_DIMENSIONS).contains(&dimensions);
    if new.dimensions.is_some_and(|dimensions| !fits(dimensions)) {
        return Err("a vector has 1 to 2,000 numbers".to_owned());
    }
    if new.tokens_per_day.is_some_and(|tokens| tokens < LEAST_TOKENS) {
        return Err("a day's budget has at least 1,000 tokens".to_owned());
    }
    let api = Api {
        outbound: &meaning.context.outbound,
        base_url: &base_url,
        api_key: new.api_key.as_ref(),
        deadline: Instant::now() + PATIENCE,
    };
    let client = Client {
        api,
        model: &model,
        dimensions: new.dimensions,
        asks_dimensions: new.dimensions.is_some(),
    };
    let texts = ["test".to_owned(), "a test of another length".to_owned()];
    let made = client.embed(&texts).await.map_err(|error| error.to_string())?;
    let dimensions = made.vectors.first().map_or(0, Vec::len);
    if !fits(dimensions) {
        return Err(format!(
            "this model's vectors have {dimensions} numbers, and at most 2,000 are kept: ask for \
             fewer dimensions, if the model can make them"
        ));
    }
    let endpoint = Endpoint {
        base_url,
        key_hint: new.api_key.as_ref().map(credentials::hint),
        asks_dimensions: new.dimensions.is_some(),
        tokens_per_day: new.tokens_per_day,
        used: None,
        rests_until: None,
        failure: None,
    };
    Ok((EmbeddingModel { id: 0, endpoint: Some(endpoint), model, dimensions }, new.api_key))
}

/// Whether both make the same vectors.
fn is_same(active: &EmbeddingModel, new: &EmbeddingModel) -> bool {
    let place = |model: &EmbeddingModel| {
        model
            .endpoint
            .as_ref()
            .map(|endpoint| (endpoint.base_url.clone(), endpoint.asks_dimensions))
    };
    place(active) == place(new) && active.model == new.model && active.dimensions == new.dimensions
}

/// A change that was checked.
struct Change {
    meaning: Meaning,
    scope: TenantScope,
    id: VectorStoreId,
    actor: Actor,
    /// The number of the active model, where it is the same.
    keeps: Option<i16>,
}

impl Change {
    async fn save(self, mut model: EmbeddingModel, key: Option<Secret>) -> Result<Chosen, Fault> {
        let now = self.meaning.context.clock.now();
        let mut tx = self.meaning.context.db.tenant(self.scope).await?;
        model.id = match self.keeps {
            Some(id) => id,
            None => match store_models::take_number(&mut tx, self.id).await? {
                Some(id) => id,
                None => {
                    return Ok(refused("another model is being prepared, or the store is gone"));
                }
            },
        };
        let name = (self.id, model.id);
        let sealed = match &key {
            Some(key) => {
                let master = &self.meaning.context.master_key;
                Some(credentials::seal_for_model(&mut tx, master, now, name, key).await?)
            }
            None => None,
        };
        if self.keeps.is_some() {
            store_models::renew(&mut tx, self.id, &model, sealed.as_deref()).await?;
        } else {
            store_models::add(&mut tx, self.id, &model, sealed.as_deref(), now).await?;
        }
        store::note(&mut tx, self.id).await?;
        let mut event = Event::new(Kind::EmbeddingModelChosen, now)
            .tenant(self.scope.tenant_id())
            .by(&self.actor)
            .with("vector_store", self.id.to_string())
            .with("name", model.model);
        if let Some(endpoint) = &model.endpoint {
            event = event.with("base_url", endpoint.base_url.clone());
        }
        audit::store::append(&mut tx, &event).await?;
        tx.commit().await?;
        Ok(if self.keeps.is_some() { Chosen::Kept } else { Chosen::InTheMaking })
    }
}

fn refused(reason: &str) -> Chosen {
    Chosen::Refused(reason.to_owned())
}
