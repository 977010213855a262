//! `callslip tenant`

use clap::Subcommand;

use super::{Context, Stop};
use crate::tenants::{self, DisplayName, Slug};

/// What to do about tenants.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a tenant.
    Create {
        /// Its name in URLs.
        slug: Slug,
        /// Its name for people.
        #[arg(long)]
        name: DisplayName,
    },
    /// Print every tenant: slug, members, name.
    List,
}

pub(super) async fn run(command: Command) -> Result<(), Stop> {
    let context = Context::open().await?;
    let outcome = act(&context, command).await;
    context.close().await;
    outcome
}

async fn act(context: &Context, command: Command) -> Result<(), Stop> {
    match command {
        Command::Create { slug, name } => {
            let made = context.accounts().create_tenant(&slug, &name).await?;
            let tenant = made.map_err(Stop::because)?;
            let origin = context.parts.config.public_url.as_str();
            println!("{origin}/t/{}/mcp", tenant.slug);
            eprintln!("{} is ready. Add somebody: callslip user add --tenant {slug}", tenant.name);
        }
        Command::List => {
            let mut tx = context.parts.db.control().await.map_err(Stop::because)?;
            for tenant in tenants::store::list(&mut tx).await.map_err(Stop::because)? {
                let suspended = if tenant.is_suspended { "\tsuspended" } else { "" };
                println!("{}\t{}\t{}{suspended}", tenant.slug, tenant.members, tenant.name);
            }
        }
    }
    Ok(())
}
