//! `callslip tenant`

use clap::Subcommand;

use super::{Context, Stop};
use crate::{
    audit::Actor,
    db::Class,
    fault::Fault,
    oauth,
    tenants::{self, DisplayName, Slug, deletion},
};

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
    /// Delete a tenant with all its documents, vector stores, members and apps. Its people keep
    /// their accounts; the record of what happened in it is kept for 90 days.
    Delete {
        /// Its name in URLs.
        slug: Slug,
        /// Its name for people, so that it is this one and no other. There is no way back.
        #[arg(long, value_name = "NAME")]
        yes_delete: String,
    },
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
        Command::Delete { slug, yes_delete } => delete(context, &slug, &yes_delete).await?,
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

async fn delete(context: &Context, slug: &Slug, name: &str) -> Result<(), Stop> {
    let (db, now) = (context.parts.db.of(Class::Work), context.parts.clock.now());
    let begun = async {
        let mut tx = db.control().await?;
        let Some(tenant) = tenants::store::find_by_slug(&mut tx, slug.as_str()).await? else {
            return Ok(Err(Stop(format!("there is no tenant {slug}: see callslip tenant list"))));
        };
        if tenant.name != name {
            let wrong = format!("{slug} is called {:?}: nothing was deleted", tenant.name);
            return Ok(Err(Stop(wrong)));
        }
        deletion::begin(&mut tx, &tenant, &Actor::default(), now).await?;
        tx.commit().await?;
        Ok(Ok(()))
    };
    begun.await.map_err(|error: sqlx::Error| Stop::from(Fault::from(error)))??;
    eprintln!("{name} answers nobody any more; its documents are being removed");
    deletion::finish(&db).await?;
    oauth::forget_clients(&db, now).await?;
    println!("{slug} was deleted");
    Ok(())
}
