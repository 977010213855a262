//! The vectors of stores: by which model, made when, and how they change.
//!
//! Chunks that no model has embedded wait in a backlog: those of before there was one, and of
//! imports that had none. What is embedded of them is searched by meaning at once; the rest goes by
//! words until it is. The installation's own model is asked by any number of nodes at once, a few
//! chunks at a time (`here`); one behind an endpoint by one node at a time, within its budget
//! (`outside`). A passage that the endpoint does not take has no vector and keeps no other one waiting.
//!
//! Another model ([`choose()`]) first makes a second vector for every chunk, while search goes by the
//! first. When all are there, one update of the store's row lets search go by the second; then the
//! second ones move to the place of the first. At no moment are vectors of two models compared.

mod ask;
mod choose;
mod here;
mod outside;
pub(super) mod store;
mod store_refused;

pub use ask::Asked;
pub use choose::{Choice, Chosen, NewEndpoint, Status, cancel, choose, status};
pub use store_refused::{Refused, refused};

use super::importer::Importer;
use crate::{
    db::{TenantScope, TenantTx},
    embeddings::{DIMENSIONS, Embedder},
    fault::Fault,
    ids::VectorStoreId,
    vector_stores::{Context, store_models},
};
use store::Waiting;

/// What it takes to make vectors for any store.
#[derive(Clone, Debug)]
pub struct Meaning {
    /// The database, and the way to endpoints.
    pub context: Context,
    /// The installation's own model, where it is.
    pub embedder: Embedder,
}

/// What is embedded of a chunk: what it is part of counts, and is not shown as its text.
pub(super) fn text(title: &str, heading: &str, body: &str) -> String {
    let mut text = String::with_capacity(title.len() + heading.len() + body.len() + 2);
    for part in [title, heading, body] {
        if !part.is_empty() && !text.is_empty() {
            text.push('\n');
        }
        text.push_str(part);
    }
    text
}

/// Whether any of the tenant's stores waits.
///
/// # Errors
/// When the database fails.
pub async fn is_behind(tx: &mut TenantTx) -> sqlx::Result<bool> {
    store::is_behind(tx).await
}

/// The number of the model that runs here, if a store goes by it.
pub(super) async fn own_model(
    tx: &mut TenantTx,
    store: VectorStoreId,
) -> sqlx::Result<Option<i16>> {
    let Some(models) = store_models::current(tx, store).await? else { return Ok(None) };
    let model = store_models::find(tx, store, (models.active, DIMENSIONS)).await?;
    Ok(model.filter(|model| model.endpoint.is_none()).map(|model| model.id))
}

impl Importer {
    /// Embed a batch of every store that waits for it, here and outside, and bring changes of models
    /// forward. How many chunks that were: none when all is done, or nothing can be.
    ///
    /// # Errors
    /// When the database fails; what was embedded stays so.
    pub async fn embed_waiting(&self) -> Result<usize, Fault> {
        let (here, outside) = tokio::try_join!(self.embed_here(), self.embed_outside())?;
        Ok(here + outside)
    }

    /// The part of [`Importer::embed_waiting`] that waits for no endpoint.
    ///
    /// # Errors
    /// When the database fails; what was embedded stays so.
    pub async fn embed_here(&self) -> Result<usize, Fault> {
        let mut embedded = 0;
        for store in self.waiting().await? {
            embedded += here::step(&self.meaning(), &store).await?;
        }
        Ok(embedded)
    }

    /// The part of [`Importer::embed_waiting`] that endpoints do.
    ///
    /// # Errors
    /// When the database fails; what was embedded stays so.
    pub async fn embed_outside(&self) -> Result<usize, Fault> {
        let meaning = self.meaning();
        let waiting = self.waiting().await?;
        // One that is slow, or says nothing, keeps no other waiting.
        let mut steps = Vec::new();
        for store in &waiting {
            steps.push(outside::step(&meaning, store));
        }
        let steps = futures_util::future::join_all(steps).await;
        steps.into_iter().try_fold(0, |sum, step| Ok(sum + step?))
    }

    async fn waiting(&self) -> Result<Vec<Waiting>, Fault> {
        let mut tx = self.db.control().await?;
        Ok(store::waiting(&mut tx).await?)
    }

    /// What makes vectors of what comes in.
    #[must_use]
    pub fn meaning(&self) -> Meaning {
        let context = Context {
            db: self.db.clone(),
            clock: self.clock.clone(),
            outbound: self.outbound.clone(),
            master_key: self.master_key.clone(),
        };
        Meaning { context, embedder: self.embedder.clone() }
    }
}

impl Waiting {
    #[expect(clippy::disallowed_methods, reason = "upkeep of what the tenant itself stored")]
    const fn scope(&self) -> TenantScope {
        TenantScope::proven(self.tenant)
    }
}
