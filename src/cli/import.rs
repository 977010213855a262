//! `callslip import`

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
};

use indicatif::{ProgressBar, ProgressStyle};

use super::{Context, Stop, knowledge};
use crate::{
    db::TenantScope,
    documents::{
        self, Progress, Report,
        ingest::Stage,
        sync::{self, Plan},
    },
    ids::VectorStoreId,
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
    /// Afterwards remove the documents whose files are not in the folders any more.
    #[arg(long)]
    sync: bool,
    /// With --sync: import and remove nothing, and list what would be removed.
    #[arg(long, requires = "sync")]
    dry_run: bool,
    /// With --sync: remove without asking, even most of what there is.
    #[arg(long, requires = "sync")]
    yes: bool,
    /// Files and folders: .pdf .docx .pptx .xlsx .html .md .txt .csv .eml .jsonl .zip
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

pub(super) async fn run(args: Args) -> Result<(), Stop> {
    let context = Context::open().await?;
    let outcome = async {
        let target = target(&context, &args).await?;
        if args.dry_run {
            return show(&plan(&context, target, &args, &Report::default()).await?).map(|()| None);
        }
        let report = import(&context, target, &args).await?;
        tell(&report);
        if args.sync {
            synchronise(&context, target, &args, &report).await?;
        }
        Ok(Some(report))
    };
    let outcome = outcome.await;
    context.close().await;
    match outcome? {
        Some(report) if !report.failed.is_empty() => Err(Stop(
            "not everything was imported; what was is kept, and running it again goes on".into(),
        )),
        _ => Ok(()),
    }
}

fn tell(report: &Report) {
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
}

/// The tenant and the store.
type Target = (TenantScope, VectorStoreId);

async fn target(context: &Context, args: &Args) -> Result<Target, Stop> {
    let scope = knowledge::tenant(context, &args.tenant).await?;
    let store = knowledge::builtin_store(context, scope, &args.store).await?;
    Ok((scope, store))
}

async fn plan(
    context: &Context,
    (scope, store): Target,
    args: &Args,
    report: &Report,
) -> Result<Plan, Stop> {
    let importer = context.parts.importer();
    sync::plan(&importer, scope, store, &args.paths, report).await?.map_err(Stop::because)
}

/// What would be removed, a line each.
fn show(plan: &Plan) -> Result<(), Stop> {
    let mut out = io::stdout().lock();
    for path in plan.gone() {
        writeln!(out, "gone: {path}").map_err(Stop::because)?;
    }
    let count = plan.gone().count();
    writeln!(out, "{count} of {} documents would be removed", plan.known()).map_err(Stop::because)
}

async fn synchronise(
    context: &Context,
    (scope, store): Target,
    args: &Args,
    report: &Report,
) -> Result<(), Stop> {
    let plan = plan(context, (scope, store), args, report).await?;
    if plan.gone().next().is_some() && !args.yes {
        show(&plan)?;
        if plan.is_most() {
            return Err(Stop(
                "nothing was removed, since it is more than half of what the folders \
                 gave: run it again with --yes if they shall go"
                    .into(),
            ));
        }
        if !agreed()? {
            return Err(Stop("nothing was removed".into()));
        }
    }
    let done = sync::carry_out(&context.parts.importer(), scope, store, &plan).await?;
    println!("{} removed, {} moved", done.removed, done.moved);
    Ok(())
}

fn agreed() -> Result<bool, Stop> {
    if !io::stdin().is_terminal() {
        return Err(Stop("nothing was removed: nobody is there to ask; add --yes".into()));
    }
    eprint!("Remove them? [y/N] ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(Stop::because)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

async fn import(context: &Context, (scope, store): Target, args: &Args) -> Result<Report, Stop> {
    let importer = context.parts.importer();
    // Draws on a terminal only.
    let bar = ProgressBar::new(0).with_style(
        ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {eta} {prefix:9} {wide_msg}")
            .map_err(Stop::because)?,
    );
    let progress = |step: Progress<'_>| match step {
        Progress::Total(bytes) => bar.set_length(bytes),
        Progress::Reading(source) => bar.set_message(source.to_owned()),
        Progress::At(stage) => bar.set_prefix(doing(stage)),
        Progress::Done(bytes) => bar.inc(bytes),
    };
    let report = documents::import(&importer, scope, store, &args.paths, &progress).await?;
    bar.finish_and_clear();
    Ok(report)
}

/// What is done with a document at a stage, in a word.
const fn doing(stage: Stage) -> &'static str {
    match stage {
        Stage::Received => "reading",
        Stage::Extracted => "cutting",
        Stage::Chunked => "embedding",
        Stage::Embedded => "saving",
        Stage::Published | Stage::Failed | Stage::Cancelled => "",
    }
}
