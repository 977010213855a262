//! JSON-RPC 2.0 as MCP narrows it: one message a POST, ids that are strings or integers.

use axum::{
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Map, Value};

pub(super) use super::rpc_error::{RpcError, code};
use crate::http::json::{self, Malformed};

/// The longest id that is echoed.
const MAX_ID_BYTES: usize = 1024;

/// What a request's answer must carry back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct Id(Value);

impl Id {
    pub(super) fn parse(value: &Value) -> Option<Self> {
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
    /// Wants none, and takes a request back: `notifications/cancelled`.
    Cancelled(Id),
    /// Answers something that we never asked.
    Response,
}

impl Message {
    /// What an answer to it must carry.
    pub(super) fn into_id(self) -> Option<Id> {
        match self {
            Self::Request(request) => Some(request.id),
            Self::Notification | Self::Cancelled(_) | Self::Response => None,
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
        None => match cancelled(&method, &params) {
            Some(id) => Message::Cancelled(id),
            None => Message::Notification,
        },
    })
}

/// The request that a notification takes back. One that names none means nothing.
fn cancelled(method: &str, params: &Map<String, Value>) -> Option<Id> {
    let id = params.get("requestId").filter(|_| method == "notifications/cancelled")?;
    Id::parse(id)
}

#[derive(Serialize)]
struct ResultBody<'a> {
    jsonrpc: &'static str,
    id: &'a Id,
    result: &'a Value,
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
        let cancelled = |params: &str| {
            let method = r#""jsonrpc":"2.0","method":"notifications/cancelled""#;
            parse(format!(r#"{{{method},"params":{params}}}"#).as_bytes()).unwrap()
        };
        let (text, number) = (Id(Value::from("7")), Id(Value::from(7)));
        assert_eq!(cancelled(r#"{"requestId":"7","reason":"x"}"#), Message::Cancelled(text));
        assert_eq!(cancelled(r#"{"requestId":7}"#), Message::Cancelled(number));
        for none in ["{}", r#"{"requestId":null}"#, r#"{"requestId":[7]}"#] {
            assert_eq!(cancelled(none), Message::Notification, "{none}");
        }
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
