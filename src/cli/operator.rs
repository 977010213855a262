//! `callslip operator`

use clap::Subcommand;

use super::{Context, Stop, user};
use crate::{sign_in::accounts::NewAccount, tenants::DisplayName, users::Email};

/// What to do about operators.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print a link with which somebody makes themself operator: once, within the hour.
    Create,
    /// Make an operator account right away.
    Add {
        /// Their e-mail address.
        #[arg(long)]
        email: Email,
        /// Their name.
        #[arg(long)]
        name: DisplayName,
        #[command(flatten)]
        password: user::PasswordSource,
    },
}

pub(super) async fn run(command: Command) -> Result<(), Stop> {
    let context = Context::open().await?;
    let outcome = act(&context, command).await;
    context.close().await;
    outcome
}

async fn act(context: &Context, command: Command) -> Result<(), Stop> {
    let accounts = context.accounts();
    match command {
        Command::Create => {
            let link = accounts.create_operator_link().await?;
            let origin = context.parts.config.public_url.as_str();
            println!("{origin}/first-operator/{}", link.expose());
            eprintln!("Open it in a browser. It works once, within the hour.");
        }
        Command::Add { email, name, password } => {
            let chosen = password.choose(&[email.as_str(), name.as_str()])?;
            let password = chosen.password.clone();
            let new = NewAccount { email, name, password, is_operator: true };
            let made = accounts.create_user(new).await?.map_err(Stop::because)?;
            eprintln!("{} is an operator now.", made.email);
            chosen.show();
        }
    }
    Ok(())
}
