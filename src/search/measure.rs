//! A store's own chunks as questions: how quickly each way answers, and whether both find the same.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Found, MAX_QUERY, Search, Target,
    asking::Asked,
    builtin::{self, Meant},
    near::{
        Index, Recall,
        store::{self, samples},
    },
    rerank::Reranker,
};
use crate::{
    db::{Db, TenantScope, TenantTx},
    deadline,
    fault::Fault,
    ids::{DocumentId, VectorStoreId},
    neutral, vector_stores,
};

/// The most documents that a measurement looks at.
const MAX_MEASURED: usize = 100;

/// How many of the best are compared.
const BEST: usize = 10;
/// So many words of a chunk are asked for.
const WORDS: usize = 8;

/// What came of asking a store.
#[derive(Clone, Debug, Default)]
pub struct Compared {
    /// How long each question took that looked at every chunk.
    pub exact: Vec<Duration>,
    /// How long each took by the index in memory; empty for a store that has none.
    pub near: Vec<Duration>,
    found: usize,
    expected: usize,
}

impl Compared {
    /// The share of the ten best that the index in memory finds too.
    #[must_use]
    pub fn recall(&self) -> f32 {
        if self.expected == 0 { 1.0 } else { self.found as f32 / self.expected as f32 }
    }

    /// How many questions were asked.
    #[must_use]
    pub const fn questions(&self) -> usize {
        self.exact.len()
    }
}

impl Search {
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
        let vector = self.parts.embedder.question(scope.tenant_id(), &query).await;
        let vector = vector.as_deref();
        let asked = Asked { query: &query, vector, limit: MAX_MEASURED, filter: None };
        let until = tokio::time::Instant::now() + self.parts.deadline;
        let found = async {
            let mut tx = self.parts.db.tenant(scope).await?;
            let store = vector_stores::store::find(&mut tx, store).await?;
            drop(tx);
            let Some(store) = store else { return Ok(Vec::new()) };
            let (found, _) = self.builtin(scope, (&store, until), &asked, None).await?;
            Ok::<Vec<Found>, Fault>(found)
        };
        let found = deadline::within(self.parts.deadline, found).await??;
        let documents = found.into_iter().filter_map(|found| match found.reference.document {
            Target::Builtin { document, .. } => Some(document),
            Target::Outside { .. } => None,
        });
        Ok(documents.collect())
    }

    /// Ask a builtin store so many questions, chunk by chunk and by its index in memory, which is
    /// loaded first if the store is large enough for one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn compare(
        &self,
        scope: TenantScope,
        store: VectorStoreId,
        questions: i64,
    ) -> Result<Compared, Fault> {
        let index = self.parts.near.loaded(&self.parts.db, (scope, store)).await?;
        compare(&self.parts.db, scope, store, (questions, index.as_ref())).await
    }
}

/// How well a store's index in memory found what there is, last time; `None` for a store that has
/// none.
///
/// # Errors
/// When the database fails.
pub async fn recall(tx: &mut TenantTx, store: VectorStoreId) -> sqlx::Result<Option<Recall>> {
    store::recall(tx, store).await
}

/// Ask a store as many questions as this, each both ways where there is an index: a chunk's
/// embedding with a few of its words, so nobody's question is needed.
pub(super) async fn compare(
    db: &Db,
    scope: TenantScope,
    store: VectorStoreId,
    (questions, index): (i64, Option<&Arc<Index>>),
) -> Result<Compared, Fault> {
    let mut tx = db.tenant_to_scan(scope).await?;
    let mut compared = Compared::default();
    let models = vector_stores::store_models::current(&mut tx, store).await?;
    let Some(model) = models.map(|models| models.active) else { return Ok(compared) };
    let samples = samples(&mut tx, (store, model), questions).await?;
    drop(tx);
    for sample in samples {
        let query = some_words(&sample.body);
        let vector = sample.vector.as_deref();
        let asked = Asked { query: &query, vector, limit: BEST, filter: None };
        let started = Instant::now();
        let tx = db.tenant_to_scan(scope).await?;
        let meant = Meant { vector, model };
        let exact = builtin::search(tx, store, &asked, meant, (|_| None, Reranker::Nobody)).await?;
        compared.exact.push(started.elapsed());
        let Some(index) = index else { continue };
        let started = Instant::now();
        let tx = db.tenant_to_scan(scope).await?;
        let near = |_| Some(Arc::clone(index));
        let near = builtin::search(tx, store, &asked, meant, (near, Reranker::Nobody)).await?;
        compared.near.push(started.elapsed());
        // A store that goes by another model since is asked another time.
        let (Ok(exact), Ok(near)) = (exact, near) else { continue };
        compared.expected += exact.len();
        let is_there = |one: &&Found| near.iter().any(|other| other.reference == one.reference);
        let both = exact.iter().filter(is_there);
        compared.found += both.count();
    }
    Ok(compared)
}

/// Words from all over a text.
fn some_words(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let step = (words.len() / WORDS).max(1);
    words.into_iter().step_by(step).take(WORDS).collect::<Vec<_>>().join(" ")
}
