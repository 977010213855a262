//! The composition root: takes the configuration apart and hands each slice what it needs.

use std::{sync::Arc, time::Duration};

use axum::{Router, middleware};

use crate::{
    admin::{self, Admin, Sources},
    api, audit,
    clock::Clock,
    config::Config,
    db::{Class, Db, Orphans},
    documents::{
        Importer, Spool,
        extract::Extractor,
        ingest::{self, Bell},
    },
    embeddings::Embedder,
    fault::Fault,
    golden::Golden,
    http::{
        Draining, Mounted, PageError, Share, assets,
        client_ip::{self, Proxies},
        encoding, headers,
        host::{self, Host},
        panics, request_id,
        routes::Entry,
        unread,
    },
    ids::TenantId,
    limits::{self, Calls, Limits, shared},
    mcp::{self, StreamRules},
    oauth,
    outbound::Outbound,
    problems::{self, Problems},
    questions::{self, Questions},
    search::{self, Search, near::Near},
    secret::seal::MasterKey,
    sign_in::{self, Gate, SignIn, session, sso::Sso},
    telemetry, tenants,
    users::password::{Cost, Hashing},
    vector_stores,
    watch::{self, Watcher},
};

/// What an application is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The environment, parsed.
    pub config: Config,
    /// The primary database.
    pub db: Db,
    /// Where "now" comes from.
    pub clock: Clock,
    /// What secrets at rest are sealed with.
    pub master_key: MasterKey,
    /// How much work hashing a password is.
    pub password_cost: Cost,
    /// What reads uploaded files.
    pub extractor: Extractor,
    /// The guarded way out of this installation.
    pub outbound: Outbound,
    /// How long streams last, and how many there may be.
    pub streams: StreamRules,
    /// How long a Valkey may take to answer.
    pub valkey_budget: Duration,
    /// The embedding model, if there is one.
    pub embedder: Embedder,
    /// Large stores in memory.
    pub near: Near,
    /// What wakes this process's workers when a file comes.
    pub bell: Bell,
}

impl Parts {
    /// Questions to hits, over every vector store.
    #[must_use]
    pub fn search(&self, class: Class) -> Search {
        Search::new(search::Parts {
            db: self.db.of(class),
            clock: self.clock.clone(),
            embedder: self.embedder.clone(),
            near: self.near.clone(),
            outbound: self.outbound.clone(),
            master_key: self.master_key.clone(),
            deadline: STORE_DEADLINE,
            public_url: self.config.public_url.as_str().to_owned(),
        })
    }

    /// How well questions are answered.
    #[must_use]
    pub fn golden(&self) -> Golden {
        let (db, search) = (self.db.of(Class::Work), self.search(Class::Work));
        Golden::new(db, self.clock.clone(), search, self.embedder.clone())
    }

    /// Files to documents.
    #[must_use]
    pub fn importer(&self) -> Importer {
        Importer {
            db: self.db.of(Class::Work),
            clock: self.clock.clone(),
            extractor: self.extractor.clone(),
            embedder: self.embedder.clone(),
            spool: Spool::new(&self.config.upload_dir),
            bell: self.bell.clone(),
            outbound: self.outbound.clone(),
            master_key: self.master_key.clone(),
        }
    }
}

impl Parts {
    /// What looks at watched places.
    #[must_use]
    pub fn watcher(&self) -> Watcher {
        Watcher::new(self.importer(), self.watch())
    }

    fn watch(&self) -> watch::Context {
        watch::Context {
            clock: self.clock.clone(),
            outbound: self.outbound.clone(),
            master_key: self.master_key.clone(),
            roots: self.config.watch_roots.clone(),
        }
    }
}

/// The assembled application.
#[derive(Clone, Debug)]
pub struct App {
    /// Answers every request.
    pub router: Router,
    /// Every route with its demand.
    pub table: Arc<[Entry]>,
    /// The log of tool calls.
    pub audit: audit::Log,
    /// The authorization server.
    pub oauth: oauth::Server,
    /// Told when the server is on its way out.
    pub draining: Draining,
    /// What is wrong with the installation.
    pub problems: Problems,
    /// Every limit.
    pub limits: Limits,
    /// The limits on assistants' calls.
    pub calls: Calls,
    /// Asks tenants' golden questions.
    pub golden: Golden,
    /// The embedding model, which remembers questions.
    embedder: Embedder,
}

impl App {
    /// [`App::forget`], as long as this machine's clock can tell what is over: by a wrong one,
    /// revocations and used proofs would go while other nodes need them, and keys would be retired.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sweep(&self, db: &Db, clock: &Clock) -> Result<(), Fault> {
        self.problems.compare_clocks().await?;
        if self.problems.clock_differs() {
            tracing::warn!(
                "nothing is swept while this machine's clock differs from the database's"
            );
            return Ok(());
        }
        self.forget(db, clock).await?;
        count_orphans(db).await
    }

    /// Forget what is over: sessions, links, old events of the installation, and what the
    /// authorization server holds. For a periodic task; any number of nodes may run it.
    ///
    /// # Errors
    /// When the database fails; what was not swept stays refused all the same.
    pub async fn forget(&self, db: &Db, clock: &Clock) -> Result<(), Fault> {
        let own = async {
            let mut tx = db.of(Class::Work).control().await?;
            session::purge(&mut tx, clock.now()).await?;
            audit::store::forget_old(&mut tx).await?;
            questions::forget_old(&mut tx, clock.now()).await?;
            api::forget_old(&mut tx, clock.now()).await?;
            problems::store::forget_old(&mut tx, clock.now()).await?;
            limits::store::forget_old(&mut tx, clock.now().date()).await?;
            tenants::deletion::forget_records(&mut tx).await?;
            Ok(tx.commit().await?)
        };
        let own: Result<(), Fault> = own.await;
        let streams = mcp::sweep(db).await;
        let files = ingest::sweep(db, clock).await;
        self.oauth.sweep().await.and(own).and(streams).and(files)
    }

    /// Remove what is left of tenants that were deleted, here and in what this process remembers.
    /// For a task that runs every few seconds; any number of nodes may run it.
    ///
    /// # Errors
    /// When the database fails; what is left is removed the next time.
    pub async fn finish_deletions(&self, db: &Db, clock: &Clock) -> Result<(), Fault> {
        let db = db.of(Class::Work);
        if tenants::deletion::finish(&db).await? > 0 {
            oauth::forget_clients(&db, clock.now()).await?;
        }
        let remembered: Vec<TenantId> = self.embedder.remembered().into_iter().collect();
        if !remembered.is_empty() {
            let mut tx = db.control().await?;
            for gone in tenants::deletion::gone(&mut tx, &remembered).await? {
                self.embedder.forget(gone);
            }
        }
        Ok(())
    }
}

/// Look for rows that belong to nothing. There are none: one that is found is a fault of ours.
async fn count_orphans(db: &Db) -> Result<(), Fault> {
    let orphans = db.of(Class::Work).orphans().await?;
    let rows: i64 = orphans.iter().map(|one| one.rows).sum();
    metrics::gauge!("callslip_orphan_rows").set(rows as f64);
    for Orphans { place, rows } in &orphans {
        tracing::error!(place, rows, "rows that belong to nothing");
    }
    Ok(())
}

/// How long a vector store may take to answer a search.
const STORE_DEADLINE: Duration = Duration::from_secs(10);

/// Assemble the application.
///
/// # Errors
/// When the database does not answer.
pub async fn build(parts: Parts) -> Result<App, Fault> {
    let config = &parts.config;
    let audit = audit::Log::start(&parts.db);
    let limits = limits(&parts)?;
    let calls = limits.calls();
    let draining = Draining::default();
    let problems = Problems::start(&parts.db.of(Class::Work), &parts.clock);
    problems.compare_clocks().await?;
    let gate = Gate {
        db: parts.db.clone(),
        clock: parts.clock.clone(),
        public_url: config.public_url.clone(),
    };
    let hashing = Hashing::start(parts.password_cost.clone());
    let sso = Sso::new(gate.clone(), parts.master_key.clone(), &parts.outbound, &limits);
    let sign_in = SignIn::new(gate.clone(), hashing, sso.clone(), limits.clone());
    let oauth = oauth::Server::start(oauth::Settings {
        gate: Gate { db: parts.db.of(Class::OAuth), ..gate.clone() },
        master_key: parts.master_key.clone(),
        access_token_minutes: config.access_token_minutes,
        clients: config.clients.clone(),
        signing_key_days: config.signing_key_days,
        limits: limits.clone(),
        outbound: parts.outbound.clone(),
        problems: problems.clone(),
    })
    .await?;
    let golden = parts.golden();
    let endpoint = mcp(&parts, &oauth, audit.clone(), calls.clone(), &draining);
    let sources =
        Sources { importer: parts.importer(), uploads: limits.uploads(), watch: parts.watch() };
    let api = api(&parts, &oauth, audit.clone(), (calls.clone(), &sources));
    let Mounted { router, table } = assets::routes()
        .and(telemetry::routes(parts.db.of(Class::Check), draining.clone(), problems.clone()))
        .and(sign_in::routes(sign_in))
        .and(admin::routes(admin(&parts, gate, sso, (sources, &limits, &golden))))
        .and(oauth.routes())
        .and(api::routes(api, &limits));
    // The MCP endpoint says the same in its own words.
    let router = router.route_layer((middleware::from_fn(encoding::refuse), Share));
    let Mounted { router, table } = Mounted { router, table }.and(mcp::routes(endpoint, &limits));
    let router = router.fallback(async || PageError::NotFound);
    let router = wrap(router, config, &problems);
    let (table, embedder) = (table.into(), parts.embedder.clone());
    Ok(App { router, table, audit, oauth, draining, problems, limits, calls, golden, embedder })
}

/// Of this process alone, or of all nodes.
fn limits(parts: &Parts) -> Result<Limits, Fault> {
    let config = &parts.config;
    let mut limits = Limits::new(config.rate_limit_scale);
    if let Some(url) = config.valkey_url.clone() {
        let key = parts.master_key.derivation_key("callslip shared limits");
        let budget = parts.valkey_budget;
        limits = limits.share(&shared::Settings { url, key, nodes: config.nodes, budget })?;
    }
    limits.sweep_regularly();
    Ok(limits)
}

fn mcp(
    parts: &Parts,
    oauth: &oauth::Server,
    audit: audit::Log,
    calls: Calls,
    draining: &Draining,
) -> mcp::Parts {
    mcp::Parts {
        verifier: oauth.verifier(),
        liveness: oauth.liveness(),
        dpop: oauth.dpop(),
        resources: oauth.resources(),
        search: parts.search(Class::Tool),
        audit,
        calls,
        clock: parts.clock.clone(),
        public_url: parts.config.public_url.clone(),
        allowed_origins: parts.config.allowed_origins.clone(),
        db: parts.db.of(Class::Check),
        master_key: parts.master_key.clone(),
        draining: draining.clone(),
        streams: parts.streams,
    }
}

fn api(
    parts: &Parts,
    oauth: &oauth::Server,
    audit: audit::Log,
    (calls, sources): (Calls, &Sources),
) -> api::Parts {
    let db = parts.db.of(Class::Tool);
    let (clock, master_key) = (parts.clock.clone(), parts.master_key.clone());
    api::Parts {
        verifier: oauth.verifier(),
        liveness: oauth.liveness(),
        dpop: oauth.dpop(),
        resources: oauth.resources(),
        calls,
        audit,
        search: parts.search(Class::Tool),
        questions: Questions::new(db.clone(), clock.clone(), master_key),
        importer: sources.importer.clone(),
        uploads: sources.uploads.clone(),
        clock,
        db,
        public_url: parts.config.public_url.clone(),
    }
}

fn admin(
    parts: &Parts,
    gate: Gate,
    sso: Sso,
    (sources, limits, golden): (Sources, &Limits, &Golden),
) -> Admin {
    let stores = vector_stores::Context {
        db: parts.db.clone(),
        clock: parts.clock.clone(),
        outbound: parts.outbound.clone(),
        master_key: parts.master_key.clone(),
    };
    let search = parts.search(Class::Pages);
    Admin::new(gate, (search, golden.clone()), stores, (sources, limits), sso)
}

/// Surround routes with what every slice is surrounded with, outermost first.
pub fn wrap(router: Router, config: &Config, problems: &Problems) -> Router {
    let trusted = config.trusted_proxies.clone().into();
    let shared_egress = config.shared_egress.clone().into();
    let proxies = Proxies { trusted, shared_egress, problems: problems.clone() };
    let host = (Host::new(&config.public_url), problems.clone());
    router.layer((
        middleware::from_fn(request_id::assign),
        Share,
        middleware::from_fn(telemetry::observe),
        Share,
        middleware::from_fn(unread::drain),
        Share,
        middleware::from_fn_with_state(proxies, client_ip::resolve),
        Share,
        middleware::from_fn_with_state(config.public_url.clone(), headers::secure),
        Share,
        middleware::from_fn_with_state(host, host::check),
        Share,
        middleware::from_fn(panics::catch),
        Share,
    ))
}
