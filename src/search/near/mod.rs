//! Large stores in memory, so that a question is compared with a few hundred chunks and not with all.
//!
//! Measured on a busy machine with 1,000,000 chunks of 1,000 tenants (`scripts/bench retrieval`, p50
//! and p99 in ms): 100,000 chunks looked at row by row 292 / 428, by the index 16 / 33 at recall .993;
//! 10,000 row by row 31 / 110. Most of that is walking over the rows, and no index in Postgres helps:
//! under row-level security none of an operator that may leak is used, and one of a tenant's own would
//! have to be built and kept for each. In memory 100,000 chunks are 40 MB (`index`). What is found
//! there is looked at exactly, in Postgres and under row-level security: an index that is out of date
//! costs a hit, and never shows what is not there any more or is not the tenant's.
//!
//! What was added since is looked at besides. Every row says in which transaction it changed, and an
//! index from which one on it may lack changes: that needs no counter, which writers would wait for.
//!
//! A store is loaded in the background when it is first asked; until then, and where there is no
//! room, every chunk is looked at. An index is of one model's embeddings: a store that goes by another
//! one since is looked at chunk by chunk until it is loaded anew. [`Near::keep_up`] loads anew what
//! has changed much or lost something, forgets what nobody asks, and measures [`Recall`]: below 0.95
//! the index is built anew, at most once an hour, and until it is good every chunk is looked at.

mod index;
pub(super) mod store;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    clock::Clock,
    db::{Class, Db, TenantScope},
    fault::Fault,
    ids::VectorStoreId,
    vector_stores::store_models,
};

use index::{Builder, State};
pub(super) use index::{Index, Wanted};
pub use store::Recall;

/// Below this recall a store is looked at chunk by chunk.
const ENOUGH: f32 = 0.95;
/// How many questions go into a measurement.
const QUESTIONS: i64 = 20;
/// How long one holds.
const MEASURED_FOR: Duration = Duration::from_secs(3600);
/// A store that nobody asks for so long is forgotten.
const IDLE: Duration = Duration::from_secs(900);
/// How many documents are read at once.
const AT_ONCE: usize = 250;

/// When and how much.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Stores of fewer chunks are looked at chunk by chunk: that is exact, and quick enough.
    pub least_chunks: usize,
    /// How many bytes all indexes together may take.
    pub most_bytes: usize,
    /// How old an index is at least when it is loaded anew because something was deleted.
    pub least_age: Duration,
}

impl Limits {
    /// The usual ones, with so many mebibytes for all indexes together.
    #[must_use]
    pub fn within(mebibytes: usize) -> Self {
        Self { most_bytes: mebibytes.saturating_mul(1024 * 1024), ..Self::default() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            least_chunks: 8_000,
            most_bytes: 512 * 1024 * 1024,
            least_age: Duration::from_secs(30),
        }
    }
}

/// The indexes in memory. Clones share them.
#[derive(Clone, Debug)]
pub struct Near(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: Limits,
    stores: Mutex<HashMap<Key, Kept>>,
    /// Held by whoever loads one: one after the other, and no more memory than for one.
    loading: tokio::sync::Mutex<()>,
}

type Key = (TenantScope, VectorStoreId);

#[derive(Debug)]
struct Kept {
    /// None while it is loaded for the first time.
    index: Option<Arc<Index>>,
    asked: Instant,
    measured: Option<Instant>,
    /// When it was last loaded anew because it missed too much.
    mended: Option<Instant>,
}

impl Kept {
    /// Asked for now, and not loaded yet.
    fn begun() -> Self {
        Self { index: None, asked: Instant::now(), measured: None, mended: None }
    }

    /// Whether it misses too much, and was not loaded anew for that a while ago.
    fn is_to_be_mended(&self) -> bool {
        self.index.as_ref().is_some_and(|index| index.state() == State::Poor)
            && self.mended.is_none_or(|at| at.elapsed() >= MEASURED_FOR)
    }
}

impl Near {
    /// None yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let loading = tokio::sync::Mutex::default();
        Self(Arc::new(Shared { limits, stores: Mutex::default(), loading }))
    }

    fn stores(&self) -> MutexGuard<'_, HashMap<Key, Kept>> {
        self.0.stores.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The index of a store of so many chunks, if it should be asked: loaded in the background by the
    /// first question, which looks at every chunk.
    pub(super) fn index(
        &self,
        db: &Db,
        scope: TenantScope,
        store: VectorStoreId,
        chunks: usize,
    ) -> Option<Arc<Index>> {
        if chunks < self.0.limits.least_chunks {
            return None;
        }
        let key = (scope, store);
        let mut stores = self.stores();
        if let Some(kept) = stores.get_mut(&key) {
            kept.asked = Instant::now();
            return kept.index.clone().filter(|index| index.state() != State::Poor);
        }
        stores.insert(key, Kept::begun());
        drop(stores);
        let (near, db) = (self.clone(), db.of(Class::Work));
        tokio::spawn(async move {
            if let Err(fault) = near.load(&db, key).await {
                near.stores().remove(&key);
                fault.log();
            }
        });
        None
    }

    /// The index of a store that is large enough for one, once it is loaded; for measuring.
    pub(super) async fn loaded(&self, db: &Db, key: Key) -> Result<Option<Arc<Index>>, Fault> {
        let mut tx = db.tenant_to_scan(key.0).await?;
        let (_, chunks) = store::changes(&mut tx, key.1, "0").await?;
        drop(tx);
        if usize::try_from(chunks)? < self.0.limits.least_chunks {
            return Ok(None);
        }
        let there = self.stores().entry(key).or_insert_with(Kept::begun).index.clone();
        if there.is_none() {
            self.load(db, key).await?;
        }
        Ok(self.stores().get(&key).and_then(|kept| kept.index.clone()))
    }

    /// Load a store, in place of what is there of it.
    async fn load(&self, db: &Db, key: Key) -> Result<(), Fault> {
        let (scope, store) = key;
        let _turn = self.0.loading.lock().await;
        let mut tx = db.tenant_to_scan(scope).await?;
        let since = store::horizon(&mut tx).await?;
        let models = store_models::current(&mut tx, store).await?;
        let Some(model) = models.map(|models| models.active) else {
            self.stores().remove(&key);
            return Ok(());
        };
        let documents = store::documents(&mut tx, store).await?;
        drop(tx);
        let mut builder = Builder::default();
        for documents in documents.chunks(AT_ONCE) {
            // A transaction each: nothing in Postgres waits for a long one to end.
            let mut tx = db.tenant_to_scan(scope).await?;
            store::load(&mut tx, (documents, model), &mut builder).await?;
        }
        let index = tokio::task::spawn_blocking(move || builder.index(since, model)).await?;
        let mut stores = self.stores();
        if index.chunks() == 0 || !self.make_room(&mut stores, key, index.size()) {
            // Left in the list without an index where there is no room: it is not tried each time.
            if index.chunks() == 0 {
                stores.remove(&key);
            }
            return Ok(());
        }
        if let Some(kept) = stores.get_mut(&key) {
            let alike = |old: &Arc<Index>| {
                old.state() != State::Poor
                    && old.model() == index.model()
                    && old.chunks().abs_diff(index.chunks()) < old.chunks() / 5
            };
            kept.measured = kept.measured.filter(|_| kept.index.as_ref().is_some_and(alike));
            kept.index = Some(Arc::new(index));
        }
        Ok(())
    }

    /// Forget those that nobody has asked for longest until another one fits.
    fn make_room(&self, stores: &mut HashMap<Key, Kept>, key: Key, size: usize) -> bool {
        loop {
            let others = || stores.iter().filter(|(other, _)| **other != key);
            let taken: usize =
                others().filter_map(|(_, kept)| Some(kept.index.as_ref()?.size())).sum();
            if taken + size <= self.0.limits.most_bytes {
                return true;
            }
            let oldest = others().filter(|(_, kept)| kept.index.is_some());
            let Some(oldest) = oldest.min_by_key(|(_, kept)| kept.asked).map(|(key, _)| *key)
            else {
                return false;
            };
            stores.remove(&oldest);
        }
    }

    /// Follow what changed in Postgres, and measure what is due. Every few seconds, so that nothing
    /// of what was deleted is in memory a minute later (spec row I-25).
    ///
    /// # Errors
    /// When the database fails; the rest is done next time.
    pub async fn keep_up(&self, db: &Db, clock: &Clock) -> Result<(), Fault> {
        self.stores().retain(|_, kept| kept.asked.elapsed() < IDLE);
        let kept: Vec<(Key, Arc<Index>)> = self
            .stores()
            .iter()
            .filter_map(|(key, kept)| Some((*key, kept.index.clone()?)))
            .collect();
        for (key, index) in kept {
            let mut tx = db.tenant_to_scan(key.0).await?;
            let (old, new) = store::changes(&mut tx, key.1, index.since()).await?;
            let models = store_models::current(&mut tx, key.1).await?;
            drop(tx);
            let is_of_another = models.is_some_and(|models| models.active != index.model());
            let chunks = index.chunks();
            let missing = i64::try_from(chunks)? - old;
            if old + new == 0 {
                self.stores().remove(&key);
            } else if self.begin_to_mend(key)
                || is_of_another
                || (missing > 0 && index.age() >= self.0.limits.least_age)
                || usize::try_from(new)? > chunks / 50
            {
                self.load(db, key).await?;
            }
            self.measure_if_due(db, key, clock).await?;
        }
        let taken: usize =
            self.stores().values().filter_map(|kept| Some(kept.index.as_ref()?.size())).sum();
        metrics::gauge!("callslip_search_index_bytes").set(taken as f64);
        Ok(())
    }

    /// Whether an index is to be loaded anew because it misses too much: once, for a while.
    fn begin_to_mend(&self, key: Key) -> bool {
        let mut stores = self.stores();
        let kept = stores.get_mut(&key).filter(|kept| kept.is_to_be_mended());
        kept.map(|kept| kept.mended = Some(Instant::now())).is_some()
    }

    async fn measure_if_due(&self, db: &Db, key: Key, clock: &Clock) -> Result<(), Fault> {
        let due = self.stores().get(&key).and_then(|kept| {
            let fresh = kept.measured.is_some_and(|at| at.elapsed() < MEASURED_FOR);
            kept.index.clone().filter(|_| !fresh)
        });
        let Some(index) = due else { return Ok(()) };
        let (scope, store) = key;
        let compared = super::measure::compare(db, scope, store, (QUESTIONS, Some(&index))).await?;
        let recall = compared.recall();
        index.set_state(if recall < ENOUGH { State::Poor } else { State::Good });
        if let Some(kept) = self.stores().get_mut(&key) {
            kept.measured = Some(Instant::now());
        }
        metrics::gauge!("callslip_search_recall", "store" => store.to_string())
            .set(f64::from(recall));
        if recall < ENOUGH {
            tracing::warn!(%store, recall, "the index in memory misses hits: every chunk is looked at");
        }
        let measured = Recall {
            recall,
            questions: i32::try_from(compared.questions())?,
            chunks: i32::try_from(index.chunks())?,
            measured_at: clock.now(),
        };
        let mut tx = db.tenant(scope).await?;
        store::record(&mut tx, store, &measured).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Whether a store is in memory.
    #[must_use]
    pub fn holds(&self, scope: TenantScope, store: VectorStoreId) -> bool {
        self.stores().get(&(scope, store)).is_some_and(|kept| kept.index.is_some())
    }
}
