//! `POST /t/{tenant}/api/v1/vector-stores/{store}/documents`: a file, as the body or as the field
//! `file` of a form. It is answered when the file is kept; what becomes of it is the job's to tell.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{FromRequest, Multipart, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::{Stream, StreamExt};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{
    Api,
    caller::{Caller, Writer},
    documents::require_builtin,
    extract::{Json, Path, Query},
    jobs,
    problem::Problem,
    store,
};
use crate::{
    audit::{self, Kind, Origin},
    documents::{
        MAX_UPLOAD, Upload,
        ingest::{self, Job},
    },
    ids::{IngestId, VectorStoreId},
};

/// The largest request: a file, and a form around it.
pub(super) const REQUEST_BYTES: usize = MAX_UPLOAD + (1 << 20);
/// The longest pause between two pieces.
const PAUSE: Duration = Duration::from_secs(30);
/// What draft-ietf-httpapi-idempotency-key-header calls it.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What a file that is the body is called.
#[derive(Debug, Deserialize)]
pub(super) struct Named {
    filename: Option<String>,
}

/// A file that came whole.
struct File {
    name: String,
    bytes: Vec<u8>,
}

/// `POST /t/{tenant}/api/v1/vector-stores/{store}/documents`: 202 with the job.
pub(super) async fn create(
    Writer(caller): Writer,
    State(api): State<Api>,
    Path((slug, store)): Path<(String, VectorStoreId)>,
    Query(named): Query<Named>,
    (origin, request): (Origin, Request),
) -> Result<Response, Problem> {
    let mut tx = api.db.tenant(caller.scope).await?;
    require_builtin(&mut tx, &caller, store).await?;
    drop(tx);
    let key = idempotency_key(request.headers())?;
    let tenant = caller.scope.tenant_id();
    let _slot = api.uploads.slot(tenant).ok_or_else(Problem::unavailable)?;
    let file = read(request, named.filename).await?;
    if let Err(limited) = api.uploads.take(tenant, file.bytes.len()).await {
        return Ok(limited.refuse(Problem::limited(&limited).into_response()));
    }
    let sent = Sent { caller, store, file, key, origin };
    // Goes on when the caller hangs up: the same key finds the same job.
    let job = tokio::spawn(async move { sent.keep(&api).await }).await??;
    let location = format!("/t/{slug}/api/v1/jobs/{}", job.id);
    let mut response = Json(StatusCode::ACCEPTED, jobs::Shown::from(job)).into_response();
    let location = HeaderValue::from_str(&location).expect("a slug and an id");
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

/// A file with everything that is known of its way here.
struct Sent {
    caller: Caller,
    store: VectorStoreId,
    file: File,
    key: Option<String>,
    origin: Origin,
}

impl Sent {
    async fn keep(self, api: &Api) -> Result<Job, Problem> {
        let (scope, client) = (self.caller.scope, self.caller.claims.client_id.clone());
        let request = self.fingerprint();
        let mut tx = api.db.tenant(scope).await?;
        if let Some(key) = &self.key {
            // Attempts under one key wait for each other here.
            match store::find(&mut tx, (&client, key)).await? {
                Some(found) if found.request_hash != request => return Err(reused()),
                Some(found) => return job(&mut tx, found.job).await,
                None => {}
            }
        }
        let file_name = self.file.name.clone();
        let upload = Upload {
            file_name: self.file.name.clone(),
            bytes: self.file.bytes,
            uploaded_by: None,
            origin: self.origin.clone(),
        };
        let id = match ingest::enqueue(&api.importer, scope, self.store, upload).await? {
            Ok(id) => id,
            Err(failure) => return Err(refused(failure.reason)),
        };
        let event = self.caller.event(Kind::DocumentReceived, &api.clock, &self.origin);
        let event = event.with("name", file_name).with("ingest", id.to_string());
        audit::store::append(&mut tx, &event).await?;
        if let Some(key) = &self.key {
            let now = api.clock.now();
            store::insert(&mut tx, (&client, key), (self.store, &request, id), now).await?;
        }
        let job = job(&mut tx, id).await?;
        tx.commit().await?;
        Ok(job)
    }

    /// What the same request has in common with itself.
    fn fingerprint(&self) -> [u8; 32] {
        Sha256::new()
            .chain_update(self.store.uuid())
            .chain_update(Sha256::digest(&self.file.name))
            .chain_update(Sha256::digest(&self.file.bytes))
            .finalize()
            .into()
    }
}

async fn job(tx: &mut crate::db::TenantTx, id: IngestId) -> Result<Job, Problem> {
    ingest::find(tx, id).await?.ok_or_else(|| {
        let kind = ("job-gone", "Job gone");
        let detail = "the file was taken under this key before, and its job is forgotten by now";
        Problem::new(StatusCode::CONFLICT, kind, detail)
    })
}

fn reused() -> Problem {
    let kind = ("idempotency-key-reused", "Idempotency key reused");
    let detail = "another file was sent under this Idempotency-Key: use a new one for each file";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, kind, detail)
}

/// What is wrong with a file, in the words of the page.
fn refused(reason: String) -> Problem {
    let (status, kind) = match reason.as_str() {
        ingest::FULL => (StatusCode::INSUFFICIENT_STORAGE, ("tenant-full", "The tenant is full")),
        _ => (StatusCode::UNSUPPORTED_MEDIA_TYPE, ("file-refused", "File refused")),
    };
    Problem::new(status, kind, reason)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    const BAD: &str = "Idempotency-Key must be one value of 1 to 255 visible ASCII characters";
    let mut values = headers.get_all(KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| {
        (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    });
    match (text, values.next()) {
        (Some(text), None) => Ok(Some(text.to_owned())),
        _ => Err(Problem::bad_request(BAD)),
    }
}

async fn read(request: Request, named: Option<String>) -> Result<File, Problem> {
    let is_form = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"multipart/form-data"));
    if !is_form {
        let name = named.filter(|name| !name.trim().is_empty()).ok_or_else(|| {
            Problem::bad_request("name the file: ?filename=guide.pdf, or send a form with a file")
        })?;
        let bytes = gather(request.into_body().into_data_stream()).await?;
        return Ok(File { name, bytes });
    }
    const NO_FILE: &str = "the form must hold one field named file, with a file name";
    let form = Multipart::from_request(request, &()).await;
    let mut form = form.map_err(|_| Problem::bad_request("the form is malformed"))?;
    let field = tokio::time::timeout(PAUSE, form.next_field()).await.map_err(|_| stalled())?;
    let field = field.map_err(|_| broken())?.filter(|field| field.name() == Some("file"));
    let field = field.ok_or_else(|| Problem::bad_request(NO_FILE))?;
    let name = named.or_else(|| field.file_name().map(str::to_owned));
    let name = name.ok_or_else(|| Problem::bad_request(NO_FILE))?;
    let bytes = gather(field).await?;
    Ok(File { name, bytes })
}

/// All of it, piece by piece, each in good time.
async fn gather<E>(pieces: impl Stream<Item = Result<Bytes, E>>) -> Result<Vec<u8>, Problem> {
    let mut pieces = std::pin::pin!(pieces);
    let mut bytes = Vec::new();
    loop {
        let piece = tokio::time::timeout(PAUSE, pieces.next()).await.map_err(|_| stalled())?;
        let Some(piece) = piece else { return Ok(bytes) };
        let piece = piece.map_err(|_| broken())?;
        if bytes.len() + piece.len() > MAX_UPLOAD {
            let kind = ("too-large", "Content too large");
            let detail = "the file is larger than 25 MiB";
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, kind, detail));
        }
        bytes.extend_from_slice(&piece);
    }
}

fn stalled() -> Problem {
    let kind = ("timeout", "Request timeout");
    Problem::new(StatusCode::REQUEST_TIMEOUT, kind, "the file stopped coming")
}

fn broken() -> Problem {
    Problem::bad_request("the body broke off, is malformed or is larger than 26 MiB")
}
