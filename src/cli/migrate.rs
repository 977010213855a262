//! `callslip migrate`

use super::{Context, Stop};

pub(super) async fn run() -> Result<(), Stop> {
    let context = Context::open().await?;
    println!("The database is up to date.");
    context.close().await;
    Ok(())
}
