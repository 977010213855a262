//! The builtin backend: our own documents, in Postgres, under row-level security.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::{
    Found,
    asking::Asked,
    fetched::Text,
    id::{Reference, Target},
    near::{Index, Wanted},
    question::Words,
    quoted, ranking,
    rerank::Reranker,
    snippet::snippet,
    store, store_near, store_words,
};
use crate::{
    db::TenantTx,
    documents,
    fault::Fault,
    ids::{DocumentId, VectorStoreId},
    neutral::{Flag, neutral_line},
    vector_stores::{Models, store_models},
};

/// What a question looks like to one of a store's models.
#[derive(Clone, Copy, Debug)]
pub(super) struct Meant<'a> {
    /// Of length one; `None` where there is no model.
    pub(super) vector: Option<&'a [f32]>,
    /// Which of the store's models made it.
    pub(super) model: i16,
}

/// The best passage of each document that answers; or the store's models, where another one took over
/// meanwhile. `near` gives the index in memory of a store of so many chunks, if there is one; the
/// reranker has the last word on their order.
pub(super) async fn search(
    mut tx: TenantTx,
    store: VectorStoreId,
    asked: &Asked<'_>,
    meant: Meant<'_>,
    (near, reranker): (impl FnOnce(usize) -> Option<Arc<Index>>, Reranker<'_>),
) -> Result<Result<Vec<Found>, Models>, Fault> {
    let words = words(&mut tx, store, asked.query).await?;
    let question = store::Asked {
        terms: &words.literal(),
        vector: meant.vector,
        model: meant.model,
        phrases: &quoted::phrases(asked.query),
        filter: asked.filter,
    };
    // The index knows nothing of what filters go by, and has no other model's vectors.
    let index = if asked.filter.is_none() { near(words.chunks) } else { None };
    let index = index.filter(|index| index.model() == meant.model);
    let candidates = match index {
        Some(index) => {
            let wanted = Wanted {
                terms: words.weights().collect(),
                vector: meant.vector.map(<[f32]>::to_vec),
                phrased: !question.phrases.is_empty(),
            };
            let since = index.since().to_owned();
            let places = spawn_blocking(move || index.best(&wanted)).await?;
            store_near::candidates(&mut tx, store, &question, (&places, &since)).await?
        }
        None => store::candidates(&mut tx, store, &question).await?,
    };
    // Another model may have taken over since: then some vectors of this one are gone. No number
    // comes twice, so what is the same now was so all the time.
    let models = store_models::current(&mut tx, store).await?;
    if let Some(models) = models.filter(|models| models.active != meant.model) {
        return Ok(Err(models));
    }
    let places = ranking::rank(meant.vector, &candidates, reranker.wants(asked.limit));
    let passages = store::passages(&mut tx, &places).await?;
    let passages = reranker.reorder(tx, store, asked.query, passages).await?;
    Ok(Ok(passages
        .into_iter()
        .take(asked.limit)
        .map(|passage| Found {
            reference: Reference {
                store,
                document: Target::Builtin {
                    document: passage.place.document,
                    chunk: passage.place.chunk,
                },
            },
            snippet: snippet(&passage.body, &words.stems),
            title: passage.title,
        })
        .collect()))
}

/// The question's words; for those that the store has not, the nearest that it has.
async fn words(tx: &mut TenantTx, store: VectorStoreId, query: &str) -> Result<Words, Fault> {
    let mut words = Words::of(&store_words::forms(tx, store, query).await?);
    if !words.unknown.is_empty() {
        let near = store_words::near(tx, store, &words.unknown).await?;
        words.correct(&near);
    }
    Ok(words)
}

/// A document's whole text with the passage's place in it, if it is in this store.
pub(super) async fn fetch(
    mut tx: TenantTx,
    store: VectorStoreId,
    id: DocumentId,
    chunk: u32,
) -> Result<Option<Text>, Fault> {
    let Some(document) = documents::store::find(&mut tx, id).await? else { return Ok(None) };
    if document.vector_store_id != store || document.is_held {
        return Ok(None);
    }
    // An id can name a passage that no document has.
    let passage = match i32::try_from(chunk) {
        Ok(chunk) => documents::store::passage(&mut tx, id, chunk).await?,
        Err(_) => None,
    };
    let text = documents::store::text(&mut tx, id).await?.unwrap_or_default();
    let date = |at: time::OffsetDateTime| {
        at.format(&time::format_description::well_known::Rfc3339).unwrap_or_default()
    };
    let pages = document.pages();
    let uploader = document.uploaded_by.map_or("import".to_owned(), |user| user.to_string());
    let mut provenance = vec![
        ("document_id", document.id.to_string()),
        ("uploaded_by", uploader),
        ("uploaded_at", date(document.created_at)),
        ("updated_at", date(document.updated_at)),
        ("sha256", document.sha256),
        ("media_type", document.media_type),
    ];
    if let Some(url) = document.url {
        provenance.push(("source_url", url));
    }
    let page = passage.as_ref().and_then(|passage| Some((pages?, passage.page?.to_string())));
    let place = passage.as_ref().map(|passage| passage.start..passage.end);
    if let Some(passage) = passage.filter(|passage| !passage.heading.is_empty()) {
        provenance.push(("passage_heading", neutral_line(&passage.heading, 300)));
    }
    provenance.extend(page);
    Ok(Some(Text {
        title: document.title,
        text,
        is_whole: true,
        passage: place,
        hidden: usize::try_from(document.hidden_characters)?,
        flags: document.content_flags.iter().filter_map(|name| Flag::from_name(name)).collect(),
        declared: document.metadata,
        provenance,
    }))
}
