//! Documents in, questions answered, citations fetched: builtin and OpenAI stores.

mod extract;
mod hostile;
mod import;
mod index;
mod isolation;
mod large;
mod limits;
mod measured;
mod models;
mod openai;
mod rerank;
mod retrieval;
mod scans;
mod sync;
mod watch;
mod words;

use std::{path::PathBuf, time::Duration};

use callslip::{
    audit::Actor,
    db::TenantScope,
    documents::{self, Importer, Report, extract::Extractor},
    ids::VectorStoreId,
    outbound::{Outbound, Policy},
    search::{Fetch, Fetched, Hit, Parts, Search},
    vector_stores,
};
use sqlx::PgPool;

use crate::support::{TestApp, file};

/// A tenant with a store, and what it takes to fill and ask it.
struct Shelf {
    app: TestApp,
    scope: TenantScope,
    store: VectorStoreId,
    importer: Importer,
    search: Search,
}

fn extractor() -> Extractor {
    Extractor::new(env!("CARGO_BIN_EXE_callslip"))
}

#[expect(clippy::disallowed_methods, reason = "a test says who it is")]
async fn scope(app: &TestApp, slug: &str) -> TenantScope {
    TenantScope::proven(app.tenant(slug).await.id)
}

impl Shelf {
    async fn new(pool: &PgPool) -> Self {
        let app = TestApp::new(pool).await;
        Self::of(app, "acme", &[]).await
    }

    async fn of(app: TestApp, slug: &str, allowed: &[&str]) -> Self {
        let scope = scope(&app, slug).await;
        let mut tx = app.db().tenant(scope).await.unwrap();
        let store = vector_stores::create_builtin(&mut tx, &app.clock, &Actor::default(), "Books")
            .await
            .unwrap();
        tx.commit().await.unwrap();
        let importer = app.parts.importer();
        let allowed = allowed.iter().map(|host| (*host).to_owned()).collect();
        let search = Search::new(Parts {
            db: app.db().clone(),
            clock: app.clock.clone(),
            embedder: app.parts.embedder.clone(),
            near: app.parts.near.clone(),
            outbound: Outbound::new(Policy { allowed, ..Policy::default() }),
            master_key: app.parts.master_key.clone(),
            deadline: Duration::from_secs(3),
            public_url: "https://callslip.example".to_owned(),
        });
        Self { app, scope, store: store.unwrap().id, importer, search }
    }

    async fn import(&self, sources: &[PathBuf]) -> Report {
        documents::import(&self.importer, self.scope, self.store, sources, &|_| ()).await.unwrap()
    }

    async fn upload(&self, name: &str, bytes: &[u8]) -> Report {
        self.app.ingest(self.scope, self.store, file(name, bytes)).await
    }

    async fn ask(&self, question: &str) -> Vec<Hit> {
        let answer = self.search.search(self.scope, &[self.store], question, 10).await.unwrap();
        assert!(answer.failures.is_empty(), "{:?}", answer.failures);
        answer.hits
    }

    async fn fetch(&self, id: &str) -> Fetch {
        self.search.fetch(self.scope, &[self.store], id, None).await.unwrap()
    }

    async fn fetched(&self, id: &str) -> Fetched {
        match self.fetch(id).await {
            Fetch::Found(found) => found,
            other => panic!("{other:?}"),
        }
    }
}

/// What a handler does with it: the futures must be fit for another thread.
#[expect(dead_code, reason = "compiling is the test")]
fn answers_travel_between_threads(search: &Search, scope: TenantScope) {
    fn sends<T: Send>(_: T) {}
    sends(search.search(scope, &[], "", 1));
    sends(search.fetch(scope, &[], "", None));
}
