//! `callslip search`

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use super::{Context, Stop, eval, eval::Asker, knowledge};
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
    #[arg(required_unless_present = "queries", conflicts_with = "queries")]
    question: Option<String>,
    /// Ask all questions of a file, of lines such as {"_id": "1", "text": "…"}, …
    #[arg(long, requires = "out", value_name = "FILE")]
    queries: Option<PathBuf>,
    /// … and write lines such as {"query": "1", "ids": ["…"]}: what the sources call the documents
    /// that answer, best first, up to a hundred.
    #[arg(long, requires = "queries", value_name = "RUN.jsonl")]
    out: Option<PathBuf>,
}

pub(super) async fn run(args: Args) -> Result<(), Stop> {
    let context = Context::open().await?;
    if let (Some(queries), Some(out)) = (&args.queries, &args.out) {
        let outcome = ask_all(&context, &args, queries, out).await;
        context.close().await;
        return outcome;
    }
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
    let question = args.question.as_deref().unwrap_or_default();
    Ok(search.search(scope, &stores, question, args.limit).await?)
}

async fn ask_all(context: &Context, args: &Args, queries: &Path, out: &Path) -> Result<(), Stop> {
    let queries = eval::queries(queries)?;
    let scope = knowledge::tenant(context, &args.tenant).await?;
    let stores = knowledge::stores(context, scope, &args.store).await?;
    let [store] = stores[..] else {
        return Err(Stop("a run is of one store: name it with --store".to_owned()));
    };
    let asker = Asker::new(context, scope, store).await?;
    let mut run = String::new();
    for query in queries {
        let ids = asker.ask(&query.text).await?;
        let line = serde_json::json!({ "query": query.id, "ids": ids });
        writeln!(run, "{line}").map_err(Stop::because)?;
    }
    fs::write(out, run).map_err(|error| Stop(format!("cannot write {}: {error}", out.display())))
}

fn indent(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
