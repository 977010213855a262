//! The work on a store's vectors that waits for nobody: the installation's own model, and a change's
//! last steps.

use super::{
    Meaning, own_model,
    store::{self, Waiting},
    store_refused, text,
};
use crate::{
    audit::{self, Event, Kind},
    db::TenantTx,
    embeddings::{BATCH, DIMENSIONS},
    fault::Fault,
    vector_stores::{Models, store_models},
};

/// How many vectors move to their place at once.
const SETTLED: i64 = 1_000;

/// A batch of one store's. Its rows are held meanwhile, for less than a second.
pub(super) async fn step(meaning: &Meaning, waiting: &Waiting) -> Result<usize, Fault> {
    let mut tx = meaning.context.db.tenant(waiting.scope()).await?;
    let Some(models) = store_models::current(&mut tx, waiting.store).await? else { return Ok(0) };
    let settled = store::settle(&mut tx, waiting.store, models, SETTLED).await?;
    if settled > 0 {
        tx.commit().await?;
        return Ok(usize::try_from(settled)?);
    }
    let most = i64::try_from(BATCH)?;
    let is_there = meaning.embedder.is_there();
    if is_there && own_model(&mut tx, waiting.store).await?.is_some() {
        let chunks = store::take(&mut tx, waiting.store, models.active, most).await?;
        if !chunks.is_empty() {
            return embed(meaning, tx, (waiting, models.active), &chunks).await;
        }
    }
    if let Some(next) = models.next {
        if is_there && is_own(&mut tx, waiting, next).await? {
            let numbers = (models.active, next);
            let chunks = store::take_for_next(&mut tx, waiting.store, numbers, most).await?;
            if !chunks.is_empty() {
                return embed(meaning, tx, (waiting, next), &chunks).await;
            }
        }
        if !store::lacks(&mut tx, waiting.store, next).await? {
            return switch(meaning, tx, waiting, models).await;
        }
        return Ok(0);
    }
    store_refused::forget_others(&mut tx, waiting.store, models).await?;
    store::forget(&mut tx, waiting, models.active).await?;
    tx.commit().await?;
    Ok(0)
}

/// Whether this is the model that runs here.
async fn is_own(tx: &mut TenantTx, waiting: &Waiting, id: i16) -> sqlx::Result<bool> {
    let model = store_models::find(tx, waiting.store, (id, DIMENSIONS)).await?;
    Ok(model.is_some_and(|model| model.endpoint.is_none()))
}

async fn embed(
    meaning: &Meaning,
    mut tx: TenantTx,
    (waiting, by): (&Waiting, i16),
    chunks: &[store::Chunk],
) -> Result<usize, Fault> {
    let texts = chunks.iter().map(|chunk| text(&chunk.title, &chunk.heading, &chunk.body));
    let Some(vectors) = meaning.embedder.passages(texts.collect()).await else { return Ok(0) };
    store::put(&mut tx, (waiting.store, by), chunks, &vectors).await?;
    tx.commit().await?;
    Ok(chunks.len())
}

/// Let search go by the model that has made all vectors, unless documents are coming in this very
/// moment: then the next round does.
async fn switch(
    meaning: &Meaning,
    mut tx: TenantTx,
    waiting: &Waiting,
    models: Models,
) -> Result<usize, Fault> {
    let held = store_models::hold_alone(&mut tx, waiting.store).await;
    if held.as_ref().is_err_and(is_busy) {
        return Ok(0);
    }
    held?;
    let Some(next) = models.next else { return Ok(0) };
    if !finish(meaning, &mut tx, waiting, next).await? {
        return Ok(0);
    }
    tx.commit().await?;
    Ok(1)
}

/// The switch itself, and its event. The store's row is held.
async fn finish(
    meaning: &Meaning,
    tx: &mut TenantTx,
    waiting: &Waiting,
    next: i16,
) -> sqlx::Result<bool> {
    // Nobody adds a document now that this does not see.
    if store::lacks(tx, waiting.store, next).await?
        || !store_models::switch(tx, waiting.store, next).await?
    {
        return Ok(false);
    }
    let model = store_models::find(tx, waiting.store, (next, DIMENSIONS)).await?;
    let mut event = Event::new(Kind::EmbeddingModelSwitched, meaning.context.clock.now())
        .tenant(waiting.tenant)
        .with("vector_store", waiting.store.to_string());
    if let Some(model) = model {
        event = event.with("name", model.model);
    }
    audit::store::append(tx, &event).await?;
    Ok(true)
}

/// Whether a lock was not to be had in time.
fn is_busy(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).as_deref() == Some("55P03")
}
