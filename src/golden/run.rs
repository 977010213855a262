//! Runs: a node takes one, asks question after question, and says so all the while.

use std::{fmt::Write, sync::Arc};

use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{
    Expected, Question, store, store_rankers,
    store_runs::{self, Held},
};
use crate::{
    clock::Clock,
    db::{Db, TenantScope, TenantTx},
    documents,
    embeddings::{self, Embedder},
    fault::Fault,
    ids::{DocumentId, GoldenRunId, TenantId},
    search::{self, Search},
};

/// Asks tenants' golden questions. Clones share.
#[derive(Clone, Debug)]
pub struct Golden {
    db: Db,
    clock: Clock,
    search: Search,
    embedder: Embedder,
    /// One run at a time in this process: there are people who search.
    turn: Arc<Mutex<()>>,
}

impl Golden {
    /// Over these. The search is one for work in the background.
    #[must_use]
    pub fn new(db: Db, clock: Clock, search: Search, embedder: Embedder) -> Self {
        Self { db, clock, search, embedder, turn: Arc::default() }
    }

    /// What ranks a tenant's documents now, in words: here, and elsewhere for the stores of its
    /// questions.
    async fn fingerprint(&self, tx: &mut TenantTx) -> sqlx::Result<String> {
        let model = match self.embedder.is_there() {
            true => format!("model {}", embeddings::MODEL),
            false => "no model".to_owned(),
        };
        let (ranking, chunking) = (search::RANKING_VERSION, documents::CHUNKING_VERSION);
        let mut fingerprint = format!("{model}, chunking {chunking}, ranking {ranking}");
        for ranker in store_rankers::elsewhere(tx).await? {
            let _ = write!(fingerprint, "; {ranker}");
        }
        Ok(shortened(fingerprint))
    }

    /// Ask for a run, unless one is under way or there is nothing to ask.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn want(&self, scope: TenantScope) -> Result<(), Fault> {
        let mut tx = self.db.tenant(scope).await?;
        let fingerprint = self.fingerprint(&mut tx).await?;
        store_runs::want(&mut tx, &fingerprint, self.clock.now()).await?;
        Ok(tx.commit().await?)
    }

    /// Ask for a run wherever something ranks that was not measured, and do the runs that wait. For
    /// a task that does so every few seconds; any number of nodes may.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn tend(&self) -> Result<(), Fault> {
        let mut tx = self.db.control().await?;
        let tenants = store_runs::tenants(&mut tx).await?;
        drop(tx);
        for tenant in tenants {
            let mut tx = self.db.tenant(scope(tenant)).await?;
            // Half of a model's vectors say nothing about it.
            let has_model = self.embedder.is_there() || store_rankers::any_embeds(&mut tx).await?;
            let is_behind = has_model && documents::embed::is_behind(&mut tx).await?;
            let now = self.clock.now();
            let fingerprint = self.fingerprint(&mut tx).await?;
            if !is_behind && store_runs::is_due(&mut tx, &fingerprint, now).await? {
                store_runs::want(&mut tx, &fingerprint, now).await?;
                tx.commit().await?;
            }
        }
        self.work(None, &|_, _| ()).await
    }

    /// Do the runs that wait; of one tenant, or of all. Nothing when this process is at one already.
    ///
    /// # Errors
    /// When the database fails; a run that broke off says so.
    pub async fn work(
        &self,
        only: Option<TenantScope>,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<(), Fault> {
        let Ok(_turn) = self.turn.try_lock() else { return Ok(()) };
        let mut tx = self.db.control().await?;
        let free = store_runs::free(&mut tx, self.clock.now()).await?;
        drop(tx);
        for (tenant, run) in free {
            if only.is_none_or(|only| only.tenant_id() == tenant) {
                self.run(tenant, run, progress).await?;
            }
        }
        Ok(())
    }

    async fn run(
        &self,
        tenant: TenantId,
        run: GoldenRunId,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<(), Fault> {
        let held = Held { tenant, run, by: Uuid::new_v4() };
        let mut tx = self.db.tenant(scope(tenant)).await?;
        let mut questions = store::list(&mut tx).await?;
        questions.retain(|question| !answers(question).is_empty());
        let fingerprint = self.fingerprint(&mut tx).await?;
        let begun = (questions.len(), fingerprint.as_str());
        if !store_runs::take(&mut tx, held, begun, self.clock.now()).await? {
            return Ok(());
        }
        tx.commit().await?;
        let outcome = self.ask_all(held, &questions, progress).await;
        if matches!(outcome, Ok(false)) {
            return Ok(());
        }
        let mut tx = self.db.tenant(scope(tenant)).await?;
        store_runs::finish(&mut tx, held, outcome.is_ok(), self.clock.now()).await?;
        tx.commit().await?;
        outcome.map(drop)
    }

    /// `false` when the run is somebody else's by now.
    async fn ask_all(
        &self,
        held: Held,
        questions: &[Question],
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<bool, Fault> {
        let scope = scope(held.tenant);
        for (number, question) in questions.iter().enumerate() {
            progress(number, questions.len());
            let found = self.search.documents(scope, question.store, &question.text).await?;
            let answers = answers(question);
            let place = found.iter().position(|document| answers.contains(document));
            let rank = place.map(|place| i32::try_from(place + 1)).transpose()?;
            let mut tx = self.db.tenant(scope).await?;
            let noted = store_runs::note(&mut tx, held, (question.id, rank), self.clock.now());
            if !noted.await? {
                return Ok(false);
            }
            tx.commit().await?;
        }
        progress(questions.len(), questions.len());
        Ok(true)
    }
}

#[expect(clippy::disallowed_methods, reason = "a tenant's own questions, asked of its own stores")]
fn scope(tenant: TenantId) -> TenantScope {
    TenantScope::proven(tenant)
}

/// The longest fingerprint that is kept, in characters.
const LONGEST: usize = 400;

/// A fingerprint as it is kept: of a long one the beginning, and a hash that stands for all of it.
fn shortened(fingerprint: String) -> String {
    if fingerprint.chars().count() <= LONGEST {
        return fingerprint;
    }
    let hash: String =
        Sha256::digest(&fingerprint).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let beginning: String = fingerprint.chars().take(LONGEST - hash.len() - 2).collect();
    format!("{beginning}… {hash}")
}

fn answers(question: &Question) -> Vec<DocumentId> {
    let there = question.expected.iter().filter_map(|one| match one {
        Expected::There { id, .. } => Some(*id),
        Expected::Deleted => None,
    });
    there.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_fingerprint_is_short_and_still_another_one_than_its_neighbour() {
        let long = |last: &str| shortened(format!("{}{last}", "Bücher: ".repeat(200)));
        assert_eq!(shortened("ranking 1".to_owned()), "ranking 1");
        assert_eq!((long("a").chars().count(), long("a")), (LONGEST, long("a")));
        assert_ne!(long("a"), long("b"));
    }
}
