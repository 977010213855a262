//! A question to hits, an id to its document: over every store that a grant names.

mod asking;
mod builtin;
mod fetched;
pub mod filter;
mod fusion;
pub mod id;
mod measure;
mod misspelt;
pub mod near;
mod openai;
mod question;
mod quoted;
mod ranking;
mod rerank;
mod snippet;
mod store;
mod store_near;
mod store_words;
mod window;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;

use asking::Asked;
pub use fetched::{Fetched, Onward};
pub use filter::Filter;
pub use id::{Reference, Target};
pub use measure::{Compared, recall};
use near::Near;
pub use ranking::RANKING_VERSION;

use crate::{
    clock::Clock,
    db::{Db, TenantScope},
    documents::embed::Meaning,
    embeddings::Embedder,
    fault::Fault,
    ids::VectorStoreId,
    neutral::{self, Flag, neutral_line, neutralise},
    outbound::Outbound,
    progress::{self, Report},
    secret::seal::MasterKey,
    vector_stores::{self, Backend, VectorStore},
};

/// The longest question, in characters; the rest is cut off.
const MAX_QUERY: usize = 2_000;
/// The most hits of one search (spec row N-06).
const MAX_HITS: usize = 20;
/// How often whoever wants to hear it is told how many stores have answered.
const SAY_EVERY: Duration = Duration::from_secs(1);
/// The most characters of a document in one fetch. A little less than the most that may go out
/// (spec row N-06): how to read on is said beside it.
pub const MAX_FETCH: usize = 98_500;

/// What [`Search`] is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Postgres.
    pub db: Db,
    /// Now.
    pub clock: Clock,
    /// What makes questions comparable with passages, where there is a model.
    pub embedder: Embedder,
    /// Large stores in memory.
    pub near: Near,
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
    /// What a person should look at in it.
    pub flags: Vec<Flag>,
    /// Where it was found.
    pub store: VectorStoreId,
}

/// What the stores answered.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Best first.
    pub hits: Vec<Hit>,
    /// The stores that did not answer, or not as well as they do otherwise.
    pub failures: Vec<StoreFailure>,
    /// Whether the tenant wants what documents say between marks.
    pub delimits_text: bool,
}

/// A store that did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFailure {
    /// The store's name.
    pub store: String,
    /// In words; never the backend's own text.
    pub reason: String,
}

impl StoreFailure {
    fn of(store: &VectorStore, reason: String) -> Self {
        Self { store: neutral_line(&store.name, 80), reason }
    }
}

impl Parts {
    /// What it takes to reach models elsewhere.
    fn meaning(&self) -> Meaning {
        let context = vector_stores::Context {
            db: self.db.clone(),
            clock: self.clock.clone(),
            outbound: self.outbound.clone(),
            master_key: self.master_key.clone(),
        };
        Meaning { context, embedder: self.embedder.clone() }
    }
}

/// What came of a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// Here it is.
    Found(Fetched),
    /// No such document in these stores.
    NotFound,
    /// What was read before is not what the document says now.
    Changed,
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
        self.search_within(scope, stores, query, (limit, None)).await
    }

    /// The same, among the documents that a filter lets through: at most so many.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub async fn search_within(
        &self,
        scope: TenantScope,
        stores: &[VectorStoreId],
        query: &str,
        (limit, filter): (usize, Option<&Filter>),
    ) -> Result<Answer, Fault> {
        let limit = limit.clamp(1, MAX_HITS);
        let query: String = neutral::clean(query).text.chars().take(MAX_QUERY).collect();
        // Before a connection is taken.
        let vector = self.parts.embedder.question(scope.tenant_id(), &query).await;
        let asked = Asked { query: &query, vector: vector.as_deref(), limit, filter };
        let mut tx = self.parts.db.tenant_to_scan(scope).await?;
        let (stores, delimits_text) = vector_stores::store::to_ask(&mut tx, stores).await?;
        let mut answer = Answer { delimits_text, ..Answer::default() };
        if query.trim().is_empty() {
            return Ok(answer);
        }
        // One store of our own is asked in this transaction; several at once, in one each.
        let is_alone =
            matches!(stores.as_slice(), [one] if matches!(one.backend, Backend::Builtin));
        let mut tx = is_alone.then_some(tx);
        let answered = AtomicUsize::new(0);
        let ask_each = stores.iter().map(|store| {
            let (asked, answered, tx) = (&asked, &answered, tx.take());
            async move {
                let outcome = self.ask(scope, store, asked, tx).await;
                answered.fetch_add(1, Ordering::Relaxed);
                outcome
            }
        });
        let ask_each: Vec<_> = ask_each.collect();
        let so_far = || {
            let (done, total) = (answered.load(Ordering::Relaxed), stores.len());
            let message = format!("{done} of {total} vector stores have answered");
            Report { done, total, message }
        };
        let outcomes = progress::during(SAY_EVERY, so_far, join_all(ask_each)).await;
        let mut lists = Vec::new();
        for (store, outcome) in stores.iter().zip(outcomes) {
            match outcome? {
                Ok((found, doubt)) => {
                    lists.push(found.iter().map(|found| self.hit(found)).collect());
                    answer.failures.extend(doubt.map(|reason| StoreFailure::of(store, reason)));
                }
                Err(reason) => answer.failures.push(StoreFailure::of(store, reason)),
            }
        }
        answer.hits = fusion::merge(lists, limit);
        Ok(answer)
    }

    /// The document that `id` names, if it is in one of `stores`; or, from where an earlier fetch
    /// of it ended, what follows.
    ///
    /// # Errors
    /// When our own database fails.
    pub async fn fetch(
        &self,
        scope: TenantScope,
        stores: &[VectorStoreId],
        id: &str,
        from: Option<&Onward>,
    ) -> Result<Fetch, Fault> {
        let Some(reference) = Reference::parse(id) else { return Ok(Fetch::NotFound) };
        // The id is no leave to read: the caller's stores are, and the tenant's own rows.
        if !stores.contains(&reference.store) {
            return Ok(Fetch::NotFound);
        }
        let mut tx = self.parts.db.tenant(scope).await?;
        let (stores, delimits_text) =
            vector_stores::store::to_ask(&mut tx, &[reference.store]).await?;
        let Some(store) = stores.first() else { return Ok(Fetch::NotFound) };
        let enough = from.map_or(0, |from| from.start).saturating_add(MAX_FETCH);
        let text = match self.read(tx, store, &reference.document, enough).await? {
            Ok(Some(text)) => text,
            Ok(None) => return Ok(Fetch::NotFound),
            Err(reason) => return Ok(Fetch::Failed(reason)),
        };
        let Some(part) = text.part(from) else { return Ok(Fetch::Changed) };
        let mut metadata = text.metadata(&part);
        let mut add = |name: &str, value| metadata.insert(name.to_owned(), value);
        add("tenant_id", scope.tenant_id().to_string());
        add("vector_store", neutral_line(&store.name, 80));
        let whole = Reference { document: reference.document.whole(), ..reference.clone() };
        Ok(Fetch::Found(Fetched {
            id: reference.to_string(),
            title: neutral_line(&text.title, 200),
            text: part.text,
            url: self.url(&reference),
            metadata,
            delimits_text,
            range: part.range,
            whole: part.whole,
            beginning: whole.to_string(),
            next: part.next,
        }))
    }

    fn hit(&self, found: &Found) -> Hit {
        Hit {
            id: found.reference.to_string(),
            url: self.url(&found.reference),
            title: neutral_line(&found.title, 200),
            snippet: neutralise(&found.snippet).text,
            flags: neutral::flags(&found.snippet),
            store: found.reference.store,
        }
    }

    /// The citation: our own page of the document, at the passage.
    fn url(&self, reference: &Reference) -> String {
        let passage = match &reference.document {
            Target::Builtin { .. } => "#passage",
            Target::Outside { .. } => "",
        };
        format!("{}/d/{reference}{passage}", self.parts.public_url)
    }
}

/// What a backend found, before it is made fit to be shown.
#[derive(Debug)]
struct Found {
    reference: Reference,
    title: String,
    snippet: String,
}
