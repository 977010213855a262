//! The last word on the order of a store's best passages, where a store lets somebody have it.
//!
//! What is sent are passages that search has found already, for this tenant, in this store: another
//! order of them is all that can come back. Whatever goes wrong, the order stays as it was, and the
//! store's page says why; nothing is remembered of what was asked.

use std::time::Duration;

use tokio::time::Instant;

use super::{Parts, store::Passage};
use crate::{
    db::{TenantScope, TenantTx},
    fault::Fault,
    ids::VectorStoreId,
    outbound::api::Api,
    vector_stores::{
        credentials,
        reranker::{Reranker as Model, endpoint::Client, store},
    },
};

/// So many documents' best passages are looked at.
const LOOKED_AT: usize = 30;
/// The longest part of a passage that is sent, in characters: a chunk is shorter.
const LONGEST: usize = 4_000;
/// How long an answer waits for its order, and what must be left of its time thereafter.
const PATIENCE: Duration = Duration::from_secs(2);
const SPARE: Duration = Duration::from_millis(500);
/// After an endpoint failed, answers do without it for so long.
const PAUSE: Duration = Duration::from_secs(15);

/// Who orders a store's best passages anew.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reranker<'a> {
    /// Nobody: the order is that of both halves.
    Nobody,
    /// The model behind the store's endpoint, for an answer that is given up then.
    Endpoint(&'a Parts, Instant),
}

impl Reranker<'_> {
    /// How many documents it wants to see where so many are asked for.
    pub(super) fn wants(&self, limit: usize) -> usize {
        match self {
            Self::Nobody => limit,
            Self::Endpoint(..) => limit.max(LOOKED_AT),
        }
    }

    /// The same passages, the first of them in another order. No connection is held meanwhile.
    pub(super) async fn reorder(
        self,
        mut tx: TenantTx,
        store: VectorStoreId,
        query: &str,
        passages: Vec<Passage>,
    ) -> Result<Vec<Passage>, Fault> {
        let Self::Endpoint(parts, until) = self else { return Ok(passages) };
        let Some(model) = store::find(&mut tx, store).await? else { return Ok(passages) };
        let now = parts.clock.now();
        let rests = model.failure.as_ref().is_some_and(|last| now < last.at + PAUSE);
        let deadline = (Instant::now() + PATIENCE).min(until.checked_sub(SPARE).unwrap_or(until));
        if rests || passages.len() < 2 || deadline <= Instant::now() {
            count("passed over");
            return Ok(passages);
        }
        let scope = tx.scope();
        let opened = credentials::open_for_reranker(&mut tx, &parts.master_key, store).await;
        drop(tx);
        let order = match &opened {
            Ok(api_key) => {
                let (outbound, base_url) = (&parts.outbound, model.base_url.as_str());
                let api = Api { outbound, base_url, api_key: api_key.as_ref(), deadline };
                let client = Client { api, model: &model.model };
                let texts: Vec<String> = passages.iter().take(LOOKED_AT).map(text).collect();
                client.rerank(query, &texts).await.map_err(|error| error.to_string())
            }
            Err(fault) => {
                fault.log();
                Err("the endpoint's API key cannot be read: enter it again".to_owned())
            }
        };
        note(parts, (scope, store), &model, order.as_ref().err()).await?;
        Ok(match order {
            Ok(order) => in_order(passages, &order),
            Err(_) => passages,
        })
    }
}

/// What is sent of a passage.
fn text(passage: &Passage) -> String {
    format!("{}\n{}", passage.title, passage.body).trim().chars().take(LONGEST).collect()
}

/// The first passages as an order of them says, then the rest.
fn in_order(passages: Vec<Passage>, order: &[usize]) -> Vec<Passage> {
    let mut passages: Vec<Option<Passage>> = passages.into_iter().map(Some).collect();
    let first: Vec<Passage> = order.iter().filter_map(|at| passages.get_mut(*at)?.take()).collect();
    first.into_iter().chain(passages.into_iter().flatten()).collect()
}

/// Count how it went, and tell the store's page where that is news.
async fn note(
    parts: &Parts,
    (scope, store): (TenantScope, VectorStoreId),
    model: &Model,
    failure: Option<&String>,
) -> Result<(), Fault> {
    count(if failure.is_some() { "failed" } else { "reordered" });
    let mut tx = match failure {
        None if model.failure.is_none() => return Ok(()),
        _ => parts.db.tenant(scope).await?,
    };
    match failure {
        None => store::record_success(&mut tx, store).await?,
        Some(reason) => {
            tracing::warn!(%store, reason, "a reranker failed: the order stays as it was");
            store::record_failure(&mut tx, store, parts.clock.now(), reason).await?;
        }
    }
    Ok(tx.commit().await?)
}

fn count(outcome: &'static str) {
    metrics::counter!("callslip_search_reranked_total", "outcome" => outcome).increment(1);
}
