//! The work on a store's vectors that an endpoint does: one node at a time, in batches of one store's
//! passages, within the day's budget; after a failure with growing pauses. Of a batch that it refuses,
//! the passage is found that it does not take, and passed over.

use std::time::Duration;

use time::{Date, OffsetDateTime, Time};
use uuid::Uuid;

use super::{
    Meaning,
    ask::NotMade,
    store::{self, Chunk, Waiting},
    store_refused, text,
};
use crate::{
    embeddings::{
        DIMENSIONS, Vector,
        endpoint::{Error, MOST_TEXTS, MOST_TOKENS},
    },
    fault::Fault,
    vector_stores::{
        models::{EmbeddingModel, Endpoint},
        store_model_use, store_models,
    },
};

/// How long an endpoint may take for a batch.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a node has an endpoint to itself, unless it says that it is still there.
const LEASE: Duration = Duration::from_secs(120);
/// How many chunks are looked for at once.
const TAKEN: i64 = 512;
/// The longest pause after a failure that nobody gave a time for.
const LONGEST_PAUSE: Duration = Duration::from_secs(900);

/// Some batches of one store's. How many chunks were embedded.
pub(super) async fn step(meaning: &Meaning, waiting: &Waiting) -> Result<usize, Fault> {
    let mut tx = meaning.context.db.tenant(waiting.scope()).await?;
    let Some(models) = store_models::current(&mut tx, waiting.store).await? else { return Ok(0) };
    let mut embedded = 0;
    let active = store_models::find(&mut tx, waiting.store, (models.active, DIMENSIONS)).await?;
    let next = match models.next {
        Some(next) => store_models::find(&mut tx, waiting.store, (next, DIMENSIONS)).await?,
        None => None,
    };
    drop(tx);
    for model in active.iter().chain(&next) {
        if let Some(endpoint) = &model.endpoint {
            let turn = Turn { meaning, waiting, model, endpoint, node: Uuid::new_v4() };
            embedded += turn.take(models.active).await?;
        }
    }
    Ok(embedded)
}

/// One node's turn at one model.
struct Turn<'a> {
    meaning: &'a Meaning,
    waiting: &'a Waiting,
    model: &'a EmbeddingModel,
    endpoint: &'a Endpoint,
    node: Uuid,
}

impl Turn<'_> {
    async fn take(&self, active: i16) -> Result<usize, Fault> {
        if !self.lease().await? {
            return Ok(0);
        }
        let embedded = self.embed(active).await;
        let mut tx = self.meaning.context.db.tenant(self.waiting.scope()).await?;
        store_model_use::release(&mut tx, self.name(), self.node).await?;
        tx.commit().await?;
        embedded
    }

    async fn embed(&self, active: i16) -> Result<usize, Fault> {
        let store = self.waiting.store;
        let mut tx = self.meaning.context.db.tenant(self.waiting.scope()).await?;
        let chunks = if self.model.id == active {
            store::take(&mut tx, store, active, TAKEN).await?
        } else {
            store::take_for_next(&mut tx, store, (active, self.model.id), TAKEN).await?
        };
        // Nothing is held while an endpoint thinks: what is replaced meanwhile is not put.
        drop(tx);
        let mut embedded = 0;
        let mut works = false;
        let mut left = self.left();
        // Of a batch that is refused, the halves follow; the next part is the last.
        let mut parts = vec![chunks.as_slice()];
        while let Some(part) = parts.pop().filter(|part| !part.is_empty()) {
            let (texts, tokens) = self.batch(part, left).await?;
            let (batch, after) = part.split_at(texts.len());
            if !after.is_empty() {
                parts.push(after);
            }
            let asked = match batch {
                [] => Err(NotMade::UsedUp),
                _ => self.ask(&texts).await?,
            };
            match (asked, batch) {
                (Ok(vectors), _) => {
                    self.keep(batch, &vectors).await?;
                    (works, left) = (true, left.map(|left| left - tokens));
                    embedded += batch.len();
                }
                (Err(NotMade::Failed(Error::Refused(status))), [alone]) => {
                    // Is it the passage, or does the endpoint take nothing at all?
                    if !works && let Err(why) = self.ask(&["test".to_owned()]).await? {
                        self.fail(&why).await?;
                        break;
                    }
                    self.pass_over(alone, status).await?;
                    works = true;
                    embedded += 1;
                }
                (Err(NotMade::Failed(Error::Refused(_))), _) => {
                    let (first, second) = batch.split_at(batch.len() / 2);
                    parts.extend([second, first]);
                }
                (Err(why), _) => {
                    self.fail(&why).await?;
                    break;
                }
            }
            if !parts.is_empty() && !self.lease().await? {
                break;
            }
        }
        Ok(embedded)
    }

    async fn ask(&self, texts: &[String]) -> Result<Result<Vec<Vector>, NotMade>, Fault> {
        let place = (self.waiting.scope(), self.waiting.store);
        self.meaning.ask(place, self.model, self.endpoint, (texts, PATIENCE)).await
    }

    /// As many texts as one call may have, and as today's budget allows; and their tokens.
    async fn batch(
        &self,
        chunks: &[Chunk],
        left: Option<i64>,
    ) -> Result<(Vec<String>, i64), Fault> {
        let most = i64::try_from(MOST_TOKENS)?.min(left.unwrap_or(i64::MAX));
        let (mut texts, mut tokens) = (Vec::new(), 0);
        for chunk in chunks.iter().take(MOST_TEXTS) {
            let text = text(&chunk.title, &chunk.heading, &chunk.body);
            let more = self.meaning.tokens(std::slice::from_ref(&text)).await?;
            if tokens + more > most {
                break;
            }
            tokens += more;
            texts.push(text);
        }
        Ok((texts, tokens))
    }

    fn left(&self) -> Option<i64> {
        let today = self.meaning.context.clock.now().date();
        self.endpoint.tokens_per_day.map(|most| most - self.endpoint.used_on(today))
    }

    async fn keep(&self, chunks: &[Chunk], vectors: &[Vector]) -> Result<(), Fault> {
        let mut tx = self.meaning.context.db.tenant(self.waiting.scope()).await?;
        store::put(&mut tx, self.name(), chunks, vectors).await?;
        store_model_use::record_success(&mut tx, self.name()).await?;
        Ok(tx.commit().await?)
    }

    /// Leave a passage without a vector, until it or the model is another one.
    async fn pass_over(&self, chunk: &Chunk, status: u16) -> Result<(), Fault> {
        let now = self.meaning.context.clock.now();
        let mut tx = self.meaning.context.db.tenant(self.waiting.scope()).await?;
        store_refused::add(&mut tx, self.name(), chunk, (status, now)).await?;
        store_model_use::record_success(&mut tx, self.name()).await?;
        metrics::counter!("callslip_embedding_refused_passages_total").increment(1);
        Ok(tx.commit().await?)
    }

    /// Note why there was no answer, and when to ask again.
    async fn fail(&self, why: &NotMade) -> Result<(), Fault> {
        let now = self.meaning.context.clock.now();
        let mut tx = self.meaning.context.db.tenant(self.waiting.scope()).await?;
        let until = match why {
            NotMade::UsedUp => tomorrow(now.date()),
            NotMade::Locked | NotMade::Failed(_) => {
                let reason = why.reason();
                let name = self.name();
                let failures = store_model_use::record_failure(&mut tx, name, now, &reason).await?;
                now + pause(why, failures)
            }
        };
        store_model_use::rest(&mut tx, self.name(), until).await?;
        Ok(tx.commit().await?)
    }

    /// Whether it is this node's turn, and the model does not rest.
    async fn lease(&self) -> Result<bool, Fault> {
        let now = self.meaning.context.clock.now();
        let mut tx = self.meaning.context.db.tenant(self.waiting.scope()).await?;
        let times = (now, now + LEASE);
        let leased = store_model_use::lease(&mut tx, self.name(), self.node, times).await?;
        tx.commit().await?;
        Ok(leased)
    }

    const fn name(&self) -> (crate::ids::VectorStoreId, i16) {
        (self.waiting.store, self.model.id)
    }
}

/// As long as the endpoint says, and longer each time.
fn pause(why: &NotMade, failures: i16) -> Duration {
    let told = match why {
        NotMade::Failed(error) => error.wait().unwrap_or_default(),
        NotMade::UsedUp | NotMade::Locked => Duration::ZERO,
    };
    let doubled =
        Duration::from_secs(5) * 2_u32.pow(u32::from(failures.clamp(0, 8).unsigned_abs()));
    // Nobody is asked to wait for longer than a day.
    told.min(Duration::from_secs(86_400)).max(doubled.min(LONGEST_PAUSE))
}

/// The beginning of the next day, UTC.
fn tomorrow(today: Date) -> OffsetDateTime {
    today.next_day().unwrap_or(today).with_time(Time::MIDNIGHT).assume_utc()
}
