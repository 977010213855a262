//! Chunks that no model has embedded: those of before there was one, and of imports that had none.
//!
//! Any number of nodes work at it at once, a few chunks at a time. What they have done is searched
//! by meaning at once; the rest goes by words until it is.

pub(super) mod store;

use super::importer::Importer;
use crate::{
    db::{TenantScope, TenantTx},
    embeddings::BATCH,
    fault::Fault,
};
use store::Waiting;

/// What is embedded of a chunk: what it is part of counts, and is not shown as its text.
pub(super) fn text(title: &str, heading: &str, body: &str) -> String {
    let mut text = String::with_capacity(title.len() + heading.len() + body.len() + 2);
    for part in [title, heading, body] {
        if !part.is_empty() && !text.is_empty() {
            text.push('\n');
        }
        text.push_str(part);
    }
    text
}

/// Whether any of the tenant's stores waits.
///
/// # Errors
/// When the database fails.
pub async fn is_behind(tx: &mut TenantTx) -> sqlx::Result<bool> {
    store::is_behind(tx).await
}

impl Importer {
    /// Embed a batch of every store that waits for it. How many chunks that were: none when all are
    /// embedded, or where there is no model.
    ///
    /// # Errors
    /// When the database fails; what was embedded stays so.
    pub async fn embed_waiting(&self) -> Result<usize, Fault> {
        if !self.embedder.is_there() {
            return Ok(0);
        }
        let mut tx = self.db.control().await?;
        let waiting = store::waiting(&mut tx).await?;
        drop(tx);
        let mut embedded = 0;
        for store in waiting {
            embedded += self.embed_some(&store).await?;
        }
        Ok(embedded)
    }

    /// A batch of one store's. Its rows are held meanwhile, for less than a second.
    async fn embed_some(&self, waiting: &Waiting) -> Result<usize, Fault> {
        #[expect(clippy::disallowed_methods, reason = "upkeep of what the tenant itself stored")]
        let scope = TenantScope::proven(waiting.tenant);
        let mut tx = self.db.tenant(scope).await?;
        let chunks = store::take(&mut tx, waiting.store, i64::try_from(BATCH)?).await?;
        if chunks.is_empty() {
            store::forget(&mut tx, waiting).await?;
            tx.commit().await?;
            return Ok(0);
        }
        let texts = chunks.iter().map(|chunk| text(&chunk.title, &chunk.heading, &chunk.body));
        let Some(vectors) = self.embedder.passages(texts.collect()).await else { return Ok(0) };
        store::put(&mut tx, &chunks, &vectors).await?;
        tx.commit().await?;
        Ok(chunks.len())
    }
}
