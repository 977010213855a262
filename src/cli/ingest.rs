//! `callslip ingest`

use super::{Context, Stop, knowledge};
use crate::{
    audit::Actor,
    db::TenantScope,
    documents::ingest::{self, Job, Of, Stage},
    fault::Fault,
    ids::IngestId,
    tenants::Slug,
};

/// Whose files, and what to do with one.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The tenant's name in URLs.
    #[arg(long)]
    tenant: Slug,
    /// Also those that are in the list by now, or were cancelled.
    #[arg(long)]
    all: bool,
    /// Have a file that failed read again.
    #[arg(long, value_name = "ID", conflicts_with = "cancel")]
    retry: Option<IngestId>,
    /// Take back a file that is not a document yet, or forget one that failed.
    #[arg(long, value_name = "ID")]
    cancel: Option<IngestId>,
}

pub(super) async fn run(args: Args) -> Result<(), Stop> {
    let context = Context::open().await?;
    let outcome = act(&context, &args).await;
    context.close().await;
    outcome
}

async fn act(context: &Context, args: &Args) -> Result<(), Stop> {
    let scope = knowledge::tenant(context, &args.tenant).await?;
    if let Some(id) = args.retry {
        let done = change(context, scope, id, false).await.map_err(Stop::from)?;
        return said(done, "it waits to be read again", "no file of this id has failed");
    }
    if let Some(id) = args.cancel {
        let done = change(context, scope, id, true).await.map_err(Stop::from)?;
        return said(done, "it was removed", "no file of this id waits or has failed");
    }
    let of = if args.all { Of::All } else { Of::Unfinished };
    let (jobs, total) = list(context, scope, of).await?;
    if jobs.is_empty() {
        println!("nothing is on its way");
    }
    for job in &jobs {
        println!("{}", line(job));
        for failure in &job.report.failed {
            println!("    {}: {}", failure.source, failure.reason);
        }
    }
    let more = total - i64::try_from(jobs.len()).unwrap_or(total);
    if more > 0 {
        println!("and {more} more");
    }
    Ok(())
}

fn said(done: bool, yes: &str, no: &str) -> Result<(), Stop> {
    if done {
        println!("{yes}");
        Ok(())
    } else {
        Err(Stop(no.to_owned()))
    }
}

async fn list(context: &Context, scope: TenantScope, of: Of) -> Result<(Vec<Job>, i64), Fault> {
    const MOST: i64 = 200;
    let mut tx = context.parts.db.tenant(scope).await?;
    Ok(ingest::list(&mut tx, of, 0, MOST).await?)
}

/// A server that runs hears of it within a second.
async fn change(
    context: &Context,
    scope: TenantScope,
    id: IngestId,
    is_cancel: bool,
) -> Result<bool, Fault> {
    let (actor, now) = (Actor::default(), context.parts.clock.now());
    let mut tx = context.parts.db.tenant(scope).await?;
    let done = if is_cancel {
        ingest::cancel(&mut tx, id, &actor, now).await?
    } else {
        ingest::retry(&mut tx, id, &actor, now).await?
    };
    tx.commit().await?;
    Ok(done)
}

fn line(job: &Job) -> String {
    let progress = match job.stage {
        Stage::Chunked => format!("embedded {} of {}", job.chunks_done, job.chunks_total),
        Stage::Received if job.chunks_done > 0 => format!("{} documents so far", job.chunks_done),
        Stage::Received if job.is_running => "being read".to_owned(),
        Stage::Received => "waits".to_owned(),
        Stage::Extracted => "being cut".to_owned(),
        Stage::Embedded => "being saved".to_owned(),
        Stage::Published | Stage::Failed | Stage::Cancelled => String::new(),
    };
    let again = if job.attempts > 0 && !job.stage.is_end() { ", tried again" } else { "" };
    let columns = [job.id.to_string(), job.stage.as_str().to_owned(), progress + again];
    format!("{}  {}  {:<24}  {}", columns[0], pad(&columns[1]), columns[2], job.file_name)
}

fn pad(stage: &str) -> String {
    format!("{stage:<9}")
}
