//! `POST /t/{tenant}/documents`: files, one after the other, from a form or from its script.

use axum::{
    extract::{Extension, Multipart, State, multipart::MultipartRejection},
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{
    Admin, Desk, Notice, back, documents,
    upload_form::{File, UploadForm},
    view,
};
use crate::{
    audit::Origin,
    db::Db,
    documents::{Upload, ingest_upload},
    http::{
        Page, PageError,
        csrf::{self, Bound},
    },
    ids::VectorStoreId,
    limits::Limited,
    sign_in::TenantAdmin,
    vector_stores,
};

/// The largest file.
pub(super) const FILE_BYTES: usize = 25 << 20;

/// The largest form: eight of the largest files.
pub(super) const REQUEST_BYTES: usize = 8 * FILE_BYTES + (1 << 20);

/// What the file picker offers.
pub(super) const ACCEPT: &str = ".pdf,.docx,.pptx,.xlsx,.html,.htm,.md,.markdown,.txt,.text,.csv,\
    .tsv,.eml,.jsonl,.ndjson,.zip";

/// A file that was not taken, and why.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Refused {
    pub(super) name: String,
    pub(super) reason: String,
}

/// `POST /t/{tenant}/documents`
pub(super) async fn create(
    admin: Result<TenantAdmin, PageError>,
    State(state): State<Admin>,
    (origin, Extension(bound)): (Origin, Extension<Bound>),
    headers: HeaderMap,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Response, PageError> {
    let desk = match admin {
        Ok(admin) => Desk::from(admin),
        // A script would follow the way to the sign-in page and find that all went well.
        Err(PageError::SignIn { .. }) if wants_json(&headers) => return Ok(signed_out()),
        Err(refusal) => return Err(refusal),
    };
    let form = form.map_err(|_| PageError::BadRequest("a form with files was expected"))?;
    let (store, refused) = receive(&desk, &state, &bound, &origin, form).await?;
    answer(&desk, &state.db, &headers, store, refused).await
}

/// Store what the form carries, one file after the other.
async fn receive(
    desk: &Desk,
    state: &Admin,
    bound: &Bound,
    origin: &Origin,
    form: Multipart,
) -> Result<(VectorStoreId, Vec<Refused>), PageError> {
    let _slot = state.slots.take(desk.tenant.id).ok_or(PageError::Busy)?;
    let mut form = UploadForm::new(form);
    let token = form.expect(csrf::FIELD).await?;
    csrf::require_token(Some(bound), Some(&token))?;
    let store = form.expect("store").await?;
    let store = builtin_store(desk, &state.db, &store).await?;
    let mut refused = Vec::new();
    while let Some(File { name, bytes }) = form.file().await? {
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(reason) => {
                refused.push(Refused { name, reason: reason.to_owned() });
                continue;
            }
        };
        if let Err(limited) = state.uploads.take(desk.tenant.id, bytes.len()).await {
            refused.push(Refused { name, reason: too_much(&limited) });
            continue;
        }
        let upload = Upload {
            file_name: name,
            bytes,
            uploaded_by: Some(desk.user.id),
            origin: origin.clone(),
        };
        let report = ingest_upload(&state.importer, desk.scope, store, upload).await?;
        refused.extend(
            report
                .failed
                .into_iter()
                .map(|failure| Refused { name: failure.source, reason: failure.reason }),
        );
    }
    Ok((store, refused))
}

fn too_much(limited: &Limited) -> String {
    let seconds = i64::try_from(limited.retry_after).unwrap_or(i64::MAX);
    let seconds = view::count(seconds, "second", "seconds");
    format!("too much was uploaded at once: try this one again in {seconds}")
}

/// For the script, what was refused; for a form, the list again.
async fn answer(
    desk: &Desk,
    db: &Db,
    headers: &HeaderMap,
    store: VectorStoreId,
    refused: Vec<Refused>,
) -> Result<Response, PageError> {
    let status = if refused.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    if wants_json(headers) {
        return Ok(for_script(status, &refused));
    }
    if refused.is_empty() {
        let path = format!("{}/documents", desk.base());
        return Ok(back(&path, Notice::Uploaded).into_response());
    }
    let filter = documents::Filter { store: store.to_string(), ..documents::Filter::default() };
    let page = documents::list(desk, db, filter, refused).await?;
    Ok((status, Page(page)).into_response())
}

fn wants_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.starts_with("application/json"))
}

fn for_script(status: StatusCode, refused: &[Refused]) -> Response {
    const HEADERS: [(HeaderName, &str); 2] =
        [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    let body = serde_json::json!({ "refused": refused }).to_string();
    (status, HEADERS, body).into_response()
}

fn signed_out() -> Response {
    let reason = "You are signed out. Reload the page and sign in again.".to_owned();
    for_script(StatusCode::UNAUTHORIZED, &[Refused { name: String::new(), reason }])
}

/// The builtin store of this id.
async fn builtin_store(desk: &Desk, db: &Db, id: &str) -> Result<VectorStoreId, PageError> {
    let id: VectorStoreId = id.parse().map_err(|_| PageError::NotFound)?;
    let mut tx = db.tenant(desk.scope).await?;
    let store = vector_stores::store::find(&mut tx, id).await?;
    documents::builtin_stores(store.into_iter().collect())
        .pop()
        .map(|store| store.id)
        .ok_or(PageError::NotFound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::extract::MediaType;

    #[test]
    fn the_picker_offers_what_is_read() {
        let read: Vec<String> = MediaType::extensions().collect();
        assert_eq!(ACCEPT.split(',').collect::<Vec<_>>(), read);
    }
}
