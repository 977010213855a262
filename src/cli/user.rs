//! `callslip user`

use std::io::{self, IsTerminal};

use clap::{Args, Subcommand};

use super::{Context, Stop};
use crate::{
    db::Db,
    sign_in::accounts::NewAccount,
    tenants::{self, DisplayName, Role, Slug, Tenant},
    users::{self, Email, User, password::Password},
};

/// What to do about users.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add somebody to a tenant, and make their account if they have none.
    Add {
        /// The tenant's name in URLs.
        #[arg(long)]
        tenant: Slug,
        /// Their e-mail address.
        #[arg(long)]
        email: Email,
        /// Their name; only a new account needs it.
        #[arg(long)]
        name: Option<DisplayName>,
        /// What they may do there: reader, admin or owner.
        #[arg(long, default_value = "reader")]
        role: Role,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Print the members of a tenant, or everybody: address, role, name.
    List {
        /// The tenant's name in URLs.
        #[arg(long)]
        tenant: Option<Slug>,
    },
    /// Take somebody out of a tenant. Their account stays.
    Remove {
        /// The tenant's name in URLs.
        #[arg(long)]
        tenant: Slug,
        /// Their e-mail address.
        #[arg(long)]
        email: Email,
    },
    /// Switch an account off everywhere and end its sessions.
    Disable {
        /// Its e-mail address.
        #[arg(long)]
        email: Email,
    },
}

/// Where a new password comes from: generated and printed once, unless standard input has one.
#[derive(Debug, Args)]
pub(super) struct PasswordSource {
    /// Read the password from the first line of standard input instead of making one up.
    #[arg(long)]
    password_stdin: bool,
}

/// A password, and whether anybody knows it yet.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) password: Password,
    is_generated: bool,
}

impl PasswordSource {
    /// `about` holds what others know of the user.
    pub(super) fn choose(&self, about: &[&str]) -> Result<Chosen, Stop> {
        if !self.password_stdin {
            return Ok(Chosen { password: Password::generate(), is_generated: true });
        }
        if io::stdin().is_terminal() {
            eprintln!("Type the password and press Enter. It will be visible.");
        }
        let mut line = String::new();
        io::stdin().read_line(&mut line).map_err(Stop::because)?;
        let text = line.strip_suffix('\n').unwrap_or(&line);
        let text = text.strip_suffix('\r').unwrap_or(text);
        let password = Password::chosen(text, about)
            .map_err(|unfit| Stop(format!("the password does not do: {unfit}")))?;
        Ok(Chosen { password, is_generated: false })
    }
}

impl Chosen {
    /// Print a generated one: the only time that anybody sees it.
    pub(super) fn show(&self) {
        if self.is_generated {
            eprintln!("The password, shown this once:");
            println!("{}", self.password.expose());
        }
    }
}

pub(super) async fn run(command: Command) -> Result<(), Stop> {
    let context = Context::open().await?;
    let outcome = act(&context, command).await;
    context.close().await;
    outcome
}

async fn act(context: &Context, command: Command) -> Result<(), Stop> {
    let db = &context.parts.db;
    match command {
        Command::Add { tenant, email, name, role, password } => {
            let tenant = require_tenant(db, &tenant).await?;
            let (user, chosen) = match find_user(db, &email).await? {
                Some(user) => (user, None),
                None => create(context, email, name, &password).await?,
            };
            let added = context.accounts().add_member(&tenant, &user, role).await?;
            added.map_err(Stop::because)?;
            eprintln!("{} is {role} of {} now.", user.email, tenant.name);
            if let Some(chosen) = chosen {
                chosen.show();
            }
            Ok(())
        }
        Command::List { tenant: None } => list_all(db).await,
        Command::List { tenant: Some(tenant) } => {
            let tenant = require_tenant(db, &tenant).await?;
            list_members(db, &tenant).await
        }
        Command::Remove { tenant, email } => {
            let tenant = require_tenant(db, &tenant).await?;
            let user = require_user(db, &email).await?;
            let removed = context.accounts().remove_member(&tenant, &user).await?;
            removed.map_err(Stop::because)?;
            eprintln!("{email} does not belong to {} any more.", tenant.name);
            Ok(())
        }
        Command::Disable { email } => {
            let user = require_user(db, &email).await?;
            context.accounts().disable_user(user.id).await?;
            eprintln!("{email} is switched off.");
            Ok(())
        }
    }
}

async fn create(
    context: &Context,
    email: Email,
    name: Option<DisplayName>,
    source: &PasswordSource,
) -> Result<(User, Option<Chosen>), Stop> {
    let name = name.ok_or_else(|| Stop("a new account needs --name".to_owned()))?;
    let chosen = source.choose(&[email.as_str(), name.as_str()])?;
    let password = chosen.password.clone();
    let new = NewAccount { email, name, password, is_operator: false };
    let user = context.accounts().create_user(new).await?.map_err(Stop::because)?;
    Ok((user, Some(chosen)))
}

async fn require_tenant(db: &Db, slug: &Slug) -> Result<Tenant, Stop> {
    let mut tx = db.control().await.map_err(Stop::because)?;
    let found =
        tenants::store::find_by_slug(&mut tx, slug.as_str()).await.map_err(Stop::because)?;
    found.ok_or_else(|| Stop(format!("there is no tenant {slug}")))
}

async fn find_user(db: &Db, email: &Email) -> Result<Option<User>, Stop> {
    let mut tx = db.control().await.map_err(Stop::because)?;
    users::store::find_by_email(&mut tx, email).await.map_err(Stop::because)
}

async fn require_user(db: &Db, email: &Email) -> Result<User, Stop> {
    let found = find_user(db, email).await?;
    found.ok_or_else(|| Stop(format!("there is no user {email}, or it is switched off")))
}

async fn list_all(db: &Db) -> Result<(), Stop> {
    let mut tx = db.control().await.map_err(Stop::because)?;
    for (user, is_disabled) in users::store::list(&mut tx).await.map_err(Stop::because)? {
        let kind = if user.is_operator { "operator" } else { "user" };
        print_user(&user.email, kind, &user.name, is_disabled);
    }
    Ok(())
}

async fn list_members(db: &Db, tenant: &Tenant) -> Result<(), Stop> {
    let mut tx = db.control().await.map_err(Stop::because)?;
    for member in tenants::store::members(&mut tx, tenant.id).await.map_err(Stop::because)? {
        print_user(&member.email, member.role.as_str(), &member.name, member.is_disabled);
    }
    Ok(())
}

fn print_user(email: &str, role: &str, name: &str, is_disabled: bool) {
    let disabled = if is_disabled { "\tdisabled" } else { "" };
    println!("{email}\t{role}\t{name}{disabled}");
}
