//! `/t/{tenant}/quality/try`: what a question finds, and which of it should answer.

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{
    super::{Admin, Desk, Notice, back, builtin},
    Quality, refused,
};
use crate::{
    golden::{self, store::Added},
    http::{Frame, Page, PageError, csrf::CsrfForm, extract::ticks},
    ids::{DocumentId, VectorStoreId},
    search::{Hit, Reference, Target},
    sign_in::TenantAdmin,
    vector_stores::VectorStore,
};

/// How many documents are shown.
const SHOWN: usize = 10;
const NO_QUESTION: &str = "Type a question of up to 2,000 characters.";
const NO_STORE: &str = "Choose a builtin vector store first.";

#[derive(Template)]
#[template(path = "admin/quality_try.html")]
struct Try {
    frame: Frame,
    base: String,
    question: String,
    store: VectorStoreId,
    store_name: String,
    /// Each, and whether it was asked.
    stores: Vec<(VectorStoreId, String, bool)>,
    found: Vec<Found>,
    failure: Option<String>,
}

struct Found {
    id: DocumentId,
    title: String,
    url: String,
    snippet: String,
}

/// What to look for, and where.
#[derive(Debug, Deserialize)]
pub(in crate::admin) struct Asked {
    #[serde(default)]
    question: String,
    #[serde(default)]
    store: String,
}

/// `POST /t/{tenant}/quality/try`: it changes nothing, and a question does not belong in an address.
pub(in crate::admin) async fn show(
    admin: TenantAdmin,
    State(state): State<Admin>,
    CsrfForm(asked): CsrfForm<Asked>,
) -> Result<Response, PageError> {
    let desk = Desk::from(admin);
    let stores = stores(&desk, &state).await?;
    let Some(question) = golden::question(&asked.question) else {
        return refused(&desk, &state, |page| page.say(NO_QUESTION)).await;
    };
    let chosen = match asked.store.as_str() {
        "" => stores.first(),
        id => stores.iter().find(|store| store.id.to_string() == id),
    };
    let Some(store) = chosen else {
        return refused(&desk, &state, |page| page.say(NO_STORE)).await;
    };
    let answer = state.search.search(desk.scope, &[store.id], &question, SHOWN).await?;
    let page = Try {
        frame: desk.frame("quality", None),
        base: format!("{}/quality", desk.base()),
        store: store.id,
        store_name: store.name.clone(),
        failure: answer.failures.first().map(|failure| failure.reason.clone()),
        found: answer.hits.into_iter().filter_map(found).collect(),
        stores: stores
            .iter()
            .map(|other| (other.id, other.name.clone(), other.id == store.id))
            .collect(),
        question,
    };
    Ok(Page(page).into_response())
}

fn found(hit: Hit) -> Option<Found> {
    let reference = Reference::parse(&hit.id)?;
    let Target::Builtin { document, .. } = reference.document else { return None };
    Some(Found {
        id: document,
        title: hit.title,
        url: format!("/d/{}#passage", hit.id),
        snippet: hit.snippet,
    })
}

async fn stores(desk: &Desk, state: &Admin) -> sqlx::Result<Vec<VectorStore>> {
    builtin::list(&mut state.db.tenant(desk.scope).await?).await
}

/// A question, and what should answer it.
#[derive(Debug, Deserialize)]
pub(in crate::admin) struct NewQuestion {
    #[serde(default)]
    question: String,
    #[serde(default)]
    store: String,
    #[serde(default, deserialize_with = "ticks")]
    answer: Vec<String>,
}

/// `POST /t/{tenant}/quality`
pub(in crate::admin) async fn add(
    admin: TenantAdmin,
    State(state): State<Admin>,
    CsrfForm(new): CsrfForm<NewQuestion>,
) -> Result<Response, PageError> {
    let desk = Desk::from(admin);
    let stores = stores(&desk, &state).await?;
    let Some(store) = stores.iter().find(|store| store.id.to_string() == new.store) else {
        return refused(&desk, &state, |page| page.say(NO_STORE)).await;
    };
    let say = async |words: &'static str| {
        refused(&desk, &state, |page: &mut Quality| page.say(words)).await
    };
    let Some(question) = golden::question(&new.question) else { return say(NO_QUESTION).await };
    let documents: Vec<DocumentId> =
        new.answer.iter().filter_map(|document| document.parse().ok()).collect();
    let mut tx = state.db.tenant(desk.scope).await?;
    let wanted = (store.id, question.as_str());
    let added = golden::store::add(&mut tx, wanted, &documents, state.clock.now()).await?;
    match added {
        Added::New | Added::More => tx.commit().await?,
        Added::NoDocument => {
            return say("Choose at least one document that should answer the question.").await;
        }
        Added::Full => return say("There are 500 questions already: remove one first.").await,
    }
    Ok(back(&format!("{}/quality", desk.base()), Notice::QuestionAdded).into_response())
}
