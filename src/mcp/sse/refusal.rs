//! What whoever may not have a stream, or not post to it, is told.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::Full;
use crate::mcp::jsonrpc::{RpcError, code};

/// Seconds after which a stream or a place in a queue may be free.
const STREAM: u64 = 10;
const MESSAGE: u64 = 1;

/// 429, or 503 where the node is full: another one may have room.
pub(super) fn full(full: Full) -> RpcError {
    let (status, limit, message) = match full {
        Full::Grant => (
            StatusCode::TOO_MANY_REQUESTS,
            "token",
            "Too many open streams for one token: close one, or try again in 10 seconds.",
        ),
        Full::Tenant => (
            StatusCode::TOO_MANY_REQUESTS,
            "tenant",
            "Too many open streams for one tenant: try again in 10 seconds.",
        ),
        Full::Node => (
            StatusCode::SERVICE_UNAVAILABLE,
            "server",
            "Too many open streams on this server: try again in 10 seconds.",
        ),
    };
    metrics::counter!("callslip_sse_refused_total", "limit" => limit).increment(1);
    RpcError::busy(status, limit, message, STREAM)
}

/// 429: the stream has enough to do.
pub(super) fn too_many_messages() -> RpcError {
    let message = "Too many messages wait for this stream: try again in 1 second.";
    RpcError::busy(StatusCode::TOO_MANY_REQUESTS, "stream", message, MESSAGE)
}

/// 404. Whether it is over or somebody else's is not said.
pub(super) fn unknown() -> RpcError {
    let message = "there is no such session: open a stream and post to the URL that it names";
    RpcError::new(StatusCode::NOT_FOUND, code::INVALID_REQUEST, message)
}

/// 405, on a URL where streams open.
pub(in crate::mcp) async fn method() -> Response {
    let message = "this is an MCP endpoint: assistants GET a stream of revision 2024-11-05 here, \
                   or POST";
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let error = RpcError::new(status, code::INVALID_REQUEST, message);
    ([(header::ALLOW, "GET, POST")], error).into_response()
}
