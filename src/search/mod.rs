//! A question to hits, an id to its document: over every store that a grant names.

mod builtin;
mod fetched;
mod fusion;
pub mod id;
mod openai;
mod quoted;
mod ranking;
mod snippet;
mod store;
mod window;

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::time::Instant;

use fetched::Text;
pub use fetched::{Fetched, Onward};
pub use id::{Reference, Target};
pub use ranking::RANKING_VERSION;

use crate::{
    clock::Clock,
    db::{Db, TenantScope},
    deadline,
    embeddings::Embedder,
    fault::Fault,
    ids::{DocumentId, VectorStoreId},
    neutral::{self, Flag, neutral_line, neutralise},
    outbound::Outbound,
    secret::seal::MasterKey,
    tenants::connection,
    vector_stores::{self, Backend, VectorStore, openai::Client},
};

/// The longest question, in characters; the rest is cut off.
const MAX_QUERY: usize = 2_000;
/// The most hits of one search (spec row N-06).
const MAX_HITS: usize = 20;
/// The most documents that a measurement looks at.
const MAX_MEASURED: usize = 100;
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
    /// The stores that did not answer.
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
        let limit = limit.clamp(1, MAX_HITS);
        let query: String = neutral::clean(query).text.chars().take(MAX_QUERY).collect();
        let (stores, delimits_text) = self.stores(scope, stores).await?;
        let mut answer = Answer { delimits_text, ..Answer::default() };
        if query.trim().is_empty() {
            return Ok(answer);
        }
        let asked = stores.iter().map(|store| self.ask(scope, store, &query, limit));
        let mut lists = Vec::new();
        for (store, outcome) in stores.iter().zip(join_all(asked).await) {
            match outcome? {
                Ok(found) => {
                    lists.push(found.iter().map(|found| self.hit(found)).collect());
                }
                Err(reason) => {
                    let store = neutral_line(&store.name, 80);
                    answer.failures.push(StoreFailure { store, reason });
                }
            }
        }
        answer.hits = fusion::merge(lists, limit);
        Ok(answer)
    }

    /// The documents of a builtin store that answer, best first, for measuring: up to a hundred.
    ///
    /// # Errors
    /// When our own database fails, or does not answer within the deadline.
    pub async fn documents(
        &self,
        scope: TenantScope,
        store: VectorStoreId,
        query: &str,
    ) -> Result<Vec<DocumentId>, Fault> {
        let query: String = neutral::clean(query).text.chars().take(MAX_QUERY).collect();
        let found = builtin::search(&self.parts, scope, store, &query, MAX_MEASURED);
        let found = deadline::within(self.parts.deadline, found).await??;
        let documents = found.into_iter().filter_map(|found| match found.reference.document {
            Target::Builtin { document, .. } => Some(document),
            Target::Outside { .. } => None,
        });
        Ok(documents.collect())
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
        let (stores, delimits_text) = self.stores(scope, &[reference.store]).await?;
        let Some(store) = stores.first() else { return Ok(Fetch::NotFound) };
        let enough = from.map_or(0, |from| from.start).saturating_add(MAX_FETCH);
        let text = match self.read(scope, store, &reference.document, enough).await? {
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

    /// Those of the named stores that the tenant still has, in the order of the names; and whether
    /// it wants what documents say between marks.
    async fn stores(
        &self,
        scope: TenantScope,
        named: &[VectorStoreId],
    ) -> Result<(Vec<VectorStore>, bool), Fault> {
        let mut tx = self.parts.db.tenant(scope).await?;
        let mut stores = vector_stores::store::list(&mut tx).await?;
        stores.retain(|store| named.contains(&store.id));
        Ok((stores, connection::delimits_text(&mut tx).await?))
    }

    /// One store's answer within the deadline, or why there is none in words.
    async fn ask(
        &self,
        scope: TenantScope,
        store: &VectorStore,
        query: &str,
        limit: usize,
    ) -> Result<Result<Vec<Found>, String>, Fault> {
        match &store.backend {
            Backend::Builtin => {
                let until = Instant::now() + self.parts.deadline;
                let search = builtin::search(&self.parts, scope, store.id, query, limit);
                // The statement ends a little later than who waits for it gives up: that is a
                // store's failure, and an ended statement is our own.
                let search = deadline::until(until + Duration::from_millis(250), search);
                match tokio::time::timeout_at(until, search).await {
                    Ok(found) => found.map(Ok),
                    Err(_) => Ok(Err(self.too_late())),
                }
            }
            Backend::OpenAi { .. } => {
                let outcome = self
                    .outside(scope, store, async |client| {
                        openai::search(&client, store.id, query, limit).await
                    })
                    .await?;
                Ok(outcome)
            }
        }
    }

    /// One document's text, `None` when the store has no such document.
    async fn read(
        &self,
        scope: TenantScope,
        store: &VectorStore,
        target: &Target,
        enough: usize,
    ) -> Result<Result<Option<Text>, String>, Fault> {
        match (&store.backend, target) {
            (Backend::Builtin, Target::Builtin { document, chunk }) => {
                builtin::fetch(&self.parts, scope, store.id, *document, *chunk).await.map(Ok)
            }
            (Backend::OpenAi { .. }, Target::Outside { file_id }) => {
                self.outside(scope, store, async |client| {
                    openai::fetch(&client, file_id, enough).await
                })
                .await
            }
            (Backend::Builtin, Target::Outside { .. })
            | (Backend::OpenAi { .. }, Target::Builtin { .. }) => Ok(Ok(None)),
        }
    }

    /// Call an outside store with its key, outside any transaction, and note how it went.
    async fn outside<T>(
        &self,
        scope: TenantScope,
        store: &VectorStore,
        call: impl AsyncFnOnce(Client<'_>) -> Result<T, vector_stores::openai::Error>,
    ) -> Result<Result<T, String>, Fault> {
        let Backend::OpenAi { external_id, base_url, .. } = &store.backend else {
            return Err(Fault::new("a builtin store has no outside"));
        };
        let deadline = Instant::now() + self.parts.deadline;
        let mut tx = self.parts.db.tenant(scope).await?;
        let opened =
            vector_stores::credentials::open(&mut tx, &self.parts.master_key, store.id).await;
        drop(tx);
        let api_key = match opened {
            Ok(Some(key)) => key,
            Ok(None) => return Ok(Err("it was removed".to_owned())),
            // Moved, changed, or sealed under another master key: this store fails, closed.
            Err(fault) => {
                fault.log();
                return Ok(Err("its API key cannot be read: add the store again".to_owned()));
            }
        };
        let client = Client {
            outbound: &self.parts.outbound,
            base_url,
            external_id,
            api_key: &api_key,
            deadline,
        };
        let outcome = match tokio::time::timeout_at(deadline, call(client)).await {
            Ok(outcome) => outcome.map_err(|error| error.to_string()),
            Err(_) => Err(self.too_late()),
        };
        let mut tx = self.parts.db.tenant(scope).await?;
        let now = self.parts.clock.now();
        match &outcome {
            Ok(_) => vector_stores::store::record_success(&mut tx, store.id, now).await?,
            Err(reason) => {
                vector_stores::store::record_failure(&mut tx, store.id, now, reason).await?;
            }
        }
        tx.commit().await?;
        Ok(outcome)
    }

    fn too_late(&self) -> String {
        format!("it did not answer within {} seconds", self.parts.deadline.as_secs_f32())
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
