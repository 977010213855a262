//! The command line: one file a command.

mod context;
mod demo;
mod eval;
mod golden;
mod import;
mod ingest;
mod keys;
mod knowledge;
mod migrate;
mod models;
mod operator;
mod recall;
mod reranker;
mod search;
mod serve;
mod server_json;
mod sweep;
mod tenant;
mod user;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::fault::Fault;
pub use context::Context;

/// Connect private documents to AI assistants by pasting one URL.
#[derive(Debug, Parser)]
#[command(name = "callslip", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve(serve::Args),
    /// Run the server with a demonstration tenant, its people and a book.
    Demo(demo::Args),
    /// Bring documents into a tenant's store.
    Import(import::Args),
    /// See how far the files are that were sent to a tenant's stores, and cancel or retry one.
    Ingest(ingest::Args),
    /// Ask a tenant's stores a question and print what they find.
    Search(search::Args),
    /// Import a collection with judged questions and print how well they are answered.
    Eval(eval::Args),
    /// Ask a store about its own passages: how quickly it answers, and whether its index finds what
    /// there is.
    Recall(recall::Args),
    /// Ask a tenant's golden questions, or add to them, and print how well they are answered.
    Golden(golden::Args),
    /// See or choose what makes a store's vectors.
    Models(models::Args),
    /// See or choose who orders a store's best passages anew.
    Reranker(reranker::Args),
    /// Bring the database's tables up to date.
    Migrate,
    /// Manage who runs the installation.
    #[command(subcommand)]
    Operator(operator::Command),
    /// See, renew and retire the keys that sign access tokens.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Forget what is over, as the server does every hour, and look for rows that belong to nothing.
    Sweep(sweep::Args),
    /// Print the entry of this installation for MCP's public registry (server.json).
    ServerJson(server_json::Args),
    /// Manage tenants.
    #[command(subcommand)]
    Tenant(tenant::Command),
    /// Manage who belongs to a tenant.
    #[command(subcommand)]
    User(user::Command),
}

/// Why a command stopped: a sentence for the person at the terminal.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Stop(pub String);

impl Stop {
    /// Something went wrong that says itself what.
    pub fn because(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self(fault.chain())
    }
}

/// Run the command that the arguments name.
#[must_use]
pub fn run() -> ExitCode {
    // A missing .env is the usual case; a broken one is reported by what it leaves unset.
    let _ = dotenvy::dotenv();
    let cli = Cli::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime
        .map_err(Stop::because)
        .and_then(|runtime| runtime.block_on(run_command(cli.command)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            eprintln!("callslip: {stop}");
            ExitCode::FAILURE
        }
    }
}

async fn run_command(command: Command) -> Result<(), Stop> {
    match command {
        Command::Serve(args) => serve::run(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Import(args) => import::run(args).await,
        Command::Ingest(args) => ingest::run(args).await,
        Command::Search(args) => search::run(args).await,
        Command::Eval(args) => eval::run(args).await,
        Command::Recall(args) => recall::run(args).await,
        Command::Golden(args) => golden::run(args).await,
        Command::Models(args) => models::run(args).await,
        Command::Reranker(args) => reranker::run(args).await,
        Command::Migrate => migrate::run().await,
        Command::Operator(command) => operator::run(command).await,
        Command::Keys(command) => keys::run(command).await,
        Command::Sweep(args) => sweep::run(args).await,
        Command::ServerJson(args) => server_json::run(&args),
        Command::Tenant(command) => tenant::run(command).await,
        Command::User(command) => user::run(command).await,
    }
}
