//! How a caller of the MCP endpoint is turned away.

use axum::response::Response;
use serde_json::json;

use super::jsonrpc::json_response;
use crate::oauth::{
    challenge::{Challenge, Reason, Scheme},
    scope::Scope,
};

/// The scope that everything here needs.
pub(super) const NEEDED: Scope = Scope::SEARCH_READ;

/// A reason, for somebody who called the resource of this metadata.
pub(super) fn challenge(reason: Reason, scheme: Scheme, metadata_url: String) -> Challenge {
    Challenge { reason, scheme, metadata_url, scope: Some(NEEDED) }
}

/// As OAuth's JSON: no message was read that a JSON-RPC error could answer.
pub(super) fn refuse(challenge: &Challenge) -> Response {
    let reason = challenge.reason;
    let description = reason.description();
    let body = match reason.error() {
        Some(error) => json!({ "error": error, "error_description": description }),
        None => json!({ "error_description": description }),
    };
    challenge.onto(json_response(reason.status(), &body))
}
