//! `callslip search`

use super::{Context, Stop, knowledge};
use crate::{db::Class, search::Answer, tenants::Slug};

/// What to ask, and whom.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The tenant's name in URLs.
    #[arg(long)]
    tenant: Slug,
    /// A vector store's name; may be given again. Without it, every store is asked.
    #[arg(long)]
    store: Vec<String>,
    /// How many hits to print.
    #[arg(long, default_value_t = 5)]
    limit: usize,
    /// The question.
    question: String,
}

pub(super) async fn run(args: Args) -> Result<(), Stop> {
    let context = Context::open().await?;
    let outcome = search(&context, &args).await;
    context.close().await;
    let answer = outcome?;
    for (index, hit) in answer.hits.iter().enumerate() {
        println!("{}. {}\n   {}\n   {}\n", index + 1, hit.title, hit.url, indent(&hit.snippet));
    }
    if answer.hits.is_empty() {
        println!("nothing found");
    }
    for failure in &answer.failures {
        eprintln!("{} did not answer: {}", failure.store, failure.reason);
    }
    if answer.failures.is_empty() {
        return Ok(());
    }
    Err(Stop("not every store answered".to_owned()))
}

async fn search(context: &Context, args: &Args) -> Result<Answer, Stop> {
    let scope = knowledge::tenant(context, &args.tenant).await?;
    let stores = knowledge::stores(context, scope, &args.store).await?;
    let search = context.parts.search(Class::Pages);
    Ok(search.search(scope, &stores, &args.question, args.limit).await?)
}

fn indent(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
