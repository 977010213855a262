//! One store asked, within the deadline: the builtin one in Postgres, or one outside with its key.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Filter, Found, Search,
    builtin::{self, Meant},
    fetched::Text,
    id::Target,
    openai,
    rerank::Reranker,
};
use crate::{
    db::{TenantScope, TenantTx},
    deadline,
    fault::Fault,
    outbound::api::Api,
    vector_stores::{self, Backend, VectorStore, models::LOCAL, openai::Client},
};

/// What every store is asked.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    /// Clean, and of bounded length.
    pub(super) query: &'a str,
    /// By the installation's own model, of length one; `None` where it is not there.
    pub(super) vector: Option<&'a [f32]>,
    /// The most documents that are wanted.
    pub(super) limit: usize,
    /// Which documents may answer.
    pub(super) filter: Option<&'a Filter>,
}

/// What a store found, and why it was less than it finds otherwise, in words.
pub(super) type Answered = (Vec<Found>, Option<String>);

/// How often a question is asked anew because the store goes by another model since.
const ATTEMPTS: usize = 3;

impl Search {
    /// One store's answer within the deadline, or why there is none in words. A builtin one is asked
    /// in this transaction, if there is one already.
    pub(super) async fn ask(
        &self,
        scope: TenantScope,
        store: &VectorStore,
        asked: &Asked<'_>,
        tx: Option<TenantTx>,
    ) -> Result<Result<Answered, String>, Fault> {
        match &store.backend {
            Backend::Builtin => {
                let until = Instant::now() + self.parts.deadline;
                let search = self.builtin(scope, (store, until), asked, tx);
                // The statement ends a little later than who waits for it gives up: that is a
                // store's failure, and an ended statement is our own.
                let search = deadline::until(until + Duration::from_millis(250), search);
                match tokio::time::timeout_at(until, search).await {
                    Ok(found) => found.map(Ok),
                    Err(_) => Ok(Err(self.too_late())),
                }
            }
            Backend::OpenAi { .. } => {
                drop(tx);
                self.outside(scope, store, async |client| {
                    openai::search(&client, store.id, asked).await
                })
                .await
                .map(|outcome| outcome.map(|found| (found, None)))
            }
        }
    }

    /// A builtin store's answer, by whichever model it goes by from the first step to the last, for
    /// somebody who gives up then.
    pub(super) async fn builtin(
        &self,
        scope: TenantScope,
        (store, until): (&VectorStore, Instant),
        asked: &Asked<'_>,
        mut tx: Option<TenantTx>,
    ) -> Result<Answered, Fault> {
        let reranker = match store.is_reranked {
            true => Reranker::Endpoint(&self.parts, until),
            false => Reranker::Nobody,
        };
        let mut model = store.models.active;
        for _ in 0..ATTEMPTS {
            let others;
            let (vector, failure) = if model == LOCAL {
                (asked.vector, None)
            } else {
                // No connection is held while an endpoint thinks.
                drop(tx.take());
                let by = (store.id, model);
                others = self.parts.meaning().question(scope, by, asked.query).await?;
                (others.vector.as_deref(), others.failure.clone())
            };
            let tx = match tx.take() {
                Some(tx) => tx,
                None => self.parts.db.tenant_to_scan(scope).await?,
            };
            let meant = Meant { vector, model };
            let near = |chunks| self.parts.near.index(&self.parts.db, scope, store.id, chunks);
            match builtin::search(tx, store.id, asked, meant, (near, reranker)).await? {
                Ok(found) => return Ok((found, failure)),
                Err(models) => model = models.active,
            }
        }
        // Models that change with every question are no fault of who asks.
        Ok((Vec::new(), Some("its models change too often: ask again".to_owned())))
    }

    /// One document's text, `None` when the store has no such document.
    pub(super) async fn read(
        &self,
        tx: TenantTx,
        store: &VectorStore,
        target: &Target,
        enough: usize,
    ) -> Result<Result<Option<Text>, String>, Fault> {
        match (&store.backend, target) {
            (Backend::Builtin, Target::Builtin { document, chunk }) => {
                builtin::fetch(tx, store.id, *document, *chunk).await.map(Ok)
            }
            (Backend::OpenAi { .. }, Target::Outside { file_id }) => {
                let scope = tx.scope();
                drop(tx);
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
        let outbound = &self.parts.outbound;
        let client = Client {
            api: Api { outbound, base_url, api_key: Some(&api_key), deadline },
            external_id,
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
}
