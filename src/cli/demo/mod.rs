//! `callslip demo`: a server with a demonstration tenant, and everything needed to try it.

mod book;
mod detach;
mod library;
mod note;
mod people;
mod running;
mod stage;

use super::{
    Context, Stop,
    context::configuration,
    serve::{self, Listeners, Metrics},
};
use crate::{config::Config, telemetry};
use note::Note;
use running::Running;

/// Options of `demo`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Run in the background.
    #[arg(long)]
    detach: bool,
    /// Stop what runs on this data folder, and wait until it has stopped.
    #[arg(long, conflicts_with = "detach")]
    stop: bool,
    /// What `--detach` starts.
    #[arg(long, hide = true, conflicts_with_all = ["detach", "stop"])]
    in_background: bool,
}

pub(super) async fn run(args: Args) -> Result<(), Stop> {
    let config = configuration()?;
    if args.stop {
        return running::stop(&config.data_dir).await;
    }
    if let Some(pid) = running::find(&config.data_dir)? {
        println!("Already running (process {pid}); end it with: scripts/demo --stop\n");
        return Note::read(&config.data_dir)?.map_or(Ok(()), |note| note.print(&config));
    }
    if args.detach {
        return detach::start(&config).await;
    }
    if args.in_background {
        detach::leave_terminal()?;
    }
    serve_demo(config, !args.in_background).await
}

async fn serve_demo(config: Config, print: bool) -> Result<(), Stop> {
    telemetry::init(&config.log, config.log_format)?;
    std::fs::create_dir_all(&config.data_dir).map_err(|error| {
        Stop(format!("cannot create the data folder {}: {error}", config.data_dir.display()))
    })?;
    let running = Running::claim(&config.data_dir)?;
    let listeners = Listeners::bind(&config, Metrics::Anywhere).await?;
    let context = Context::with(config).await?;
    let outcome = perform(&context, listeners, print).await;
    context.close().await;
    drop(running); // not before Postgres has stopped: --stop waits for this
    outcome
}

async fn perform(context: &Context, listeners: Listeners, print: bool) -> Result<(), Stop> {
    let mut stop = Box::pin(serve::stop_signal()?);
    let note = tokio::select! {
        note = stage::set(&context.parts) => note?,
        _ = &mut stop => return Ok(()),
    };
    if print {
        note.print(&context.parts.config)?;
    }
    serve::serve(context, listeners, stop).await
}
