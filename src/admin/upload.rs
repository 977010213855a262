//! `POST /t/{tenant}/documents`: files, one after the other, from a form or from its script.

use std::time::Duration;

use axum::{
    extract::{Extension, State, multipart::MultipartRejection},
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{
    Admin, Desk, Notice, back, builtin, documents,
    upload_form::{File, Refusal, UploadForm},
    view,
};
use crate::{
    audit::Origin,
    db::Db,
    documents::{Content, MAX_UPLOAD, SourceFailure, Upload, enqueue},
    http::{
        Page, PageError,
        csrf::{self, Bound},
        sentence,
    },
    ids::{IngestId, VectorStoreId},
    limits::{Limited, Taken},
    sign_in::TenantAdmin,
};

/// The largest file.
pub(super) const FILE_BYTES: usize = MAX_UPLOAD;

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

impl From<SourceFailure> for Refused {
    fn from(failure: SourceFailure) -> Self {
        Self { name: failure.source, reason: failure.reason }
    }
}

/// How long an answer waits for its files to be read.
const PATIENCE: Duration = Duration::from_secs(2);

/// `POST /t/{tenant}/documents`
pub(super) async fn create(
    admin: Result<TenantAdmin, PageError>,
    State(state): State<Admin>,
    (origin, Extension(bound)): (Origin, Extension<Bound>),
    headers: HeaderMap,
    form: Result<UploadForm, MultipartRejection>,
) -> Result<Response, PageError> {
    let desk = match admin {
        Ok(admin) => Desk::from(admin),
        // A script would follow the way to the sign-in page and find that all went well.
        Err(PageError::SignIn { .. }) if wants_json(&headers) => return Ok(signed_out()),
        Err(refusal) => return Err(refusal),
    };
    let form = form.map_err(|_| PageError::BadRequest("a form with files was expected"))?;
    let _slot = match state.uploads.slot(desk.tenant.id) {
        Ok(slot) => slot,
        Err(taken) => return busy(taken, &headers),
    };
    let mut received = receive(&desk, &state, &bound, &origin, form).await?;
    received.wait(&desk, &state).await?;
    answer(&desk, &state.db, &headers, received).await
}

/// Other uploads take all the places.
fn busy(taken: Taken, headers: &HeaderMap) -> Result<Response, PageError> {
    const SOON: u64 = 5;
    if taken == Taken::All {
        return Err(PageError::Busy);
    }
    if !wants_json(headers) {
        return Err(PageError::TooMany { retry_after: SOON });
    }
    let reason = "Ten files of this tenant are coming in already. Try this one again in a moment.";
    let refused = Refused { name: String::new(), reason: reason.to_owned() };
    let mut response = for_script(StatusCode::TOO_MANY_REQUESTS, &[refused], (0, false));
    response.headers_mut().insert(header::RETRY_AFTER, SOON.into());
    Ok(response)
}

/// What came of a form.
struct Received {
    store: VectorStoreId,
    refused: Vec<Refused>,
    /// Whether the server had no room for one of these.
    had_no_room: bool,
    /// How many documents came of what has been read.
    taken: u64,
    /// What is being read.
    jobs: Vec<IngestId>,
    /// Whether all of that is in the list by now.
    is_done: bool,
}

impl Received {
    /// Wait a moment for what is read quickly, which is most of what people send.
    async fn wait(&mut self, desk: &Desk, state: &Admin) -> Result<(), PageError> {
        let bell = &state.importer.bell;
        let jobs = bell.ended(&state.db, desk.scope, &self.jobs, PATIENCE).await?;
        self.is_done = jobs.iter().all(|job| job.stage.is_end());
        let reports = jobs.iter().map(|job| &job.report);
        self.taken = reports.map(|report| report.added + report.updated + report.unchanged).sum();
        let failed = jobs.into_iter().filter(|job| job.stage.is_end());
        let failed = failed.flat_map(|job| job.report.failed);
        self.refused.extend(failed.map(Refused::from));
        Ok(())
    }
}

/// Keep what the form carries, one file after the other.
async fn receive(
    desk: &Desk,
    state: &Admin,
    bound: &Bound,
    origin: &Origin,
    mut form: UploadForm,
) -> Result<Received, PageError> {
    let token = form.expect(csrf::FIELD).await?;
    csrf::require_token(Some(bound), Some(&token))?;
    let store = form.expect("store").await?;
    let store = store.parse().map_err(|_| PageError::NotFound)?;
    let store = builtin::require(&mut state.db.tenant(desk.scope).await?, store).await?.id;
    let (mut refused, mut jobs, mut had_no_room) = (Vec::new(), Vec::new(), false);
    while let Some(File { name, content }) = form.file(&state.importer.spool).await? {
        let content = match content {
            Ok(content) => content,
            Err(refusal) => {
                had_no_room |= refusal == Refusal::NoRoom;
                refused.push(Refused { name, reason: sentence(refusal.reason()) });
                continue;
            }
        };
        if let Err(limited) = state.uploads.take(desk.tenant.id, content.size()).await {
            refused.push(Refused { name, reason: too_much(&limited) });
            continue;
        }
        let upload = Upload {
            file_name: name,
            content: Content::OnDisk(content),
            uploaded_by: Some(desk.user.id),
            origin: origin.clone(),
        };
        match enqueue(&state.importer, desk.scope, store, upload).await? {
            Ok(job) => jobs.push(job),
            Err(failure) => refused.push(failure.into()),
        }
    }
    Ok(Received { store, refused, had_no_room, taken: 0, jobs, is_done: false })
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
    Received { store, refused, had_no_room, taken, is_done, .. }: Received,
) -> Result<Response, PageError> {
    let status = match had_no_room {
        true => StatusCode::INSUFFICIENT_STORAGE,
        false if refused.is_empty() => StatusCode::OK,
        false => StatusCode::UNPROCESSABLE_ENTITY,
    };
    if wants_json(headers) {
        return Ok(for_script(status, &refused, (taken, !is_done)));
    }
    if refused.is_empty() {
        let path = format!("{}/documents", desk.base());
        let notice = if is_done { Notice::Uploaded } else { Notice::Received };
        return Ok(back(&path, notice).into_response());
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

fn for_script(status: StatusCode, refused: &[Refused], (taken, waiting): (u64, bool)) -> Response {
    const HEADERS: [(HeaderName, &str); 2] =
        [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    let body =
        serde_json::json!({ "refused": refused, "taken": taken, "waiting": waiting }).to_string();
    (status, HEADERS, body).into_response()
}

fn signed_out() -> Response {
    let reason = "You are signed out. Reload the page and sign in again.".to_owned();
    for_script(StatusCode::UNAUTHORIZED, &[Refused { name: String::new(), reason }], (0, false))
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
