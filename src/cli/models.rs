//! `callslip models`

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{Context, Stop, knowledge};
use crate::{
    audit::Actor,
    documents::embed::{self, Choice, Chosen, NewEndpoint, Status},
    fault::Fault,
    secret::Secret,
    tenants::Slug,
    vector_stores::models::EmbeddingModel,
};

/// Whose model, and which one it is to be.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The tenant's name in URLs.
    #[arg(long)]
    tenant: Slug,
    /// The vector store's name.
    #[arg(long)]
    store: String,
    /// Go by the installation's own model.
    #[arg(long, conflicts_with_all = ["endpoint", "model", "cancel"])]
    local: bool,
    /// Go by a model behind an API like OpenAI's: its base URL, as in `https://api.openai.com/v1`.
    #[arg(long, requires = "model")]
    endpoint: Option<String>,
    /// The model's name there.
    #[arg(long, requires = "endpoint")]
    model: Option<String>,
    /// How long its vectors shall be, for models that make several lengths.
    #[arg(long, requires = "endpoint")]
    dimensions: Option<usize>,
    /// A file that holds the API key and nothing else.
    #[arg(long, requires = "endpoint")]
    key_file: Option<PathBuf>,
    /// How many tokens it may be sent in a day.
    #[arg(long, requires = "endpoint")]
    tokens_per_day: Option<i64>,
    /// Give up the change that is going on.
    #[arg(long, conflicts_with = "endpoint")]
    cancel: bool,
}

pub(super) async fn run(args: Args) -> Result<(), Stop> {
    let context = Context::open().await?;
    let outcome = act(&context, args).await;
    context.close().await;
    outcome
}

async fn act(context: &Context, args: Args) -> Result<(), Stop> {
    let (scope, store) = knowledge::store_of(context, &args.tenant, &args.store).await?;
    let meaning = context.parts.importer().meaning();
    let by = (store, &Actor::default());
    if args.cancel {
        if !embed::cancel(&meaning, scope, by).await? {
            return Err(Stop("no change of models is going on".to_owned()));
        }
    } else if let Some(choice) = choice(&args)? {
        match embed::choose(&meaning, scope, by, choice).await? {
            Chosen::InTheMaking => {
                eprintln!("the server embeds every passage by it, then search goes by it")
            }
            Chosen::Kept => eprintln!("the model has another key or budget now"),
            Chosen::Refused(reason) => return Err(Stop(reason)),
            Chosen::NoStore => return Err(Stop("the store was removed just now".to_owned())),
        }
    }
    let status = async {
        let mut tx = context.parts.db.tenant(scope).await?;
        embed::status(&mut tx, store).await
    };
    let status = status.await.map_err(Fault::from)?;
    let status = status.ok_or_else(|| Stop("this store has no vectors of ours".to_owned()))?;
    print(&status, context.parts.embedder.is_there());
    Ok(())
}

fn choice(args: &Args) -> Result<Option<Choice>, Stop> {
    if args.local {
        return Ok(Some(Choice::Own));
    }
    let (Some(endpoint), Some(model)) = (&args.endpoint, &args.model) else { return Ok(None) };
    let api_key = args.key_file.as_deref().map(key_in).transpose()?;
    Ok(Some(Choice::Endpoint(NewEndpoint {
        base_url: Some(endpoint.clone()),
        model: model.clone(),
        dimensions: args.dimensions,
        api_key,
        tokens_per_day: args.tokens_per_day,
    })))
}

/// The key that a file holds.
pub(super) fn key_in(path: &Path) -> Result<Secret, Stop> {
    let text = fs::read_to_string(path)
        .map_err(|error| Stop(format!("cannot read {}: {error}", path.display())))?;
    Ok(Secret::new(text.trim().to_owned()))
}

fn print(status: &Status, has_own: bool) {
    let line = |word: &str, model: &EmbeddingModel, done: i64| {
        let place = model.endpoint.as_ref().map_or("here", |endpoint| &endpoint.base_url);
        let (name, dimensions) = (&model.model, model.dimensions);
        println!("{word}\t{name}\t{dimensions}\t{place}\t{done}/{}", status.passages);
        let failure = model.endpoint.as_ref().and_then(|endpoint| endpoint.failure.as_ref());
        if let Some(failure) = failure {
            eprintln!("  {}", failure.reason);
        }
    };
    let refused = |passages: i64| {
        if passages > 0 {
            eprintln!("  {passages} passages it does not take: words find them");
        }
    };
    line("active", &status.active, status.embedded);
    refused(status.refused.0);
    if let Some(next) = &status.next {
        line("next", next, status.prepared);
        refused(status.refused.1);
    }
    if status.active.endpoint.is_none() && !has_own {
        eprintln!("there is no model here (CALLSLIP_MODEL_DIR): search goes by words only");
    }
}
