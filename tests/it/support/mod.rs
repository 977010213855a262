//! The stage: an application on a fresh database, and browsers that visit it.

mod answer;
pub mod api_fake;
mod back_end;
mod browser;
pub mod bucket_fake;
pub mod document_host;
mod dpop;
pub mod embeddings_fake;
mod listen;
mod model;
mod oauth;
pub mod openai_fake;
mod people;
mod probe;
pub mod property;
pub mod provider;
mod queue;
pub mod reranker_fake;
pub mod sink;
mod terminal;
mod valkey;

use std::sync::atomic::{AtomicU8, Ordering};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request},
};
use callslip::{
    app::{self, App, Parts},
    clock::Clock,
    config::Config,
    db::Db,
    documents::{Spool, extract::Extractor, ingest::Bell},
    embeddings::Embedder,
    mcp::StreamRules,
    outbound::{Outbound, Policy},
    search::near::{self, Near},
    secret::seal::MasterKey,
    users::password::Cost,
};
use sqlx::PgPool;
use tower::ServiceExt;

pub use answer::Answer;
pub use back_end::resource_of;
pub use browser::Browser;
pub use dpop::ClientKey;
pub use model::model_folder;
pub use oauth::{Assistant, CHALLENGE, CHATGPT, Changes, VERIFIER, changed};
pub use people::{PASSWORD, Person};
pub use queue::file;
pub use terminal::Terminal;
pub use valkey::Valkey;

/// The origin that the application believes it has.
pub const ORIGIN: &str = "https://callslip.example";

/// Each byte of the master key, in hexadecimal.
pub const MASTER_KEY: &str = "5a";

/// An application, and the levers that tests pull.
#[derive(Clone)]
pub struct TestApp {
    pub app: App,
    pub parts: Parts,
    pub clock: Clock,
    /// As superuser, for looking behind the application's back.
    pub pool: PgPool,
}

impl TestApp {
    /// On this database, with the usual configuration and limits far away.
    pub async fn new(pool: &PgPool) -> Self {
        Self::with(pool, &[]).await
    }

    /// With variables of its own.
    pub async fn with(pool: &PgPool, variables: &[(&str, &str)]) -> Self {
        Self::over(pool, variables, None).await
    }

    /// With variables and a way out of its own.
    pub async fn over(
        pool: &PgPool,
        variables: &[(&str, &str)],
        outbound: Option<Outbound>,
    ) -> Self {
        let uploads = std::env::temp_dir().join("callslip-test-uploads");
        let mut all = vec![
            ("CALLSLIP_PUBLIC_URL", ORIGIN),
            ("CALLSLIP_RATE_LIMIT_SCALE", "100000"),
            ("CALLSLIP_UPLOAD_DIR", uploads.to_str().unwrap()),
        ];
        all.extend_from_slice(variables);
        let clock = Clock::movable();
        let config = Config::of(&all);
        let parts = Parts {
            outbound: outbound.unwrap_or_else(|| {
                Outbound::new(Policy {
                    allowed: config.outbound_allow.clone(),
                    documents: config.client_document_allow.clone(),
                })
            }),
            // None by default, whatever lies in this folder's data.
            embedder: match variables.iter().any(|(name, _)| *name == "CALLSLIP_MODEL_DIR") {
                true => Embedder::local(config.model_dir.clone()),
                false => Embedder::none(),
            },
            near: Near::new(near::Limits::within(config.search_index_mb)),
            config,
            bell: Bell::default(),
            db: Db::over(pool),
            clock: clock.clone(),
            master_key: MasterKey::from_hex(&MASTER_KEY.repeat(32)).unwrap(),
            password_cost: Cost::least(),
            extractor: Extractor::new(env!("CARGO_BIN_EXE_callslip")),
            streams: StreamRules::default(),
            // Other tests have the processor too.
            valkey_budget: std::time::Duration::from_secs(2),
        };
        Spool::new(&parts.config.upload_dir).prepare().unwrap();
        let app = app::build(parts.clone()).await.unwrap();
        Self { app, parts, clock, pool: pool.clone() }
    }

    /// Another node: the same database, configuration and time.
    pub async fn twin(&self) -> Self {
        let parts = Parts { db: Db::over(&self.pool), ..self.parts.clone() };
        let app = app::build(parts.clone()).await.unwrap();
        Self { app, parts, ..self.clone() }
    }

    /// The database, as the application sees it.
    pub fn db(&self) -> &Db {
        &self.parts.db
    }

    /// Send one request, as if from 192.0.2.1.
    pub async fn send(&self, mut request: Request<Body>) -> Answer {
        if request.extensions().get::<ConnectInfo<std::net::SocketAddr>>().is_none() {
            let peer: std::net::SocketAddr = "192.0.2.1:40000".parse().unwrap();
            request.extensions_mut().insert(ConnectInfo(peer));
        }
        Answer::read(self.app.router.clone().oneshot(request).await.unwrap()).await
    }

    /// `GET` without cookies.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// A browser that has never been here.
    pub fn browser(&self) -> Browser {
        Browser::new(self.clone())
    }
}

/// A different small number each time, for names.
pub fn unique() -> u8 {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
