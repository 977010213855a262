//! `POST /t/{tenant}/api/v1/vector-stores/{store}/documents`: a file, as the body or as the field
//! `file` of a form. It is answered when the file is kept; what becomes of it is the job's to tell.

use axum::{
    body::{BodyDataStream, Bytes},
    extract::{FromRequest, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::StreamExt;
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
        Content, MAX_UPLOAD, Spool, Spooled, TOO_LARGE, Unkept, Upload,
        ingest::{self, Job},
    },
    http::multipart::{Broken, Form, PAUSE, Part},
    ids::{IngestId, VectorStoreId},
    limits::Taken,
};

/// The largest request: a file, and a form around it.
pub(super) const REQUEST_BYTES: usize = MAX_UPLOAD + (1 << 20);
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
    content: Spooled,
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
    let _slot = api.uploads.slot(tenant).map_err(busy)?;
    let file = read(&api.importer.spool, request, named.filename).await?;
    if let Err(limited) = api.uploads.take(tenant, file.content.size()).await {
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
            content: Content::OnDisk(self.file.content),
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
            .chain_update(self.file.content.hash())
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

async fn read(spool: &Spool, request: Request, named: Option<String>) -> Result<File, Problem> {
    let is_form = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"multipart/form-data"));
    if is_form {
        let form = Form::from_request(request, &()).await;
        let form = form.map_err(|_| Problem::bad_request("the form is malformed"))?;
        return from_form(spool, form, named).await;
    }
    let name = named.filter(|name| !name.trim().is_empty()).ok_or_else(|| {
        Problem::bad_request("name the file: ?filename=guide.pdf, or send a form with a file")
    })?;
    let pieces = Pieces::OfBody(request.into_body().into_data_stream());
    Ok(File { name, content: gather(spool, pieces).await? })
}

/// The field `file`, which comes first and once.
async fn from_form(spool: &Spool, mut form: Form, named: Option<String>) -> Result<File, Problem> {
    const NO_FILE: &str = "the form must hold one field named file, with a file name";
    let no_file = || Problem::bad_request(NO_FILE);
    let first = form.next().await.map_err(said)?;
    let part = first.filter(|part| part.name() == Some("file")).ok_or_else(no_file)?;
    let name = named.or_else(|| part.file_name().map(str::to_owned)).ok_or_else(no_file)?;
    let content = gather(spool, Pieces::OfPart(Box::new(part))).await?;
    while let Some(part) = form.next().await.map_err(said)? {
        if part.name() == Some("file") {
            return Err(no_file());
        }
    }
    Ok(File { name, content })
}

/// What is still to come of a file.
enum Pieces<'a> {
    OfBody(BodyDataStream),
    OfPart(Box<Part<'a>>),
}

impl Pieces<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        match self {
            Self::OfPart(part) => part.piece().await,
            Self::OfBody(body) => match tokio::time::timeout(PAUSE, body.next()).await {
                Ok(piece) => piece.transpose().map_err(|_| Broken::Malformed),
                Err(_) => Err(Broken::Stalled),
            },
        }
    }
}

/// All of it. Of what is refused the rest is passed over: whoever sends reads no answer before.
async fn gather(spool: &Spool, mut pieces: Pieces<'_>) -> Result<Spooled, Problem> {
    let kept = keep(spool, &mut pieces).await;
    if kept.is_err() {
        while let Ok(Some(_)) = pieces.next().await {}
    }
    kept
}

/// Piece by piece.
async fn keep(spool: &Spool, pieces: &mut Pieces<'_>) -> Result<Spooled, Problem> {
    let mut file = spool.begin().await.map_err(unkept)?;
    while let Some(piece) = pieces.next().await.map_err(said)? {
        file.write(&piece).await.map_err(unkept)?;
    }
    file.finish().await.map_err(unkept)
}

fn unkept(unkept: Unkept) -> Problem {
    match unkept {
        Unkept::TooLarge => {
            let kind = ("too-large", "Content too large");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, kind, TOO_LARGE)
        }
        Unkept::NoRoom => {
            let kind = ("server-full", "The server is full");
            let detail = "the server has no room for the file at the moment: try again later";
            Problem::new(StatusCode::INSUFFICIENT_STORAGE, kind, detail)
        }
        Unkept::Fault(fault) => Problem::fault(&fault),
    }
}

fn said(broken: Broken) -> Problem {
    match broken {
        Broken::Stalled => {
            let kind = ("timeout", "Request timeout");
            Problem::new(StatusCode::REQUEST_TIMEOUT, kind, "the file stopped coming")
        }
        Broken::TooMuch => {
            Problem::bad_request("the form has more than 100 parts, or is larger than 26 MiB")
        }
        Broken::Malformed => {
            Problem::bad_request("the body broke off, is malformed or is larger than 26 MiB")
        }
    }
}

/// Other uploads take all the places.
fn busy(taken: Taken) -> Problem {
    match taken {
        Taken::Own => Problem::too_many(
            "ten files of this tenant are being received already: send this one when one is done",
        ),
        Taken::All => Problem::unavailable(),
    }
}
