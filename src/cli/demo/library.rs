//! What the demonstration tenant reads: a book by chapters, and the same book as a PDF.

use std::{fs, path::Path};

use super::book;
use crate::{
    app::Parts,
    audit::Actor,
    db::TenantScope,
    documents::{self, Importer, Progress},
    embeddings::Embedder,
    fault::Fault,
    ids::VectorStoreId,
    tenants::Tenant,
    vector_stores,
};

const CHAPTERS: &str = "Our Cats";
const PDF: &str = "Our Cats (PDF)";

/// See that both stores have their documents.
pub(super) async fn fill(parts: &Parts, tenant: &Tenant) -> Result<(), Fault> {
    #[expect(clippy::disallowed_methods, reason = "whoever runs this command owns the database")]
    let shelf = Shelf { parts, scope: TenantScope::proven(tenant.id) };
    let chapters = book::chapters();
    let folder = parts.config.data_dir.join("demo");
    fs::create_dir_all(&folder)?;

    let file = folder.join("our-cats.jsonl");
    fs::write(&file, book::as_json_lines(&chapters))?;
    let told = format!("the book, {} chapters", chapters.len());
    shelf.stock(CHAPTERS, &file, chapters.len(), &told).await?;

    let file = folder.join("our-cats.pdf");
    fs::write(&file, book::PDF)?;
    shelf.stock(PDF, &file, 1, "the book again, as a PDF").await
}

struct Shelf<'a> {
    parts: &'a Parts,
    scope: TenantScope,
}

impl Shelf<'_> {
    /// Import `file` into the store of this name unless its documents are there already.
    async fn stock(
        &self,
        name: &str,
        file: &Path,
        documents: usize,
        told: &str,
    ) -> Result<(), Fault> {
        let store = self.store(name).await?;
        let mut tx = self.parts.db.tenant(self.scope).await?;
        let there = documents::store::count(&mut tx, store).await?;
        drop(tx);
        if usize::try_from(there).is_ok_and(|there| there >= documents) {
            return Ok(());
        }
        eprintln!("  importing {told}");
        // Nobody waits for the embeddings: the server makes them in its first seconds.
        let importer = Importer { embedder: Embedder::none(), ..self.parts.importer() };
        let quietly = |_: Progress<'_>| {};
        let sources = [file.to_owned()];
        let report = documents::import(&importer, self.scope, store, &sources, &quietly).await?;
        for failure in report.failed {
            eprintln!("  not imported: {}: {}", failure.source, failure.reason);
        }
        Ok(())
    }

    async fn store(&self, name: &str) -> Result<VectorStoreId, Fault> {
        let mut tx = self.parts.db.tenant(self.scope).await?;
        if let Some(store) = vector_stores::store::find_by_name(&mut tx, name).await? {
            return Ok(store.id);
        }
        let (clock, actor) = (&self.parts.clock, Actor::default());
        let created = vector_stores::create_builtin(&mut tx, clock, &actor, name).await?;
        let store = created.map_err(|_| Fault::new("the store was made by another process"))?;
        tx.commit().await?;
        Ok(store.id)
    }
}
