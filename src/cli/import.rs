//! `callslip import`

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};

use super::{Context, Stop, knowledge};
use crate::{
    documents::{self, Progress, Report},
    tenants::Slug,
};

/// What to import, and where to.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The tenant's name in URLs.
    #[arg(long)]
    tenant: Slug,
    /// The vector store's name; it is made when it is missing.
    #[arg(long)]
    store: String,
    /// Files and folders: .pdf .docx .pptx .xlsx .html .md .txt .csv .eml .jsonl .zip
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

pub(super) async fn run(args: Args) -> Result<(), Stop> {
    let context = Context::open().await?;
    let outcome = import(&context, &args).await;
    context.close().await;
    let report = outcome?;
    println!(
        "{} added, {} updated, {} unchanged, {} failed",
        report.added,
        report.updated,
        report.unchanged,
        report.failed.len()
    );
    for failure in &report.failed {
        eprintln!("  {}: {}", failure.source, failure.reason);
    }
    if report.failed.is_empty() {
        return Ok(());
    }
    Err(Stop("not everything was imported; what was is kept, and running it again goes on".into()))
}

async fn import(context: &Context, args: &Args) -> Result<Report, Stop> {
    let scope = knowledge::tenant(context, &args.tenant).await?;
    let store = knowledge::builtin_store(context, scope, &args.store).await?;
    let importer = context.parts.importer();
    // Draws on a terminal only.
    let bar = ProgressBar::new(0).with_style(
        ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {eta} {wide_msg}")
            .map_err(Stop::because)?,
    );
    let progress = |step: Progress<'_>| match step {
        Progress::Total(bytes) => bar.set_length(bytes),
        Progress::Reading(source) => bar.set_message(source.to_owned()),
        Progress::Done(bytes) => bar.inc(bytes),
    };
    let report = documents::import(&importer, scope, store, &args.paths, &progress).await?;
    bar.finish_and_clear();
    Ok(report)
}
