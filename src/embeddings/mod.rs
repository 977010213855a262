//! Texts to vectors: by a model that runs in this process, without key and network, or by one behind
//! an [`endpoint`] that a tenant names.
//!
//! The local model is loaded when it is first needed. Without its files there are no vectors, and search
//! goes by words alone. Passages wait for their turn in a lane of their own, so that reading
//! documents in never keeps a question waiting. What is embedded together is of one document, so no
//! batch mixes tenants.

mod cache;
pub mod endpoint;
mod model;
mod sizer;

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::available_parallelism,
};

use rten::ThreadPool;
use tokenizers::Tokenizer;
use tokio::sync::{OnceCell, Semaphore};

pub use sizer::Sizer;

use crate::{
    fault::Fault,
    ids::{TenantId, VectorStoreId},
};
use cache::Cache;
use model::Model;

/// How many numbers a vector of the local model has.
pub const DIMENSIONS: usize = 384;
/// Which model the local one is, for whoever compares what different ones rank.
pub const MODEL: i16 = 1;
/// How many passages are embedded at once.
pub const BATCH: usize = 8;
/// The rest of a longer question is not read.
const MOST_ASKED: usize = 256;
/// The rest of a longer passage is not read: a chunk, and its document's title.
const MOST_READ: usize = 384;

/// A text's place among all texts, of length one.
pub type Vector = Vec<f32>;

/// Makes vectors. Clones share the model.
#[derive(Clone, Debug)]
pub struct Embedder(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    folder: Option<PathBuf>,
    tokeniser: OnceCell<Option<Arc<Tokenizer>>>,
    model: OnceCell<Option<Arc<Model>>>,
    missed: AtomicBool,
    questions: Lane,
    passages: Lane,
    asked: Mutex<Cache>,
}

impl Embedder {
    /// With the model in this folder, if it is there.
    #[must_use]
    pub fn local(folder: PathBuf) -> Self {
        Self::of(Some(folder))
    }

    /// Without any model.
    #[must_use]
    pub fn none() -> Self {
        Self::of(None)
    }

    fn of(folder: Option<PathBuf>) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Shared {
            folder,
            tokeniser: OnceCell::new(),
            model: OnceCell::new(),
            missed: AtomicBool::new(false),
            questions: Lane::of(cores.min(4)),
            passages: Lane::of(cores.div_ceil(2).min(8)),
            asked: Mutex::default(),
        }))
    }

    /// Whether the model's files are there.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.0.folder.as_deref().is_some_and(Model::is_in)
    }

    /// A question's vector; `None` where there is no model, or it failed, which the log says.
    pub async fn question(&self, tenant: TenantId, text: &str) -> Option<Arc<[f32]>> {
        if let Some(vector) = self.recall(tenant, None, text) {
            return Some(vector);
        }
        let model = self.model().await?;
        let texts = vec![text.to_owned()];
        let made = self.0.questions.run(move |pool| {
            let ready = model.tokenise(&texts, MOST_ASKED)?;
            model.embed(&ready, pool)
        });
        let vector: Arc<[f32]> = self.logged(made.await)?.pop()?.into();
        self.remember(tenant, None, text, &vector);
        Some(vector)
    }

    /// The tenants whose questions are remembered.
    #[must_use]
    pub fn remembered(&self) -> HashSet<TenantId> {
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner).tenants()
    }

    /// Forget what a tenant asked: it is gone.
    pub fn forget(&self, tenant: TenantId) {
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner).forget(tenant);
    }

    /// What a model made of a question that was asked lately; `None` for `model` is the local one.
    ///
    /// Each tenant's questions are its own: how quickly one is answered tells nobody whether another
    /// tenant asked it.
    #[must_use]
    pub fn recall(
        &self,
        tenant: TenantId,
        model: Option<(VectorStoreId, i16)>,
        text: &str,
    ) -> Option<Arc<[f32]>> {
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner).get((tenant, model), text)
    }

    /// Keep what a model made of a question, for a while.
    pub fn remember(
        &self,
        tenant: TenantId,
        model: Option<(VectorStoreId, i16)>,
        text: &str,
        vector: &Arc<[f32]>,
    ) {
        let mut asked = self.0.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.put((tenant, model), text, Arc::clone(vector));
    }

    /// The vectors of one document's passages, in their order; `None` as for a question.
    pub async fn passages(&self, texts: Vec<String>) -> Option<Vec<Vector>> {
        let model = self.model().await?;
        let tokenised = {
            let model = Arc::clone(&model);
            self.0.passages.run(move |_| model.tokenise(&texts, MOST_READ)).await
        };
        let tokenised = self.logged(tokenised)?;
        let mut vectors = vec![Vector::new(); tokenised.len()];
        // Of about the same length: the shorter ones of a batch cost as much as the longest.
        let mut order: Vec<usize> = (0..tokenised.len()).collect();
        order.sort_by_key(|index| tokenised[*index].len());
        for places in order.chunks(BATCH) {
            let model = Arc::clone(&model);
            let batch: Vec<Vec<i32>> =
                places.iter().map(|index| tokenised[*index].clone()).collect();
            let made = self.0.passages.run(move |pool| model.embed(&batch, pool)).await;
            place(&mut vectors, places, self.logged(made)?)?;
        }
        Some(vectors)
    }

    /// What measures texts before they are cut into passages.
    pub async fn sizer(&self) -> Sizer {
        let there = self.0.folder.clone().filter(|folder| Model::is_in(folder));
        let Some(folder) = there else { return Sizer::estimate() };
        self.tokeniser(folder).await.map_or_else(Sizer::estimate, Sizer::exact)
    }

    async fn tokeniser(&self, folder: PathBuf) -> Option<Arc<Tokenizer>> {
        let load = || async {
            let loaded = tokio::task::spawn_blocking(move || Model::tokeniser(&folder)).await;
            let loaded = loaded.map_err(Fault::from).and_then(|tokeniser| tokeniser);
            self.logged(loaded).map(Arc::new)
        };
        self.0.tokeniser.get_or_init(load).await.clone()
    }

    /// The model, loaded by whoever needs it first. Files that are missing may come later.
    async fn model(&self) -> Option<Arc<Model>> {
        let shared = &self.0;
        let folder = shared.folder.clone()?;
        if !shared.model.initialized() && !Model::is_in(&folder) {
            if !shared.missed.swap(true, Ordering::Relaxed) {
                let folder = folder.display();
                tracing::warn!(%folder, "there is no embedding model here: search goes by words");
            }
            return None;
        }
        let load = || async {
            let tokeniser = self.tokeniser(folder.clone()).await?;
            let loaded = tokio::task::spawn_blocking(move || Model::load(&folder, tokeniser)).await;
            let loaded = loaded.map_err(Fault::from).and_then(|model| model);
            self.logged(loaded).map(Arc::new)
        };
        shared.model.get_or_init(load).await.clone()
    }

    fn logged<T>(&self, outcome: Result<T, Fault>) -> Option<T> {
        outcome.inspect_err(Fault::log).ok()
    }
}

/// Put a batch's vectors where its texts were. An answer of another length, or a vector that is
/// none, is no answer: a shifted one would give passages the vectors of their neighbours.
fn place(vectors: &mut [Vector], places: &[usize], made: Vec<Vector>) -> Option<()> {
    let sound = |vector: &Vector| {
        vector.len() == DIMENSIONS && vector.iter().all(|number| number.is_finite())
    };
    if made.len() != places.len() || !made.iter().all(sound) {
        Fault::new("the embedding model's answer does not fit what it was asked").log();
        return None;
    }
    for (place, vector) in places.iter().zip(made) {
        vectors[*place] = vector;
    }
    Some(())
}

/// So many runs of the model at once, each on a thread of its own; whoever comes first is first.
#[derive(Debug)]
struct Lane {
    room: Semaphore,
    idle: Mutex<Vec<Arc<ThreadPool>>>,
}

impl Lane {
    fn of(width: usize) -> Self {
        Self { room: Semaphore::new(width.max(1)), idle: Mutex::default() }
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(Arc<ThreadPool>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let _room = self.room.acquire().await?;
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let pool = idle().pop().unwrap_or_else(|| Arc::new(ThreadPool::with_num_threads(1)));
        let mine = Arc::clone(&pool);
        let outcome = tokio::task::spawn_blocking(move || work(mine)).await;
        idle().push(pool);
        outcome?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(first: f32) -> Vector {
        let mut vector = vec![0.0; DIMENSIONS];
        vector[0] = first;
        vector
    }

    /// [I-32] What is embedded together is the passages of one call, which is one document; and an
    /// answer that is too short, too long or not of vectors is dropped whole: none moves to the next
    /// passage.
    #[test]
    fn an_answer_that_does_not_fit_is_dropped() {
        let mut vectors = vec![Vector::new(); 3];
        place(&mut vectors, &[2, 0], vec![vector(2.0), vector(0.0)]).unwrap();
        assert_eq!((vectors[2][0], vectors[0][0], vectors[1].len()), (2.0, 0.0, 0));
        let before = vectors.clone();
        for wrong in [
            vec![],
            vec![vector(1.0)],
            vec![vector(1.0), vector(1.0), vector(1.0)],
            vec![vector(1.0), vec![1.0; DIMENSIONS - 1]],
            vec![vector(f32::NAN), vector(1.0)],
        ] {
            assert!(place(&mut vectors, &[0, 1], wrong).is_none());
            assert_eq!(vectors, before);
        }
    }

    #[tokio::test]
    async fn without_a_model_there_are_no_vectors_and_no_failure() {
        let folder = tempfile::tempdir().unwrap();
        for embedder in [Embedder::none(), Embedder::local(folder.path().to_owned())] {
            assert!(!embedder.is_there());
            assert!(embedder.question(TenantId::new(), "cats").await.is_none());
            assert!(embedder.passages(vec!["cats".to_owned()]).await.is_none());
        }
    }

    /// A damaged model is like none.
    #[tokio::test]
    async fn a_damaged_model_is_no_model() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(model::WEIGHTS), "no model").unwrap();
        std::fs::write(folder.path().join(model::TOKENISER), "{}").unwrap();
        let embedder = Embedder::local(folder.path().to_owned());
        assert!(embedder.is_there());
        assert!(embedder.question(TenantId::new(), "cats").await.is_none());
    }

    #[tokio::test]
    async fn work_that_fails_gives_its_place_back() {
        let lane = Lane::of(1);
        for _ in 0..3 {
            let outcome: Result<(), Fault> = lane.run(|_| Err(Fault::new("broken"))).await;
            assert!(outcome.is_err());
        }
        assert_eq!(lane.run(|_| Ok(7)).await.unwrap(), 7);
        assert_eq!(lane.idle.lock().unwrap().len(), 1);
    }
}
