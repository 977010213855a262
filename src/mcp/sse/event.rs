//! Events as they are written: HTML Living Standard §9.2.5.

use axum::body::Bytes;

/// Milliseconds until a client that lost its stream opens another.
const RETRY: u32 = 1000;

/// The first: where messages are posted.
pub(super) fn endpoint(path: &str) -> Bytes {
    format!("event: endpoint\ndata: {path}\nretry: {RETRY}\n\n").into()
}

/// A message in JSON, which has no line breaks as it is written here.
pub(in crate::mcp) fn message(json: &[u8]) -> Bytes {
    [b"event: message\ndata: ", json, b"\n\n"].concat().into()
}

/// A comment, so that nobody in between takes the connection for dead.
pub(in crate::mcp) const fn keep_alive() -> Bytes {
    Bytes::from_static(b": keep-alive\n\n")
}
