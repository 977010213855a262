//! `callslip recall`

use std::time::Duration;

use super::{Context, Stop, knowledge};
use crate::{db::Class, search::Compared, tenants::Slug};

/// Which store.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The tenant's name in URLs.
    #[arg(long)]
    tenant: Slug,
    /// The vector store's name.
    #[arg(long)]
    store: String,
    /// How many of its passages to ask about.
    #[arg(long, default_value_t = 20)]
    questions: i64,
}

pub(super) async fn run(args: Args) -> Result<(), Stop> {
    let context = Context::open().await?;
    let outcome = compare(&context, &args).await;
    context.close().await;
    let compared = outcome?;
    println!("passages looked at one by one: {}", times(&compared.exact));
    if compared.near.is_empty() {
        println!("the store is too small for an index");
    } else {
        println!("by the index in memory: {}", times(&compared.near));
        println!("recall@10 {:.3}", compared.recall());
    }
    Ok(())
}

async fn compare(context: &Context, args: &Args) -> Result<Compared, Stop> {
    let (scope, store) = knowledge::store_of(context, &args.tenant, &args.store).await?;
    let search = context.parts.search(Class::Work);
    Ok(search.compare(scope, store, args.questions.clamp(1, 10_000)).await?)
}

/// The first, which reads from the disk what is not in memory; and of the others half, and 99 in 100.
fn times(taken: &[Duration]) -> String {
    let Some((first, rest)) = taken.split_first() else { return "none".to_owned() };
    let mut rest = rest.to_vec();
    rest.sort();
    let at = |share: usize| rest.get(rest.len() * share / 100).or(rest.last()).unwrap_or(first);
    let ms = |time: &Duration| time.as_secs_f64() * 1e3;
    format!("first {:.1} ms, p50 {:.1} ms, p99 {:.1} ms", ms(first), ms(at(50)), ms(at(99)))
}
