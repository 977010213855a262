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
    view::{self, Moment},
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
    },
};

#[derive(Template)]
#[template(path = "admin/meaning.html")]
pub(super) struct Meaning {
    frame: Frame,
    base: String,
    back_url: String,
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
}

/// A model, with how far it is.
struct Model {
    is_next: bool,
    name: String,
    place: String,
    dimensions: String,
    key_hint: Option<String>,
    /// How many passages it has embedded, in words; and in a hundred.
    done: String,
    percent: i64,
    tone: &'static str,
    status: &'static str,
    budget: Option<String>,
    rests_until: Option<Moment>,
    failure: Option<Said>,
}

/// Why a model gave no answer, and when.
struct Said {
    reason: String,
    when: Moment,
}

/// What was typed, without the key, and what is wrong with it.
#[derive(Debug, Default)]
struct Form {
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
    page(&admin.into(), &state, id, (Form::default(), after.notice.as_deref())).await.map(Page)
}

async fn page(
    desk: &Desk,
    state: &Admin,
    id: VectorStoreId,
    (form, notice): (Form, Option<&str>),
) -> Result<Meaning, PageError> {
    let mut tx = state.db.tenant(desk.scope).await?;
    let store = builtin::require(&mut tx, id).await?;
    let status = embed::status(&mut tx, id).await?.ok_or(PageError::NotFound)?;
    drop(tx);
    let has_own = state.importer.embedder.is_there();
    let today = state.clock.now().date();
    let passages = view::count(status.passages, "passage", "passages");
    let shown = |model: &EmbeddingModel, done: i64, is_next: bool| {
        let whole = Whole { passages: status.passages, done, is_next, has_own };
        Model::of(model, &whole, today)
    };
    let form = match &status.active.endpoint {
        Some(endpoint) if form.model.is_empty() => Form::of(&status.active, endpoint, form),
        _ => form,
    };
    Ok(Meaning {
        base: format!("{}/vector-stores/{id}", desk.base()),
        back_url: format!("{}/vector-stores", desk.base()),
        cancel_url: format!("{}/vector-stores/{id}/model/cancel", desk.base()),
        store_name: store.name,
        cost: cost(&status, &passages),
        models: std::iter::once(shown(&status.active, status.embedded, false))
            .chain(status.next.as_ref().map(|next| shown(next, status.prepared, true)))
            .collect(),
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

/// How far a model is, of how many passages.
struct Whole {
    passages: i64,
    done: i64,
    is_next: bool,
    has_own: bool,
}

impl Model {
    fn of(model: &EmbeddingModel, whole: &Whole, today: time::Date) -> Self {
        let Whole { passages, done, is_next, has_own } = *whole;
        let endpoint = model.endpoint.as_ref();
        let failure = endpoint.and_then(|endpoint| endpoint.failure.as_ref());
        let is_own = endpoint.is_none();
        let (tone, status) = match (failure.is_some(), is_own && !has_own, is_next) {
            (true, ..) => ("bad", "Failing"),
            (_, true, _) => ("warn", "Not there"),
            (.., true) => ("info", "Being prepared"),
            _ if done < passages => ("info", "At work"),
            _ => ("good", "Ready"),
        };
        Self {
            name: model.model.clone(),
            place: endpoint.map_or("in this installation".to_owned(), |at| at.base_url.clone()),
            is_next,
            dimensions: view::count(
                i64::try_from(model.dimensions).unwrap_or_default(),
                "dimension",
                "dimensions",
            ),
            key_hint: endpoint.and_then(|endpoint| endpoint.key_hint.clone()),
            done: format!("{} of {}", view::number(done), view::number(passages)),
            percent: if passages > 0 { done * 100 / passages } else { 100 },
            tone,
            status,
            budget: endpoint.map(|endpoint| budget(endpoint, today)),
            rests_until: endpoint.and_then(|endpoint| endpoint.rests_until).map(Into::into),
            failure: failure
                .map(|last| Said { reason: sentence(&last.reason), when: last.at.into() }),
        }
    }
}

fn budget(endpoint: &Endpoint, today: time::Date) -> String {
    let used = view::number(endpoint.used_on(today));
    match endpoint.tokens_per_day {
        Some(most) => format!("{used} of {} tokens today", view::number(most)),
        None => format!("{used} tokens today, without a bound"),
    }
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
            let page = page(&desk, &state, id, (form, None)).await?;
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
