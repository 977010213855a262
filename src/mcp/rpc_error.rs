//! Refusals in JSON-RPC's form.

use std::borrow::Cow;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::Value;
use tokio::time::error::Elapsed;

use super::jsonrpc::{Id, json_response};
use crate::{fault::Fault, limits::Limited};

/// Error codes: JSON-RPC 2.0 §5.1 and MCP 2026-07-28. Our own stand outside −32768…−32000.
pub(super) mod code {
    pub(in crate::mcp) const PARSE_ERROR: i32 = -32700;
    pub(in crate::mcp) const INVALID_REQUEST: i32 = -32600;
    pub(in crate::mcp) const METHOD_NOT_FOUND: i32 = -32601;
    pub(in crate::mcp) const INVALID_PARAMS: i32 = -32602;
    pub(in crate::mcp) const INTERNAL_ERROR: i32 = -32603;
    pub(in crate::mcp) const HEADER_MISMATCH: i32 = -32020;
    pub(in crate::mcp) const UNSUPPORTED_VERSION: i32 = -32022;
    pub(in crate::mcp) const RATE_LIMITED: i32 = 42901;
    pub(in crate::mcp) const WITHHELD: i32 = 40101;
}

impl From<Elapsed> for RpcError {
    fn from(elapsed: Elapsed) -> Self {
        Self::fault(&elapsed.into())
    }
}

/// A refusal in JSON-RPC's form, with the HTTP status that goes with it.
#[derive(Debug)]
pub(super) struct RpcError {
    pub(super) status: StatusCode,
    pub(super) code: i32,
    message: Cow<'static, str>,
    data: Option<Value>,
    pub(super) id: Option<Id>,
    retry_after: Option<u64>,
}

impl RpcError {
    pub(super) fn new(
        status: StatusCode,
        code: i32,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, code, message: message.into(), data: None, id: None, retry_after: None }
    }

    /// 400.
    pub(super) fn bad(code: i32, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// Ours: logged here, and said without its cause.
    pub(super) fn fault(fault: &Fault) -> Self {
        fault.log();
        if fault.is_unavailable() {
            return Self::unavailable();
        }
        let message = "something broke on our side; try again later";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, code::INTERNAL_ERROR, message)
    }

    /// 503.
    pub(super) fn unavailable() -> Self {
        let message = "the service is not available at the moment; try again in a few seconds";
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, code::INTERNAL_ERROR, message);
        Self { retry_after: Some(2), ..error }
    }

    /// The body of a 429.
    pub(super) fn limited(limited: &Limited) -> Self {
        let data = serde_json::json!({
            "limit": limited.limit.name(),
            "retryable": true,
            "retryAfterSeconds": limited.retry_after,
        });
        Self::new(StatusCode::TOO_MANY_REQUESTS, code::RATE_LIMITED, limited.message())
            .with_data(data)
    }

    /// There is no room at the moment.
    pub(super) fn busy(
        status: StatusCode,
        limit: &'static str,
        message: &'static str,
        seconds: u64,
    ) -> Self {
        let data = serde_json::json!({
            "limit": limit,
            "retryable": true,
            "retryAfterSeconds": seconds,
        });
        let error = Self::new(status, code::RATE_LIMITED, message).with_data(data);
        Self { retry_after: Some(seconds), ..error }
    }

    pub(super) fn with_data(self, data: Value) -> Self {
        Self { data: Some(data), ..self }
    }

    /// Echo the id of the request, where it is known.
    pub(super) fn answering(self, id: Option<Id>) -> Self {
        Self { id, ..self }
    }
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    jsonrpc: &'static str,
    // Never null: clients refuse that. What is unknown is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a Id>,
    error: ErrorObject<'a>,
}

#[derive(Serialize)]
struct ErrorObject<'a> {
    code: i32,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
}

impl IntoResponse for RpcError {
    fn into_response(self) -> Response {
        let error =
            ErrorObject { code: self.code, message: &self.message, data: self.data.as_ref() };
        let body = ErrorBody { jsonrpc: "2.0", id: self.id.as_ref(), error };
        let mut response = json_response(self.status, &body);
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
