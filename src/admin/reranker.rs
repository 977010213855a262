//! The part of a store's page that is about who orders its best passages anew, and its forms.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::{
    Admin, Desk, Notice, back,
    forms::Nothing,
    meaning::{self, Typed},
    meaning_models::Said,
};
use crate::{
    audit::Origin,
    http::{Page, PageError, csrf::CsrfForm, extract::Path, sentence},
    ids::VectorStoreId,
    secret::Secret,
    sign_in::TenantAdmin,
    vector_stores::reranker::{self, Chosen, NewReranker, Reranker},
};

/// What the page shows of it.
pub(super) struct Section {
    /// Where its forms go.
    pub(super) url: String,
    pub(super) now: Option<Shown>,
    pub(super) form: Form,
}

/// The one that is in use.
pub(super) struct Shown {
    pub(super) model: String,
    pub(super) place: String,
    pub(super) key_hint: Option<String>,
    pub(super) failure: Option<Said>,
}

/// What was typed, without the key, and what is wrong with it.
#[derive(Debug, Default)]
pub(super) struct Form {
    pub(super) base_url: String,
    pub(super) model: String,
    pub(super) error: Option<String>,
}

/// The fields of the form.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    base_url: String,
    #[serde(default)]
    model: String,
    api_key: Option<Secret>,
    /// The box that says that it was read what is sent.
    #[serde(default)]
    agreed: String,
}

impl Section {
    pub(super) fn of(url: String, now: Option<Reranker>, typed: Form) -> Self {
        let form = match &now {
            Some(now) if typed.model.is_empty() => {
                Form { base_url: now.base_url.clone(), model: now.model.clone(), ..typed }
            }
            _ => typed,
        };
        let now = now.map(|now| Shown {
            model: now.model,
            place: now.base_url,
            key_hint: now.key_hint,
            failure: now.failure.as_ref().map(Said::of),
        });
        Self { url, now, form }
    }
}

/// `POST /t/{tenant}/vector-stores/{store}/reranker`: kept once it has answered.
pub(super) async fn choose(
    admin: TenantAdmin,
    State(state): State<Admin>,
    Path((_, id)): Path<(String, VectorStoreId)>,
    origin: Origin,
    CsrfForm(wanted): CsrfForm<Wanted>,
) -> Result<Response, PageError> {
    let desk = Desk::from(admin);
    let form = Form { base_url: wanted.base_url.clone(), model: wanted.model.clone(), error: None };
    let chosen = if wanted.agreed.is_empty() {
        Chosen::Refused("check the box that says what is sent there".to_owned())
    } else {
        let api_key = wanted.api_key.map(|key| Secret::new(key.expose().trim().to_owned()));
        let new = NewReranker {
            base_url: wanted.base_url,
            model: wanted.model,
            api_key: api_key.filter(|key| !key.expose().is_empty()),
        };
        let actor = desk.actor(origin);
        reranker::choose(&state.stores, desk.scope, (id, &actor), new).await?
    };
    match chosen {
        Chosen::InUse => Ok(back(&path(&desk, id), Notice::RerankerChosen).into_response()),
        Chosen::NoStore => Err(PageError::NotFound),
        Chosen::Refused(reason) => {
            let form = Form { error: Some(sentence(&reason)), ..form };
            let typed = Typed { reranker: form, ..Typed::default() };
            let page = meaning::page(&desk, &state, id, (typed, None)).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response())
        }
    }
}

/// `POST /t/{tenant}/vector-stores/{store}/reranker/remove`
pub(super) async fn remove(
    admin: TenantAdmin,
    State(state): State<Admin>,
    Path((_, id)): Path<(String, VectorStoreId)>,
    origin: Origin,
    CsrfForm(Nothing {}): CsrfForm<Nothing>,
) -> Result<Redirect, PageError> {
    let desk = Desk::from(admin);
    let actor = desk.actor(origin);
    if !reranker::remove(&state.stores, desk.scope, (id, &actor)).await? {
        return Err(PageError::NotFound);
    }
    Ok(back(&path(&desk, id), Notice::RerankerRemoved))
}

fn path(desk: &Desk, id: VectorStoreId) -> String {
    format!("{}/vector-stores/{id}", desk.base())
}
