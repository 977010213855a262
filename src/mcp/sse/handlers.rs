//! Steps 1 and 2: `GET` opens a stream, `POST` hands it a message.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Extension, State},
    http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};

use super::{
    Opening, Posting, answer,
    refusal::{self, full, too_many_messages, unknown},
    session::{Delivery, Posted},
};
use crate::{
    audit::Origin,
    fault::Fault,
    limits::Cost,
    mcp::{
        caller::Caller,
        dispatch::Asker,
        jsonrpc::{self, Message, RpcError},
        transport::{self, Endpoint},
    },
    secret::{Kind, Plaintext},
};

/// Below the URL of a stream, with or without a trailing slash as that has one.
const MESSAGES: &str = "messages";
const SESSION: &str = "session_id";

/// Step 1.
pub(in crate::mcp) async fn open(
    State(endpoint): State<Arc<Endpoint>>,
    Extension(caller): Extension<Caller>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, RpcError> {
    // A client of a later revision asks for the other stream of Streamable HTTP, which we have not.
    let version = headers.get("mcp-protocol-version");
    if method != Method::GET
        || version.is_some_and(|version| version.as_bytes() != answer::REVISION.as_bytes())
    {
        return Ok(refusal::method().await);
    }
    if let Err(limited) = endpoint.limiter.admit(&caller.call(Cost::Other)).await {
        return Ok(transport::refuse(&limited, None));
    }
    let streams = endpoint.streams.clone();
    let messages = messages_at(uri.path());
    // What was noted must have its task, also when the client has hung up meanwhile.
    let opening = tokio::spawn(async move { streams.open(caller, &messages).await });
    let opening = opening.await.unwrap_or_else(|error| Err(Fault::from(error)));
    match opening.map_err(|fault| RpcError::fault(&fault))? {
        Opening::Opened(body) => Ok(stream(body)),
        Opening::Full(what) => Err(full(what)),
        Opening::Leaving => Err(RpcError::unavailable()),
    }
}

/// What leaves as a stream.
pub(in crate::mcp) fn stream(body: Body) -> Response {
    const HEADERS: [(HeaderName, &str); 3] = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (HEADERS, body).into_response()
}

fn messages_at(path: &str) -> String {
    match path.strip_suffix('/') {
        Some(stream) => format!("{stream}/{MESSAGES}/"),
        None => format!("{path}/{MESSAGES}"),
    }
}

/// The path of the stream to which a path posts: what is the resource, with its own metadata. Any
/// other path is itself.
pub(in crate::mcp) fn resource_path(path: &str) -> &str {
    let (end, stream) =
        if path.ends_with('/') { ("messages/", "/sse/") } else { ("/messages", "/sse") };
    path.strip_suffix(end).filter(|rest| rest.ends_with(stream)).unwrap_or(path)
}

/// Step 2.
pub(in crate::mcp) async fn post(
    State(endpoint): State<Arc<Endpoint>>,
    Extension(caller): Extension<Caller>,
    origin: Origin,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, RpcError> {
    let Some(name) = session_in(&uri) else { return Err(unknown()) };
    let body = transport::read(&headers, body).await?;
    let message = jsonrpc::parse(&body);
    if let Err(limited) = endpoint.admit(&caller, message.as_ref()).await {
        return Ok(transport::refuse(&limited, message.ok().and_then(Message::into_id)));
    }
    let metadata_url = endpoint.resources.metadata_url_for(resource_path(uri.path()));
    let asker = Asker { caller: caller.clone(), origin, metadata_url, notes: None };
    let (posted, id) = match message? {
        Message::Request(request) => {
            let id = request.id.clone();
            (Some(Posted::Request(Delivery { asker, request })), Some(id))
        }
        Message::Cancelled(request) => (Some(Posted::Cancel(asker, request)), None),
        Message::Notification | Message::Response => (None, None),
    };
    let posted = posted.map(|posted| (posted, &*body));
    let posting = endpoint.streams.post(&name.hash(), &caller, posted).await;
    match posting.map_err(|fault| RpcError::fault(&fault).answering(id.clone()))? {
        Posting::Accepted => Ok(StatusCode::ACCEPTED.into_response()),
        Posting::Unknown => Err(unknown().answering(id)),
        Posting::Full => Err(too_many_messages().answering(id)),
    }
}

fn session_in(uri: &Uri) -> Option<Plaintext> {
    let query = uri.query().unwrap_or_default();
    let (_, name) =
        url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == SESSION)?;
    Plaintext::presented(Kind::Stream, &name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_posted_below_the_stream_in_its_own_spelling() {
        for path in ["/sse", "/sse/", "/t/acme/sse", "/t/acme/sse/", "/t/sse/sse/"] {
            let messages = messages_at(path);
            assert!(messages.contains("/sse/messages"), "{messages}");
            assert_eq!(resource_path(&messages), path);
        }
        for path in ["/mcp", "/sse", "/mcp/messages", "/messages/", "/ssemessages/"] {
            assert_eq!(resource_path(path), path);
        }
    }
}
