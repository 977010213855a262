//! The composition root: takes the configuration apart and hands each slice what it needs.

use std::sync::Arc;

use axum::{Router, middleware};

use crate::{
    audit,
    clock::Clock,
    config::Config,
    db::Db,
    fault::Fault,
    http::{Mounted, PageError, assets, client_ip, headers, request_id, routes::Entry},
    limits::Limits,
    oauth,
    secret::seal::MasterKey,
    sign_in::{self, Gate, SignIn},
    users::password::{Cost, Hashing},
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
}

/// Assemble the application.
///
/// # Errors
/// When the database does not answer.
pub async fn build(parts: Parts) -> Result<App, Fault> {
    let audit = audit::Log::start(parts.db.clone());
    let hashing = Hashing::start(parts.password_cost.clone());
    let gate = Gate {
        db: parts.db.clone(),
        clock: parts.clock.clone(),
        public_url: parts.config.public_url.clone(),
    };
    let limits = Limits::new(parts.config.rate_limit_scale);
    limits.sweep_regularly();
    let oauth = oauth::Server::start(oauth::Settings {
        gate: gate.clone(),
        master_key: parts.master_key.clone(),
        access_token_minutes: parts.config.access_token_minutes,
        limits,
    })
    .await?;
    let sign_in = SignIn::new(gate, hashing, parts.config.rate_limit_scale);
    let Mounted { router, table } =
        assets::routes().and(sign_in::routes(sign_in)).and(oauth.routes());
    let router = router.fallback(async || PageError::NotFound);
    Ok(App { router: wrap(router, &parts.config), table: table.into(), audit, oauth })
}

/// What surrounds every slice, outermost last.
fn wrap(router: Router, config: &Config) -> Router {
    let trusted: Arc<[_]> = config.trusted_proxies.clone().into();
    router
        .layer(middleware::from_fn_with_state(config.public_url.clone(), headers::secure))
        .layer(middleware::from_fn_with_state(trusted, client_ip::resolve))
        .layer(middleware::from_fn(request_id::assign))
}
