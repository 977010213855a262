//! `/t/{tenant}/vector-stores/{store}/watch`: the folder or bucket that a store follows.

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
    outlive,
    view::{self, Moment},
};
use crate::{
    audit::Origin,
    http::{
        Frame, Page, PageError,
        csrf::CsrfForm,
        extract::{Path, Query},
        sentence,
    },
    ids::VectorStoreId,
    secret::Secret,
    sign_in::TenantAdmin,
    watch::{self, New, Place},
};

#[derive(Template)]
#[template(path = "admin/watch.html")]
pub(super) struct Watch {
    frame: Frame,
    base: String,
    back_url: String,
    documents_url: String,
    store_name: String,
    has_folders: bool,
    status: Option<Status>,
    form: Form,
    error: Option<String>,
}

/// What is followed, and what came of it.
struct Status {
    kind: &'static str,
    place: String,
    looked: Option<Moment>,
    is_running: bool,
    failure: Option<String>,
    files: String,
    waiting: i32,
    removed: i64,
    refused: Vec<(String, String)>,
}

/// What was typed; the secret never comes back.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Form {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    folder: String,
    #[serde(default)]
    endpoint: String,
    #[serde(default)]
    bucket: String,
    #[serde(default)]
    region: String,
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    access_key_id: String,
    #[serde(default)]
    secret: String,
}

/// `GET /t/{tenant}/vector-stores/{store}/watch`
pub(super) async fn show(
    admin: TenantAdmin,
    State(state): State<Admin>,
    Path((_, store)): Path<(String, VectorStoreId)>,
    Query(after): Query<After>,
) -> Result<Page<Watch>, PageError> {
    let desk = Desk::from(admin);
    page(&desk, &state, store, (Form::default(), None, after.notice.as_deref())).await.map(Page)
}

async fn page(
    desk: &Desk,
    state: &Admin,
    store: VectorStoreId,
    (mut form, error, notice): (Form, Option<String>, Option<&str>),
) -> Result<Watch, PageError> {
    let mut tx = state.db.tenant(desk.scope).await?;
    let store = builtin::require(&mut tx, store).await?;
    let watched = watch::store::find(&mut tx, store.id, state.clock.now()).await?;
    let refused = watch::store::failures(&mut tx, store.id).await?;
    drop(tx);
    let stores = format!("{}/vector-stores", desk.base());
    form.secret.clear();
    if form.kind.is_empty() {
        form = match &watched {
            Some(watched) => Form::of(&watched.place),
            None if state.watch.roots.is_empty() => Form::named("bucket"),
            None => Form::named("folder"),
        };
    }
    Ok(Watch {
        frame: desk.frame("vector-stores", notice),
        base: format!("{stores}/{}/watch", store.id),
        back_url: stores,
        documents_url: format!("{}/documents?store={}", desk.base(), store.id),
        store_name: store.name,
        has_folders: !state.watch.roots.is_empty(),
        status: watched.map(|watched| status(watched, refused)),
        form,
        error,
    })
}

fn status(watched: watch::Watched, refused: Vec<(String, String)>) -> Status {
    let (kind, place) = match watched.place {
        Place::Folder(folder) if folder.is_empty() => ("Folder", "The tenant’s own".to_owned()),
        Place::Folder(folder) => ("Folder", folder),
        Place::Bucket { endpoint, bucket, prefix, .. } => {
            ("Bucket", format!("{endpoint}/{bucket}/{prefix}"))
        }
    };
    Status {
        kind,
        place,
        looked: watched.looked_at.map(Moment::from),
        is_running: watched.is_running,
        failure: watched.failure.as_deref().map(sentence),
        files: view::count(watched.files.into(), "file", "files"),
        waiting: watched.waiting,
        removed: watched.removed,
        refused,
    }
}

impl Form {
    fn named(kind: &str) -> Self {
        Self { kind: kind.to_owned(), ..Self::default() }
    }

    /// What is followed, to be changed.
    fn of(place: &Place) -> Self {
        match place.clone() {
            Place::Folder(folder) => Self { folder, ..Self::named("folder") },
            Place::Bucket { endpoint, bucket, region, prefix, access_key_id } => {
                Self { endpoint, bucket, region, prefix, access_key_id, ..Self::named("bucket") }
            }
        }
    }

    /// What was typed as a place, or why it is none.
    fn place(&self) -> Result<(Place, Option<Secret>), &'static str> {
        let line = |text: &str| text.trim().to_owned();
        if self.kind == "folder" {
            return Ok((Place::Folder(line(&self.folder).trim_matches('/').to_owned()), None));
        }
        let (endpoint, bucket) = (line(&self.endpoint), line(&self.bucket));
        let (region, access_key_id) = (line(&self.region), line(&self.access_key_id));
        let secret = self.secret.trim();
        let is_name = |text: &str, most: usize| {
            (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if !is_name(&endpoint, 512) || endpoint.contains(['?', '#']) {
            return Err("The endpoint is a URL such as https://s3.eu-central-1.amazonaws.com.");
        }
        if !is_name(&bucket, 255) || bucket.contains('/') || bucket.starts_with('.') {
            return Err("The bucket is a name without a slash.");
        }
        if !is_name(&region, 64) || region.contains('/') {
            return Err("The region is a name such as eu-central-1.");
        }
        if self.prefix.len() > 512 || self.prefix.contains(char::is_control) {
            return Err("The prefix has at most 512 characters.");
        }
        if !is_name(&access_key_id, 128) || access_key_id.contains(['/', ',', '"']) {
            return Err("The access key’s id is missing or malformed.");
        }
        if !is_name(secret, 256) {
            return Err("The secret key is missing or malformed.");
        }
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let prefix = self.prefix.trim_start_matches('/').to_owned();
        let place = Place::Bucket { endpoint, bucket, region, prefix, access_key_id };
        Ok((place, Some(Secret::new(secret.to_owned()))))
    }
}

/// `POST /t/{tenant}/vector-stores/{store}/watch`: kept once it has answered.
pub(super) async fn save(
    admin: TenantAdmin,
    State(state): State<Admin>,
    Path((_, store)): Path<(String, VectorStoreId)>,
    origin: Origin,
    CsrfForm(form): CsrfForm<Form>,
) -> Result<Response, PageError> {
    let desk = Desk::from(admin);
    let mut tx = state.db.tenant(desk.scope).await?;
    builtin::require(&mut tx, store).await?;
    drop(tx);
    let (place, secret) = match form.place() {
        Ok(typed) => typed,
        Err(reason) => return refused(&desk, &state, store, (form, reason.to_owned())).await,
    };
    let new = New { place, secret, user: desk.user.id };
    if let Err(unavailable) = watch::check(&state.watch, &desk.tenant.slug, &new).await? {
        return refused(&desk, &state, store, (form, sentence(unavailable.0))).await;
    }
    let (scope, actor, keeping) = (desk.scope, desk.actor(origin), state.clone());
    let saved = outlive(async move {
        let mut tx = keeping.db.tenant(scope).await?;
        let saved = watch::save(&mut tx, &keeping.watch, store, (&new, &actor)).await?;
        tx.commit().await?;
        Ok(saved)
    });
    if !saved.await? {
        return Err(PageError::NotFound);
    }
    Ok(back(&path(&desk, store), Notice::WatchSaved).into_response())
}

async fn refused(
    desk: &Desk,
    state: &Admin,
    store: VectorStoreId,
    (form, reason): (Form, String),
) -> Result<Response, PageError> {
    let page = page(desk, state, store, (form, Some(reason), None)).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response())
}

fn path(desk: &Desk, store: VectorStoreId) -> String {
    format!("{}/vector-stores/{store}/watch", desk.base())
}

/// `POST /t/{tenant}/vector-stores/{store}/watch/remove`: the documents stay.
pub(super) async fn remove(
    admin: TenantAdmin,
    State(state): State<Admin>,
    Path((_, store)): Path<(String, VectorStoreId)>,
    origin: Origin,
    CsrfForm(Nothing {}): CsrfForm<Nothing>,
) -> Result<Redirect, PageError> {
    let desk = Desk::from(admin);
    let mut tx = state.db.tenant(desk.scope).await?;
    let actor = desk.actor(origin);
    if !watch::remove(&mut tx, store, &actor, state.clock.now()).await? {
        return Err(PageError::NotFound);
    }
    tx.commit().await?;
    Ok(back(&path(&desk, store), Notice::WatchRemoved))
}

/// `POST /t/{tenant}/vector-stores/{store}/watch/check`: not in five minutes, but now.
pub(super) async fn look(
    admin: TenantAdmin,
    State(state): State<Admin>,
    Path((_, store)): Path<(String, VectorStoreId)>,
    CsrfForm(Nothing {}): CsrfForm<Nothing>,
) -> Result<Redirect, PageError> {
    let desk = Desk::from(admin);
    let mut tx = state.db.tenant(desk.scope).await?;
    if !watch::store::look_now(&mut tx, store, state.clock.now()).await? {
        return Err(PageError::NotFound);
    }
    tx.commit().await?;
    Ok(back(&path(&desk, store), Notice::WatchAsked))
}
