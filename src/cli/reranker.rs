//! `callslip reranker`

use std::path::PathBuf;

use super::{Context, Stop, knowledge, models::key_in};
use crate::{
    audit::Actor,
    fault::Fault,
    tenants::Slug,
    vector_stores::reranker::{self, Chosen, NewReranker},
};

/// Whose store, and who is to order its best passages anew.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The tenant's name in URLs.
    #[arg(long)]
    tenant: Slug,
    /// The vector store's name.
    #[arg(long)]
    store: String,
    /// Let a model do it that is behind an API like Jina's or Cohere's: its base URL, as in
    /// `https://api.jina.ai/v1`.
    #[arg(long, requires = "model")]
    endpoint: Option<String>,
    /// The model's name there.
    #[arg(long, requires = "endpoint")]
    model: Option<String>,
    /// A file that holds the API key and nothing else.
    #[arg(long, requires = "endpoint")]
    key_file: Option<PathBuf>,
    /// Let nobody do it any more.
    #[arg(long, conflicts_with = "endpoint")]
    remove: bool,
}

pub(super) async fn run(args: Args) -> Result<(), Stop> {
    let context = Context::open().await?;
    let outcome = act(&context, args).await;
    context.close().await;
    outcome
}

async fn act(context: &Context, args: Args) -> Result<(), Stop> {
    let (scope, store) = knowledge::store_of(context, &args.tenant, &args.store).await?;
    let stores = context.parts.importer().meaning().context;
    let by = (store, &Actor::default());
    if args.remove {
        if !reranker::remove(&stores, scope, by).await? {
            return Err(Stop("this store has no reranker".to_owned()));
        }
    } else if let (Some(base_url), Some(model)) = (args.endpoint, args.model) {
        let api_key = args.key_file.as_deref().map(key_in).transpose()?;
        let new = NewReranker { base_url, model, api_key };
        match reranker::choose(&stores, scope, by, new).await? {
            Chosen::InUse => eprintln!("the next question goes by it"),
            Chosen::Refused(reason) => return Err(Stop(reason)),
            Chosen::NoStore => {
                return Err(Stop("there is no such store of our own documents".to_owned()));
            }
        }
    }
    let current = async {
        let mut tx = context.parts.db.tenant(scope).await?;
        reranker::store::find(&mut tx, store).await
    };
    match current.await.map_err(Fault::from)? {
        Some(current) => {
            println!("{}\t{}", current.model, current.base_url);
            if let Some(failure) = current.failure {
                eprintln!("  {}", failure.reason);
            }
        }
        None => eprintln!("nobody orders this store's best passages anew"),
    }
    Ok(())
}
