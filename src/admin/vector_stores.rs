//! `/t/{tenant}/vector-stores`: where searches look. A key goes in and never comes out.

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::{
    Admin, Desk, Notice, back,
    forms::{After, Nothing},
    outlive,
    view::{self, Moment},
};
use crate::{
    audit::{self, Actor, Kind, Origin},
    db::{Class, Db, TenantTx},
    documents,
    http::{
        Frame, Page, PageError,
        csrf::CsrfForm,
        extract::{Path, Query},
        sentence,
    },
    ids::VectorStoreId,
    search::{self, near::Recall},
    secret::Secret,
    sign_in::TenantAdmin,
    vector_stores::{
        self, Backend, Context, Created, NewOpenAi, VectorStore, create_builtin, create_openai,
        openai, store_name,
    },
};

#[derive(Template)]
#[template(path = "admin/vector_stores.html")]
pub(super) struct VectorStores {
    frame: Frame,
    base: String,
    stores: Vec<Row>,
    form: Form,
}

struct Row {
    id: VectorStoreId,
    name: String,
    builtin: bool,
    backend: &'static str,
    external_id: Option<String>,
    base_url: Option<String>,
    key_hint: Option<String>,
    documents: Option<String>,
    documents_url: String,
    recall: Option<String>,
    tone: &'static str,
    status: &'static str,
    problem: Option<String>,
    when: Moment,
    watch_url: String,
    delete_url: String,
    /// Where a builtin one's model is chosen.
    meaning_url: String,
}

/// What was typed, without the key, and what is wrong with it.
#[derive(Debug, Default)]
struct Form {
    kind: String,
    name: String,
    external_id: String,
    base_url: String,
    name_error: Option<String>,
    external_id_error: Option<String>,
    api_key_error: Option<String>,
    base_url_error: Option<String>,
    error: Option<String>,
}

/// The fields of either form.
#[derive(Debug, Deserialize)]
pub(super) struct NewStore {
    backend: String,
    name: String,
    #[serde(default)]
    external_id: String,
    api_key: Option<Secret>,
    #[serde(default)]
    base_url: String,
}

/// `GET /t/{tenant}/vector-stores`
pub(super) async fn index(
    admin: TenantAdmin,
    State(db): State<Db>,
    Query(after): Query<After>,
) -> Result<Page<VectorStores>, PageError> {
    list(&admin.into(), &db, Form::default(), after.notice.as_deref()).await.map(Page)
}

async fn list(
    desk: &Desk,
    db: &Db,
    form: Form,
    notice: Option<&str>,
) -> Result<VectorStores, PageError> {
    let base = format!("{}/vector-stores", desk.base());
    let mut tx = db.tenant(desk.scope).await?;
    let mut stores = Vec::new();
    for store in vector_stores::store::list(&mut tx).await? {
        let (documents, recall) = match store.backend {
            Backend::Builtin => (
                Some(documents::store::count(&mut tx, store.id).await?),
                search::recall(&mut tx, store.id).await?,
            ),
            Backend::OpenAi { .. } => (None, None),
        };
        let recall = recall.map(|measured| found(&measured));
        stores.push(Row { recall, ..row(store, documents, desk, &base) });
    }
    drop(tx);
    // An empty list invites to the first store.
    let kind =
        if form.kind.is_empty() && stores.is_empty() { "builtin".to_owned() } else { form.kind };
    Ok(VectorStores {
        frame: desk.frame("vector-stores", notice),
        form: Form { kind, ..form },
        base,
        stores,
    })
}

fn row(store: VectorStore, documents: Option<i64>, desk: &Desk, base: &str) -> Row {
    let (tone, status, problem) = match &store.failure {
        Some(failure) => ("bad", "Failing", Some(sentence(&failure.reason))),
        None => ("good", "Ready", None),
    };
    let (external_id, base_url, key_hint) = match store.backend {
        Backend::Builtin => (None, None, None),
        Backend::OpenAi { external_id, base_url, key_hint } => {
            let elsewhere = (base_url != openai::DEFAULT_BASE_URL).then_some(base_url);
            (Some(external_id), elsewhere, Some(key_hint))
        }
    };
    Row {
        id: store.id,
        builtin: external_id.is_none(),
        backend: if external_id.is_none() { "Builtin" } else { "OpenAI" },
        documents: documents.map(|count| view::count(count, "document", "documents")),
        documents_url: format!("{}/documents?store={}", desk.base(), store.id),
        watch_url: format!("{base}/{}/watch", store.id),
        delete_url: format!("{base}/{}/delete", store.id),
        meaning_url: format!("{base}/{}", store.id),
        when: store.created_at.into(),
        name: store.name,
        recall: None,
        external_id,
        base_url,
        key_hint,
        tone,
        status,
        problem,
    }
}

/// How well a large store is found through its index.
fn found(measured: &Recall) -> String {
    let share = (measured.recall * 100.0).floor();
    let date = measured.measured_at.date();
    if measured.recall < 0.95 {
        format!("every passage is looked at: the index found {share} of 100 on {date}")
    } else {
        format!("{share} of 100 best passages found, measured {date}")
    }
}

/// `POST /t/{tenant}/vector-stores`
pub(super) async fn create(
    admin: TenantAdmin,
    State(db): State<Db>,
    State(context): State<Context>,
    origin: Origin,
    CsrfForm(new): CsrfForm<NewStore>,
) -> Result<Response, PageError> {
    let desk = Desk::from(admin);
    let actor = desk.actor(origin);
    let form = Form {
        kind: new.backend.clone(),
        name: new.name.clone(),
        external_id: new.external_id.clone(),
        base_url: new.base_url.clone(),
        ..Form::default()
    };
    let form = match new.backend.as_str() {
        "builtin" => add_builtin(&desk, &context, &new, &actor, form).await?,
        "openai" => add_openai(&desk, &context, new, &actor, form).await?,
        _ => return Err(PageError::BadRequest("there is no such backend")),
    };
    match form {
        None => {
            let path = format!("{}/vector-stores", desk.base());
            Ok(back(&path, Notice::StoreAdded).into_response())
        }
        Some(form) => {
            let page = list(&desk, &db, form, None).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response())
        }
    }
}

const BAD_NAME: &str = "A name has 1 to 80 characters on one line.";
const NAME_TAKEN: &str = "Another vector store of this tenant has that name.";

/// `None` when it was added; else the form with what is wrong.
async fn add_builtin(
    desk: &Desk,
    context: &Context,
    new: &NewStore,
    actor: &Actor,
    form: Form,
) -> Result<Option<Form>, PageError> {
    let Some(name) = store_name(&new.name) else {
        return Ok(Some(Form { name_error: Some(BAD_NAME.to_owned()), ..form }));
    };
    let mut tx = context.db.tenant(desk.scope).await?;
    let created = create_builtin(&mut tx, &context.clock, actor, &name).await?;
    if created.is_err() {
        return Ok(Some(Form { name_error: Some(NAME_TAKEN.to_owned()), ..form }));
    }
    tx.commit().await?;
    Ok(None)
}

/// `None` when it answered and was added; else the form with what is wrong.
async fn add_openai(
    desk: &Desk,
    context: &Context,
    new: NewStore,
    actor: &Actor,
    form: Form,
) -> Result<Option<Form>, PageError> {
    let name = store_name(&new.name);
    let external_id = new.external_id.trim().to_owned();
    let api_key = new.api_key.map(|key| Secret::new(key.expose().trim().to_owned()));
    let api_key = api_key.filter(|key| !key.expose().is_empty());
    let form = Form {
        name_error: name.is_none().then(|| BAD_NAME.to_owned()),
        external_id_error: (!external_id.starts_with("vs_") || !openai::is_id(&external_id))
            .then(|| "An id begins with vs_ and has letters, digits, - and _ only.".to_owned()),
        api_key_error: api_key.is_none().then(|| "The key is missing.".to_owned()),
        ..form
    };
    let (Some(name), Some(api_key), None) = (name, api_key, &form.external_id_error) else {
        return Ok(Some(form));
    };
    let base_url = Some(new.base_url.trim().to_owned()).filter(|url| !url.is_empty());
    let new = NewOpenAi { name, external_id, base_url, api_key };
    match create_openai(context, desk.scope, actor, new).await? {
        Created::Created(_) => Ok(None),
        Created::NameTaken => Ok(Some(Form { name_error: Some(NAME_TAKEN.to_owned()), ..form })),
        Created::Refused(reason) => Ok(Some(Form { error: Some(sentence(&reason)), ..form })),
    }
}

/// `POST /t/{tenant}/vector-stores/{store}/delete`
pub(super) async fn delete(
    admin: TenantAdmin,
    State(state): State<Admin>,
    Path((_, id)): Path<(String, VectorStoreId)>,
    origin: Origin,
    CsrfForm(Nothing {}): CsrfForm<Nothing>,
) -> Result<Redirect, PageError> {
    let desk = Desk::from(admin);
    let (scope, actor) = (desk.scope, desk.actor(origin));
    outlive(async move {
        let mut tx = state.db.of(Class::Work).tenant(scope).await?;
        let Some(store) = remove(&mut tx, id).await? else { return Err(PageError::NotFound) };
        let event = store.event(Kind::VectorStoreDeleted, scope, &actor, state.clock.now());
        audit::store::append(&mut tx, &event).await?;
        Ok(tx.commit().await?)
    })
    .await?;
    Ok(back(&format!("{}/vector-stores", desk.base()), Notice::StoreRemoved))
}

async fn remove(tx: &mut TenantTx, id: VectorStoreId) -> sqlx::Result<Option<VectorStore>> {
    let store = vector_stores::store::find(tx, id).await?;
    let gone = vector_stores::store::delete(tx, id).await?;
    Ok(store.filter(|_| gone))
}
