//! `callslip token`

use super::{Context, Stop};
use crate::{
    app::Parts,
    db::TenantScope,
    fault::Fault,
    limits::Limits,
    oauth,
    sign_in::Gate,
    tenants::{self, Slug},
    users::{self, Email},
    vector_stores,
};

/// Options of `token`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The tenant's name in URLs.
    #[arg(long)]
    tenant: Slug,
    /// Whose token: a member of the tenant.
    #[arg(long)]
    email: Email,
}

pub(super) async fn run(args: Args) -> Result<(), Stop> {
    let context = Context::open().await?;
    let outcome = print(&context, &args).await;
    context.close().await;
    outcome
}

async fn print(context: &Context, args: &Args) -> Result<(), Stop> {
    let failed = |fault: Fault| Stop(format!("cannot make a token: {}", fault.chain()));
    let db = &context.parts.db;
    let mut tx = db.control().await.map_err(Stop::because)?;
    let tenant = tenants::store::find_by_slug(&mut tx, args.tenant.as_str()).await;
    let tenant = tenant.map_err(Stop::because)?;
    let tenant = tenant.ok_or_else(|| Stop(format!("there is no tenant {}", args.tenant)))?;
    let user = users::store::find_by_email(&mut tx, &args.email).await.map_err(Stop::because)?;
    let user = user.ok_or_else(|| Stop(format!("there is no user {}", args.email)))?;
    drop(tx);

    #[expect(clippy::disallowed_methods, reason = "whoever runs this command owns the database")]
    let scope = TenantScope::proven(tenant.id);
    let mut tx = db.tenant(scope).await.map_err(Stop::because)?;
    let stores = vector_stores::store::list(&mut tx).await.map_err(Stop::because)?;
    drop(tx);
    let stores: Vec<_> = stores.iter().map(|store| store.id).collect();

    let server = authorization_server(&context.parts).await.map_err(failed)?;
    let token = server.issue_at_terminal(user.id, &tenant, &stores).await.map_err(failed)?;
    println!("{}", token.map_err(Stop::because)?);
    Ok(())
}

async fn authorization_server(parts: &Parts) -> Result<oauth::Server, Fault> {
    let Parts { config, db, clock, master_key, .. } = parts;
    oauth::Server::start(oauth::Settings {
        gate: Gate { db: db.clone(), clock: clock.clone(), public_url: config.public_url.clone() },
        master_key: master_key.clone(),
        access_token_minutes: config.access_token_minutes,
        limits: Limits::new(config.rate_limit_scale),
    })
    .await
}
