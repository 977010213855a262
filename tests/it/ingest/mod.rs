//! The queue between what people send and what assistants find.

mod command_line;
mod failing;
mod limits;
mod pages;
mod queue;
mod races;
mod stages;
mod tidy;

use std::{fs, os::unix::fs::PermissionsExt};

use callslip::{
    audit::Actor,
    db::TenantScope,
    documents::{
        enqueue,
        extract::Extractor,
        ingest::{self, Job},
    },
    ids::{IngestId, VectorStoreId},
    vector_stores,
};
use sqlx::PgPool;

use crate::support::{TestApp, file};

/// A reader that does this instead, and notes that it was started.
fn reader(folder: &tempfile::TempDir, deed: &str) -> Extractor {
    let program = folder.path().join("reader");
    let started = folder.path().join("started");
    fs::write(&program, format!("#!/bin/sh\necho x >> {}\n{deed}\n", started.display())).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    Extractor::new(program)
}

/// A text of a few chunks; only a whole one begins and ends like this.
fn text(name: &str) -> String {
    let middle =
        "The keeper counts the cats below the lamp and writes the number down. ".repeat(60);
    format!("Begins {name}.\n\n{middle}\n\nEnds {name}.")
}

/// A tenant with a store, and the queue before it.
#[derive(Clone)]
struct Queue {
    app: TestApp,
    scope: TenantScope,
    store: VectorStoreId,
}

/// How many rows there are of what anybody could find, list or see, and of what is on its way.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rows {
    documents: i64,
    texts: i64,
    chunks: i64,
    indexed: i64,
    staged: i64,
    originals: i64,
}

impl Queue {
    async fn new(pool: &PgPool) -> Self {
        Self::of(TestApp::new(pool).await, "acme").await
    }

    #[expect(clippy::disallowed_methods, reason = "a test says who it is")]
    async fn of(app: TestApp, slug: &str) -> Self {
        let scope = TenantScope::proven(app.tenant(slug).await.id);
        let mut tx = app.db().tenant(scope).await.unwrap();
        let actor = Actor::default();
        let made = vector_stores::create_builtin(&mut tx, &app.clock, &actor, "Books").await;
        let store = made.unwrap().unwrap().id;
        tx.commit().await.unwrap();
        Self { app, scope, store }
    }

    async fn send(&self, name: &str, bytes: &[u8]) -> IngestId {
        let importer = self.app.parts.importer();
        enqueue(&importer, self.scope, self.store, file(name, bytes)).await.unwrap().unwrap()
    }

    async fn job(&self, id: IngestId) -> Job {
        self.app.job(self.scope, id).await.unwrap()
    }

    async fn cancel(&self, id: IngestId) -> bool {
        let mut tx = self.app.db().tenant(self.scope).await.unwrap();
        let done = ingest::cancel(&mut tx, id, &Actor::default(), self.app.clock.now()).await;
        tx.commit().await.unwrap();
        done.unwrap()
    }

    async fn retry(&self, id: IngestId) -> bool {
        let mut tx = self.app.db().tenant(self.scope).await.unwrap();
        let done = ingest::retry(&mut tx, id, &Actor::default(), self.app.clock.now()).await;
        tx.commit().await.unwrap();
        done.unwrap()
    }

    async fn rows(&self) -> Rows {
        let row = sqlx::query!(
            r#"
            select (select count(*) from documents) as "documents!",
                   (select count(*) from document_texts) as "texts!",
                   (select count(*) from chunks) as "chunks!",
                   (select count(*) from chunk_index) as "indexed!",
                   (select count(*) from ingest_texts)
                     + (select count(*) from ingest_chunks) as "staged!",
                   (select count(*) from originals) as "originals!"
            "#
        )
        .fetch_one(&self.app.pool)
        .await
        .unwrap();
        Rows {
            documents: row.documents,
            texts: row.texts,
            chunks: row.chunks,
            indexed: row.indexed,
            staged: row.staged,
            originals: row.originals,
        }
    }

    /// The kinds of the tenant's events, oldest first.
    async fn events(&self) -> Vec<String> {
        sqlx::query_scalar!(
            "select kind from audit_events where tenant_id = $1 order by id",
            self.scope.tenant_id().uuid(),
        )
        .fetch_all(&self.app.pool)
        .await
        .unwrap()
    }
}
