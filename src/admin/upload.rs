//! `POST /t/{tenant}/documents`: files, one after the other, from a form or from its script.

use axum::{
    extract::{
        Extension, Multipart, State,
        multipart::{Field, MultipartError},
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{Admin, Desk, Notice, back, documents};
use crate::{
    audit::Origin,
    db::Db,
    documents::{Upload, ingest_upload},
    http::{
        Page, PageError,
        csrf::{self, Bound},
    },
    ids::VectorStoreId,
    sign_in::TenantAdmin,
    vector_stores,
};

/// The largest file.
pub(super) const FILE_BYTES: usize = 25 << 20;

/// The largest form: eight of the largest files.
pub(super) const REQUEST_BYTES: usize = 8 * FILE_BYTES + (1 << 20);

/// How many uploads are read at once; each holds one file in memory.
pub(super) const AT_ONCE: usize = 4;

/// What the file picker offers.
pub(super) const ACCEPT: &str = ".txt,.text,.md,.markdown,.html,.htm,.pdf,.jsonl";

/// A file that was not taken, and why.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Refused {
    pub(super) name: String,
    pub(super) reason: String,
}

/// `POST /t/{tenant}/documents`
pub(super) async fn create(
    admin: TenantAdmin,
    State(state): State<Admin>,
    (origin, Extension(bound)): (Origin, Extension<Bound>),
    headers: HeaderMap,
    mut form: Multipart,
) -> Result<Response, PageError> {
    let desk = Desk::from(admin);
    let _permit = state.uploads.try_acquire().map_err(|_| PageError::Busy)?;
    let token = expect(&mut form, csrf::FIELD).await?;
    csrf::require_token(Some(&bound), Some(&token))?;
    let store = expect(&mut form, "store").await?;
    let store = builtin_store(&desk, &state.db, &store).await?;
    let mut refused = Vec::new();
    while let Some(field) = form.next_field().await.map_err(broken)? {
        if field.name() != Some("file") {
            continue;
        }
        let name = field.file_name().unwrap_or_default().to_owned();
        // A form that was sent without a file has one of no name and no content.
        let bytes = match read(field).await? {
            Ok(bytes) if name.is_empty() && bytes.is_empty() => continue,
            Ok(bytes) => bytes,
            Err(reason) => {
                refused.push(Refused { name, reason: reason.to_owned() });
                continue;
            }
        };
        let upload = Upload {
            file_name: name.clone(),
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
    answer(&desk, &state.db, &headers, store, refused).await
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
    let wants_json = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.starts_with("application/json"));
    if wants_json {
        let body = serde_json::json!({ "refused": refused }).to_string();
        return Ok((status, [(header::CONTENT_TYPE, "application/json")], body).into_response());
    }
    if refused.is_empty() {
        let path = format!("{}/documents", desk.base());
        return Ok(back(&path, Notice::Uploaded).into_response());
    }
    let filter = documents::Filter { store: store.to_string(), ..documents::Filter::default() };
    let page = documents::list(desk, db, filter, refused).await?;
    Ok((status, Page(page)).into_response())
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

/// The next field, which must be this one: token and store come before the files, so that nothing
/// is read for somebody who may not send it.
async fn expect(form: &mut Multipart, name: &str) -> Result<String, PageError> {
    let field = form.next_field().await.map_err(broken)?;
    let Some(field) = field.filter(|field| field.name() == Some(name)) else {
        return Err(PageError::BadRequest("the form’s fields are missing or out of order"));
    };
    let bytes = read(field).await?.unwrap_or_default();
    String::from_utf8(bytes).map_err(|_| PageError::BadRequest("a field is not text"))
}

/// A field's bytes, piece by piece; what is too long is read to its end and dropped.
async fn read(mut field: Field<'_>) -> Result<Result<Vec<u8>, &'static str>, PageError> {
    let mut bytes = Vec::new();
    let mut too_long = false;
    while let Some(piece) = field.chunk().await.map_err(broken)? {
        too_long |= bytes.len() + piece.len() > FILE_BYTES;
        if too_long {
            bytes = Vec::new();
        } else {
            bytes.extend_from_slice(&piece);
        }
    }
    Ok(if too_long { Err("The file is larger than 25 MiB.") } else { Ok(bytes) })
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn broken(error: MultipartError) -> PageError {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        PageError::BadRequest("that is too much at once: send fewer files")
    } else {
        PageError::BadRequest("the upload broke off or is malformed")
    }
}
