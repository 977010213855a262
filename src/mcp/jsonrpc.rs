//! JSON-RPC 2.0 as MCP narrows it: one message a POST, ids that are strings or integers.

use std::borrow::Cow;

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::time::error::Elapsed;

use crate::{
    fault::Fault,
    http::json::{self, Malformed},
    limits::Limited,
};

/// The longest id that is echoed.
const MAX_ID_BYTES: usize = 1024;

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
}

/// What a request's answer must carry back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct Id(Value);

impl Id {
    fn parse(value: &Value) -> Option<Self> {
        let fine = match value {
            Value::String(text) => text.len() <= MAX_ID_BYTES,
            Value::Number(number) => number.is_i64() || number.is_u64(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
        };
        fine.then(|| Self(value.clone()))
    }
}

/// One message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// Wants an answer.
    Request(Request),
    /// Wants none.
    Notification,
    /// Answers something that we never asked.
    Response,
}

impl Message {
    /// What an answer to it must carry.
    pub(super) fn into_id(self) -> Option<Id> {
        match self {
            Self::Request(request) => Some(request.id),
            Self::Notification | Self::Response => None,
        }
    }
}

/// A call of a method.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) id: Id,
    pub(super) method: String,
    pub(super) params: Map<String, Value>,
}

impl Request {
    /// A member of `params._meta`.
    pub(super) fn meta(&self, name: &str) -> Option<&Value> {
        self.params.get("_meta")?.get(name)
    }
}

/// Read the body of a POST.
pub(super) fn parse(body: &[u8]) -> Result<Message, RpcError> {
    let value = json::parse(body).map_err(|malformed| match malformed {
        Malformed::Syntax => RpcError::bad(code::PARSE_ERROR, "the body is not JSON"),
        Malformed::Refused => RpcError::bad(
            code::INVALID_REQUEST,
            "the JSON is nested too deep, too large, or names a member twice",
        ),
    })?;
    let mut object = match value {
        Value::Object(object) => object,
        Value::Array(_) => {
            let message = "batches are not supported: send one message in each POST";
            return Err(RpcError::bad(code::INVALID_REQUEST, message));
        }
        _ => return Err(RpcError::bad(code::INVALID_REQUEST, "the body is not an object")),
    };
    let id = object.get("id").map(Id::parse);
    if let Some(None) = id {
        return Err(RpcError::bad(code::INVALID_REQUEST, "id must be a string or an integer"));
    }
    let id = id.flatten();
    let refuse = |message| Err(RpcError::bad(code::INVALID_REQUEST, message).answering(id.clone()));
    if object.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return refuse("jsonrpc must be \"2.0\"");
    }
    let method = match object.remove("method") {
        Some(Value::String(method)) => method,
        None if object.contains_key("result") != object.contains_key("error") => {
            return Ok(Message::Response);
        }
        _ => return refuse("method must be a string"),
    };
    let params = match object.remove("params") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(params)) => params,
        Some(_) => return refuse("params must be an object"),
    };
    Ok(match id {
        Some(id) => Message::Request(Request { id, method, params }),
        None => Message::Notification,
    })
}

impl From<Elapsed> for RpcError {
    fn from(elapsed: Elapsed) -> Self {
        Self::fault(&elapsed.into())
    }
}

/// A refusal in JSON-RPC's form, with the HTTP status that goes with it.
#[derive(Debug)]
pub(super) struct RpcError {
    status: StatusCode,
    code: i32,
    message: Cow<'static, str>,
    data: Option<Value>,
    id: Option<Id>,
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

#[derive(Serialize)]
struct ResultBody<'a> {
    jsonrpc: &'static str,
    id: &'a Id,
    result: &'a Value,
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

/// The answer to a request.
pub(super) fn success(status: StatusCode, id: &Id, result: &Value) -> Response {
    json_response(status, &ResultBody { jsonrpc: "2.0", id, result })
}

/// JSON that nobody may keep.
pub(super) fn json_response(status: StatusCode, body: &impl Serialize) -> Response {
    const HEADERS: [(HeaderName, &str); 2] =
        [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    let body = serde_json::to_vec(body).expect("maps with text keys serialise");
    (status, HEADERS, body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> (i32, bool) {
        let error = parse(body.as_bytes()).expect_err(body);
        assert_eq!(error.status, StatusCode::BAD_REQUEST, "{body}");
        (error.code, error.id.is_some())
    }

    #[test]
    fn the_three_kinds_of_message_are_told_apart() {
        let request = parse(br#"{"jsonrpc":"2.0","id":"a","method":"ping","more":1}"#).unwrap();
        let Message::Request(request) = request else { unreachable!() };
        assert_eq!((request.method.as_str(), request.params.len()), ("ping", 0));
        let note = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        assert_eq!(parse(note).unwrap(), Message::Notification);
        for answer in
            [r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, r#"{"jsonrpc":"2.0","error":{"code":1}}"#]
        {
            assert_eq!(parse(answer.as_bytes()).unwrap(), Message::Response);
        }
    }

    /// [H-05] Batches, null, fractional and overlong ids, repeated members.
    #[test]
    fn what_is_not_one_plain_message_is_refused() {
        let long_id = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"ping"}}"#, "x".repeat(1025));
        for body in [
            "[]",
            r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
            "1",
            "{}",
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1.0,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","result":{},"error":{}}"#,
            &long_id,
        ] {
            assert_eq!(refused(body), (code::INVALID_REQUEST, false), "{body}");
        }
        for body in [
            r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
            r#"{"id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}"#,
        ] {
            assert_eq!(refused(body), (code::INVALID_REQUEST, true), "{body}");
        }
        assert_eq!(refused(""), (code::PARSE_ERROR, false));
    }
}
