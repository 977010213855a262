//! Streamable HTTP: one message in each POST, one JSON object back or a stream that ends with it
//! ([`streamed`]), nothing kept in between.
//!
//! `Mcp-Session-Id` and `Last-Event-ID` of older clients are ignored and none is ever made, so a
//! restart or another node is not noticed. `Accept` and `Content-Type` are not insisted on: some
//! clients send `*/*` or nothing.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    extract::{Extension, State},
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};

use super::{
    caller::{self, Caller},
    dispatch::{Asker, Dispatcher},
    era,
    jsonrpc::{self, Id, Message, RpcError, code},
    notes::Notes,
    sse::Streams,
    streamed::{self, Asked},
};
use crate::{
    audit::Origin,
    limits::{Admitted, Calls, Cost, Limited},
    oauth::resource::Resources,
};

/// The largest body.
pub(super) const MAX_BODY: usize = 1 << 20;

/// The state of the handlers.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub(super) dispatcher: Dispatcher,
    pub(super) resources: Resources,
    pub(super) limiter: Calls,
    pub(super) streams: Streams,
}

impl Endpoint {
    /// Count a message; one that cannot be read costs something too.
    pub(super) async fn admit(
        &self,
        caller: &Caller,
        message: Result<&Message, &RpcError>,
    ) -> Result<Admitted, Limited> {
        self.limiter.admit(&caller.call(message.map_or(Cost::Other, cost))).await
    }
}

/// `POST` on every URL of the endpoint.
pub(super) async fn receive(
    State(endpoint): State<Arc<Endpoint>>,
    Extension(caller): Extension<Caller>,
    origin: Origin,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, RpcError> {
    let message = jsonrpc::parse(&read(&headers, body).await?);
    let admitted = match endpoint.admit(&caller, message.as_ref()).await {
        Ok(admitted) => admitted,
        Err(limited) => return Ok(refuse(&limited, message.ok().and_then(Message::into_id))),
    };
    match message? {
        Message::Request(request) => {
            let metadata_url = endpoint.resources.metadata_url_for(uri.path());
            let asker = Asker { caller, origin, metadata_url, notes: None };
            if let Some((notes, heard)) = Notes::wanted(&headers, &request) {
                let asker = Asker { notes: Some(notes), ..asker };
                let asked = Asked { asker, headers, request };
                return streamed::answer(&endpoint.dispatcher, asked, heard, admitted).await;
            }
            let answer = endpoint.dispatcher.answer(&asker, &headers, &request).await;
            let mut answer = answer.map_err(|error| error.answering(Some(request.id)))?;
            admitted.tell(answer.headers_mut());
            Ok(answer)
        }
        // A request is taken back by hanging up. What has a request's id here says nothing: nothing
        // is kept by which it could be told from another client's of the same name.
        Message::Notification | Message::Cancelled(_) => Ok(StatusCode::ACCEPTED.into_response()),
        // Legacy clients may answer what older servers asked; modern ones never do.
        Message::Response if era::headers_are_modern(&headers) => {
            let message = "clients do not send responses in this revision";
            Err(RpcError::bad(code::INVALID_REQUEST, message))
        }
        Message::Response => Ok(StatusCode::ACCEPTED.into_response()),
    }
}

/// The body of a POST.
pub(super) async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, RpcError> {
    let encoding = headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes());
    if !matches!(encoding, None | Some(b"identity")) {
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        let message = "the body must not be compressed";
        return Err(RpcError::new(status, code::INVALID_REQUEST, message));
    }
    caller::read(body).await
}

/// What a message costs its sender.
fn cost(message: &Message) -> Cost {
    match message {
        Message::Request(request) if request.method == "tools/call" => Cost::Tool,
        Message::Request(_) | Message::Notification | Message::Cancelled(_) | Message::Response => {
            Cost::Other
        }
    }
}

/// 429, in a form that names the request.
pub(super) fn refuse(limited: &Limited, id: Option<Id>) -> Response {
    limited.refuse(RpcError::limited(limited).answering(id).into_response())
}

/// Every other method: never 200, which some clients take for metadata.
pub(super) async fn refuse_method() -> Response {
    let message = "this is an MCP endpoint: assistants POST to it";
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let error = RpcError::new(status, code::INVALID_REQUEST, message);
    ([(header::ALLOW, "POST")], error).into_response()
}
