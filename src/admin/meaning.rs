//! `/t/{tenant}/vector-stores/{store}`: which model makes a store's vectors, how far it is, and the
//! form that chooses another one.

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::{
    Admin, Desk, Notice, back, builtin,
    forms::{After, Nothing},
    meaning_models::{Model, NAMED, Whole},
    reranker, view,
};
use crate::{
    audit::Origin,
    documents::embed::{self, Choice, Chosen, NewEndpoint, Status},
    http::{
        Frame, Page, PageError,
        csrf::CsrfForm,
        extract::{Path, Query},
        sentence,
    },
    ids::VectorStoreId,
    secret::Secret,
    sign_in::TenantAdmin,
    vector_stores::{
        models::{EmbeddingModel, Endpoint},
        openai::DEFAULT_BASE_URL,
        reranker::store as rerankers,
    },
};

#[derive(Template)]
#[template(path = "admin/meaning.html")]
pub(super) struct Meaning {
    frame: Frame,
    base: String,
    back_url: String,
    documents_url: String,
    cancel_url: String,
    store_name: String,
    passages: String,
    /// What a change costs, in words.
    cost: String,
    /// What search goes by, and what it will go by.
    models: Vec<Model>,
    /// Whether the installation has a model of its own.
    has_own: bool,
    /// Whether search goes by that.
    is_own: bool,
    is_changing: bool,
    form: Form,
    reranker: reranker::Section,
}

/// What was typed in either form.
#[derive(Debug, Default)]
pub(super) struct Typed {
    pub(super) model: Form,
    pub(super) reranker: reranker::Form,
}

/// What was typed, without the key, and what is wrong with it.
#[derive(Debug, Default)]
pub(super) struct Form {
    base_url: String,
    model: String,
    dimensions: String,
    tokens_per_day: String,
    error: Option<String>,
}

/// The fields of either form.
#[derive(Debug, Deserialize)]
pub(super) struct NewModel {
    kind: String,
    #[serde(default)]
    base_url: String,
    #[serde(default)]
    model: String,
    #[serde(default)]
    dimensions: String,
    #[serde(default)]
    tokens_per_day: String,
    api_key: Option<Secret>,
    /// The box that says that the cost was read.
    #[serde(default)]
    agreed: String,
}

/// `GET /t/{tenant}/vector-stores/{store}`
pub(super) async fn show(
    admin: TenantAdmin,
    State(state): State<Admin>,
    Path((_, id)): Path<(String, VectorStoreId)>,
    Query(after): Query<After>,
) -> Result<Page<Meaning>, PageError> {
    page(&admin.into(), &state, id, (Typed::default(), after.notice.as_deref())).await.map(Page)
}

pub(super) async fn page(
    desk: &Desk,
    state: &Admin,
    id: VectorStoreId,
    (typed, notice): (Typed, Option<&str>),
) -> Result<Meaning, PageError> {
    let mut tx = state.db.tenant(desk.scope).await?;
    let store = builtin::require(&mut tx, id).await?;
    let status = embed::status(&mut tx, id).await?.ok_or(PageError::NotFound)?;
    let reranker = rerankers::find(&mut tx, id).await?;
    let has_own = state.importer.embedder.is_there();
    let mut models = Vec::new();
    for (model, is_next) in [(Some(&status.active), false), (status.next.as_ref(), true)] {
        let Some(model) = model else { continue };
        let refused = embed::refused(&mut tx, (id, model.id), NAMED).await?;
        let whole = Whole { store: id, status: &status, is_next, has_own, refused };
        models.push(Model::of(model, whole, state.clock.now().date()));
    }
    drop(tx);
    let passages = view::count(status.passages, "passage", "passages");
    let form = match &status.active.endpoint {
        Some(endpoint) if typed.model.model.is_empty() => {
            Form::of(&status.active, endpoint, typed.model)
        }
        _ => typed.model,
    };
    let base = format!("{}/vector-stores/{id}", desk.base());
    Ok(Meaning {
        reranker: reranker::Section::of(format!("{base}/reranker"), reranker, typed.reranker),
        back_url: format!("{}/vector-stores", desk.base()),
        documents_url: format!("{}/documents?store={id}", desk.base()),
        cancel_url: format!("{base}/model/cancel"),
        base,
        store_name: store.name,
        cost: cost(&status, &passages),
        models,
        is_own: status.active.endpoint.is_none(),
        is_changing: status.next.is_some(),
        frame: desk.frame("vector-stores", notice),
        passages,
        has_own,
        form,
    })
}

fn cost(status: &Status, passages: &str) -> String {
    let tokens = view::number(status.tokens);
    format!("{passages}, about {tokens} tokens, are embedded anew")
}

impl Form {
    /// What is in use, to be changed.
    fn of(model: &EmbeddingModel, endpoint: &Endpoint, typed: Self) -> Self {
        Self {
            base_url: Some(endpoint.base_url.clone())
                .filter(|url| url != DEFAULT_BASE_URL)
                .unwrap_or_default(),
            model: model.model.clone(),
            dimensions: if endpoint.asks_dimensions {
                model.dimensions.to_string()
            } else {
                String::new()
            },
            tokens_per_day: endpoint.tokens_per_day.map(|n| n.to_string()).unwrap_or_default(),
            ..typed
        }
    }
}

/// `POST /t/{tenant}/vector-stores/{store}/model`
pub(super) async fn choose(
    admin: TenantAdmin,
    State(state): State<Admin>,
    Path((_, id)): Path<(String, VectorStoreId)>,
    origin: Origin,
    CsrfForm(new): CsrfForm<NewModel>,
) -> Result<Response, PageError> {
    let desk = Desk::from(admin);
    let form = Form {
        base_url: new.base_url.clone(),
        model: new.model.clone(),
        dimensions: new.dimensions.clone(),
        tokens_per_day: new.tokens_per_day.clone(),
        error: None,
    };
    let chosen = match choice(new) {
        Ok(choice) => {
            let actor = desk.actor(origin);
            let meaning = state.importer.meaning();
            embed::choose(&meaning, desk.scope, (id, &actor), choice).await?
        }
        Err(reason) => Chosen::Refused(reason.to_owned()),
    };
    let path = format!("{}/vector-stores/{id}", desk.base());
    match chosen {
        Chosen::InTheMaking => Ok(back(&path, Notice::ModelChosen).into_response()),
        Chosen::Kept => Ok(back(&path, Notice::ModelRenewed).into_response()),
        Chosen::NoStore => Err(PageError::NotFound),
        Chosen::Refused(reason) => {
            let form = Form { error: Some(sentence(&reason)), ..form };
            let typed = Typed { model: form, ..Typed::default() };
            let page = page(&desk, &state, id, (typed, None)).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response())
        }
    }
}

fn choice(new: NewModel) -> Result<Choice, &'static str> {
    if new.agreed.is_empty() {
        return Err("check the box that says what the change costs");
    }
    if new.kind == "own" {
        return Ok(Choice::Own);
    }
    let number = |text: &str| {
        let digits: String = text.trim().chars().filter(|c| !matches!(c, ',' | ' ')).collect();
        if digits.is_empty() { Ok(None) } else { digits.parse::<u32>().map(Some).map_err(drop) }
    };
    let dimensions = number(&new.dimensions).map_err(|()| "the dimensions are a whole number")?;
    let tokens =
        number(&new.tokens_per_day).map_err(|()| "the budget is a whole number of tokens")?;
    let api_key = new.api_key.map(|key| Secret::new(key.expose().trim().to_owned()));
    Ok(Choice::Endpoint(NewEndpoint {
        base_url: Some(new.base_url),
        model: new.model,
        dimensions: dimensions.map(|number| number as usize),
        api_key: api_key.filter(|key| !key.expose().is_empty()),
        tokens_per_day: tokens.map(i64::from),
    }))
}

/// `POST /t/{tenant}/vector-stores/{store}/model/cancel`
pub(super) async fn cancel(
    admin: TenantAdmin,
    State(state): State<Admin>,
    Path((_, id)): Path<(String, VectorStoreId)>,
    origin: Origin,
    CsrfForm(Nothing {}): CsrfForm<Nothing>,
) -> Result<Redirect, PageError> {
    let desk = Desk::from(admin);
    let actor = desk.actor(origin);
    if !embed::cancel(&state.importer.meaning(), desk.scope, (id, &actor)).await? {
        return Err(PageError::NotFound);
    }
    Ok(back(&format!("{}/vector-stores/{id}", desk.base()), Notice::ModelGivenUp))
}
