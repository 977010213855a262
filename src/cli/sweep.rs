//! `callslip sweep`

use super::{Context, Stop};
use crate::{app, db::Class, fault::Fault};

/// Whether anything is changed.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Remove nothing: count rows that belong to nothing, and fail when there are any.
    #[arg(long)]
    check: bool,
}

pub(super) async fn run(args: Args) -> Result<(), Stop> {
    let context = Context::open().await?;
    let outcome = sweep(&context, args.check).await;
    context.close().await;
    outcome
}

async fn sweep(context: &Context, check: bool) -> Result<(), Stop> {
    let parts = &context.parts;
    if !check {
        let app = app::build(parts.clone()).await?;
        app.finish_deletions(&parts.db, &parts.clock).await?;
        app.sweep(&parts.db, &parts.clock).await?;
    }
    let orphans = parts.db.of(Class::Work).orphans().await.map_err(Fault::from)?;
    let rows: i64 = orphans.iter().map(|one| one.rows).sum();
    for one in &orphans {
        println!("{}\t{}", one.place, one.rows);
    }
    println!("{rows} rows belong to nothing");
    if rows == 0 { Ok(()) } else { Err(Stop("rows were left behind: this is a fault".to_owned())) }
}
