//! `callslip golden`

use std::{
    fs,
    path::{Path, PathBuf},
};

use indicatif::{ProgressBar, ProgressStyle};

use super::{Context, Stop, knowledge};
use crate::{
    db::TenantScope,
    fault::Fault,
    golden::{self, Measured, Rank, Report},
    tenants::Slug,
};

/// Whose questions, and what to do with them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The tenant's name in URLs.
    #[arg(long)]
    tenant: Slug,
    /// Ask them now. Without it, print what came of the last time.
    #[arg(long)]
    run: bool,
    /// Add the questions of a CSV file first: question, document and, if need be, vector store.
    #[arg(long, value_name = "FILE.csv")]
    import: Option<PathBuf>,
}

pub(super) async fn run(args: Args) -> Result<(), Stop> {
    let context = Context::open().await?;
    let outcome = golden(&context, &args).await;
    context.close().await;
    print(&outcome?);
    Ok(())
}

async fn golden(context: &Context, args: &Args) -> Result<Report, Stop> {
    let scope = knowledge::tenant(context, &args.tenant).await?;
    if let Some(path) = &args.import {
        import(context, scope, path).await?;
    }
    if args.run {
        ask(context, scope).await?;
    }
    let report = async {
        let mut tx = context.parts.db.tenant(scope).await?;
        golden::report(&mut tx).await
    };
    let report = report.await.map_err(Fault::from)?;
    if report.questions.is_empty() {
        return Err(Stop("there are no questions yet: add some with --import FILE.csv".to_owned()));
    }
    if args.run && report.broke_off {
        return Err(Stop("the run broke off: see the log, and run it again".to_owned()));
    }
    Ok(report)
}

async fn import(context: &Context, scope: TenantScope, path: &Path) -> Result<(), Stop> {
    let text = fs::read_to_string(path)
        .map_err(|error| Stop(format!("cannot read {}: {error}", path.display())))?;
    let lines =
        golden::lines(&text).map_err(|wrong| Stop(format!("{}: {wrong}", path.display())))?;
    let import = async {
        let mut tx = context.parts.db.tenant(scope).await?;
        let imported = golden::import(&mut tx, &context.parts.clock, &lines).await?;
        tx.commit().await?;
        Ok(imported)
    };
    let imported = import.await.map_err(|error: sqlx::Error| Stop::from(Fault::from(error)))?;
    for (number, reason) in &imported.failed {
        eprintln!("  {}:{number}: {reason}", path.display());
    }
    eprintln!("{} added, {} failed", imported.added, imported.failed.len());
    if imported.added == 0 && !imported.failed.is_empty() {
        return Err(Stop("no question was added".to_owned()));
    }
    Ok(())
}

async fn ask(context: &Context, scope: TenantScope) -> Result<(), Stop> {
    // Draws on a terminal only.
    let style = ProgressStyle::with_template("{bar:30} {pos} of {len} questions");
    let bar = ProgressBar::new(0).with_style(style.map_err(Stop::because)?);
    let golden = context.parts.golden();
    golden.want(scope).await?;
    let progress = |asked: usize, of: usize| {
        bar.set_length(of as u64);
        bar.set_position(asked as u64);
    };
    golden.work(Some(scope), &progress).await?;
    bar.finish_and_clear();
    Ok(())
}

fn print(report: &Report) {
    for (question, now, before) in &report.questions {
        println!("{}\t{}\t{}", place(*now), place(*before), question.text);
    }
    for (name, run) in [("now", &report.now), ("before", &report.before)] {
        if let Some(run) = run {
            println!("{name}: {}", summary(run));
        }
    }
    if report.under_way.is_some() {
        eprintln!("a run is under way: the server does it");
    }
}

fn place(rank: Rank) -> String {
    match rank {
        Rank::At(rank) => rank.to_string(),
        Rank::Missed => "missed".to_owned(),
        Rank::Unasked => "-".to_owned(),
    }
}

fn summary(run: &Measured) -> String {
    let Measured { score, fingerprint, .. } = run;
    format!(
        "{} questions: hit rate@1 {:.1} %, @5 {:.1} %, @10 {:.1} %, MRR {:.3} ({fingerprint})",
        score.asked,
        score.percent(score.first),
        score.percent(score.five),
        score.percent(score.ten),
        score.mean_reciprocal_rank,
    )
}
