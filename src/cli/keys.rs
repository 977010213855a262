//! `callslip keys`

use std::io::{self, IsTerminal, Write};

use clap::Subcommand;
use time::{OffsetDateTime, UtcOffset, macros::format_description};

use super::{Context, Stop};
use crate::{
    fault::Fault,
    oauth::rotation::{self, Rotation, SigningKey, State, Urgency},
};

/// What to do about the keys that sign access tokens.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print the keys: name, state, since when or from when it signs, when it was retired.
    List,
    /// Publish the next key. It takes over in ten minutes; nobody has to connect again.
    Rotate,
    /// Retire a key: what it signed is refused at once, and assistants renew it by themselves.
    Retire {
        /// The key's name: see `callslip keys list`. It may begin with a hyphen.
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// The key has leaked. If it is the one that signs, a new one takes its place at once.
        #[arg(long)]
        emergency: bool,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(command: Command) -> Result<(), Stop> {
    let context = Context::open().await?;
    let outcome = act(&context, command).await;
    context.close().await;
    outcome
}

async fn act(context: &Context, command: Command) -> Result<(), Stop> {
    let parts = &context.parts;
    let rotation = Rotation {
        db: parts.db.clone(),
        clock: parts.clock.clone(),
        master_key: parts.master_key.clone(),
    };
    match command {
        Command::List => list(&rotation).await?.iter().for_each(print),
        Command::Rotate => {
            let key = rotation.rotate().await?;
            print(&key);
            eprintln!(
                "{} signs from {} on. Until then, and as long as their tokens live, the others go on.",
                key.kid,
                moment(key.activates_at)
            );
        }
        Command::Retire { kid, emergency, yes } => {
            if !yes {
                confirm(&kid)?;
            }
            let urgency = if emergency { Urgency::Emergency } else { Urgency::Planned };
            rotation.retire(&kid, urgency).await?.map_err(Stop::because)?;
            eprintln!("{kid} is retired: what it signed is refused from now on.");
            list(&rotation).await?.iter().filter(|key| key.state == State::Signs).for_each(print);
        }
    }
    Ok(())
}

async fn list(rotation: &Rotation) -> Result<Vec<SigningKey>, Stop> {
    let keys = async {
        let mut tx = rotation.db.control().await?;
        rotation::list(&mut tx, rotation.clock.now()).await
    };
    Ok(keys.await.map_err(Fault::from)?)
}

/// Ask at a terminal; where nobody can answer, refuse.
fn confirm(kid: &str) -> Result<(), Stop> {
    if !io::stdin().is_terminal() {
        return Err(Stop(
            "what the key signed would be refused at once; to do it, add --yes".into(),
        ));
    }
    eprint!("Retire {kid}? What it signed is refused at once, and this cannot be undone. [y/N] ");
    io::stderr().flush().map_err(Stop::because)?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(Stop::because)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Stop("nothing was changed".to_owned())),
    }
}

fn print(key: &SigningKey) {
    let retired = key.retired_at.map(|at| format!("\tretired {}", moment(at))).unwrap_or_default();
    println!(
        "{}\t{}\tpublished {}\tsigns from {}{retired}",
        key.kid,
        key.state.as_str(),
        moment(key.published_at),
        moment(key.activates_at),
    );
}

fn moment(at: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    at.to_offset(UtcOffset::UTC).format(format).expect("the parts of a date can be printed")
}
