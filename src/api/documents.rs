//! `/t/{tenant}/api/v1/…/documents`: what the caller's builtin stores hold.

use axum::{extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};

use super::{
    Api,
    caller::{Caller, Reader, Writer},
    extract::{Json, Path, Query},
    problem::Problem,
};
use crate::{
    audit::{self, Kind, Origin},
    db::TenantTx,
    documents::{self, Document},
    ids::{DocumentId, VectorStoreId},
    search::{Reference, Target},
    vector_stores::{self, Backend},
};

/// How many documents one answer lists, unless it is said.
const USUAL: i64 = 100;
/// The most.
const MOST: i64 = 1_000;

/// What to list.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    /// `next_cursor` of the answer before.
    cursor: Option<DocumentId>,
    limit: Option<String>,
}

#[derive(Serialize)]
pub(super) struct Listing {
    documents: Vec<Shown>,
    /// For the next page; not there on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<DocumentId>,
}

/// A document with the page where people read it.
#[derive(Serialize)]
pub(super) struct Shown {
    #[serde(flatten)]
    document: Document,
    page_url: String,
}

impl Api {
    pub(super) fn shown(&self, document: Document) -> Shown {
        let reference = Reference {
            store: document.vector_store_id,
            document: Target::Builtin { document: document.id, chunk: u32::MAX },
        };
        Shown { page_url: format!("{}/d/{reference}", self.public_url.as_str()), document }
    }
}

/// `GET /t/{tenant}/api/v1/vector-stores/{store}/documents`: newest first.
pub(super) async fn list(
    Reader(caller): Reader,
    State(api): State<Api>,
    Path((_, store)): Path<(String, VectorStoreId)>,
    Query(page): Query<Page>,
) -> Result<Json<Listing>, Problem> {
    let limit = match page.limit.map(|limit| limit.parse::<i64>()) {
        None => USUAL,
        Some(Ok(limit @ 1..=MOST)) => limit,
        Some(_) => return Err(Problem::bad_request("limit must be a number from 1 to 1000")),
    };
    let mut tx = api.db.tenant(caller.scope).await?;
    require_builtin(&mut tx, &caller, store).await?;
    let mut found = documents::store::page(&mut tx, store, page.cursor, limit + 1).await?;
    let is_more = i64::try_from(found.len()).unwrap_or(i64::MAX) > limit;
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next_cursor = found.last().map(|last| last.id).filter(|_| is_more);
    let documents = found.into_iter().map(|document| api.shown(document)).collect();
    Ok(Json(StatusCode::OK, Listing { documents, next_cursor }))
}

/// `GET /t/{tenant}/api/v1/documents/{document}`
pub(super) async fn show(
    Reader(caller): Reader,
    State(api): State<Api>,
    Path((_, document)): Path<(String, DocumentId)>,
) -> Result<Json<Shown>, Problem> {
    let mut tx = api.db.tenant(caller.scope).await?;
    let document = find(&mut tx, &caller, document).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(StatusCode::OK, api.shown(document)))
}

/// `DELETE /t/{tenant}/api/v1/documents/{document}`: 204, and once more 404.
pub(super) async fn delete(
    Writer(caller): Writer,
    State(api): State<Api>,
    Path((_, document)): Path<(String, DocumentId)>,
    origin: Origin,
) -> Result<StatusCode, Problem> {
    // Goes on when the caller hangs up.
    tokio::spawn(async move {
        let mut tx = api.db.tenant(caller.scope).await?;
        let found = find(&mut tx, &caller, document).await?.ok_or_else(Problem::not_found)?;
        let gone = documents::store::delete(&mut tx, found.id).await?;
        let gone = gone.ok_or_else(Problem::not_found)?;
        let event = caller
            .event(Kind::DocumentDeleted, &api.clock, &origin)
            .with("document", gone.id.to_string())
            .with("title", gone.title);
        audit::store::append(&mut tx, &event).await?;
        tx.commit().await?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await?
}

/// A document in one of the caller's stores.
pub(super) async fn find(
    tx: &mut TenantTx,
    caller: &Caller,
    id: DocumentId,
) -> sqlx::Result<Option<Document>> {
    let found = documents::store::find(tx, id).await?;
    Ok(found.filter(|document| caller.may_use(document.vector_store_id)))
}

/// That this is a builtin store of the caller's.
pub(super) async fn require_builtin(
    tx: &mut TenantTx,
    caller: &Caller,
    store: VectorStoreId,
) -> Result<(), Problem> {
    if !caller.may_use(store) {
        return Err(Problem::not_found());
    }
    match vector_stores::store::find(tx, store).await? {
        Some(found) if found.backend == Backend::Builtin => Ok(()),
        Some(_) => Err(Problem::new(
            StatusCode::CONFLICT,
            ("outside-store", "Outside store"),
            "the documents of this vector store are kept elsewhere: its owner looks after them",
        )),
        None => Err(Problem::not_found()),
    }
}
