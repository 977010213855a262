//! What fuzzers feed: messages, and the headers beside them.

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::IntoResponse,
};
use serde_json::Value;

use super::{
    era::{self, Era},
    jsonrpc::{self, Message, Request, RpcError},
};
use crate::oauth::presented::Presented;

/// Whatever is read can be answered, and the answer carries the id back.
pub(crate) fn json_rpc(bytes: &[u8]) {
    match jsonrpc::parse(bytes) {
        Ok(Message::Request(request)) => {
            let id = serde_json::to_value(&request.id).expect("an id is JSON");
            assert!(id.is_string() || id.is_i64() || id.is_u64());
            let answer = jsonrpc::success(StatusCode::OK, &request.id, &Value::Null);
            assert_eq!(answer.status(), 200);
        }
        Ok(Message::Notification | Message::Cancelled(_) | Message::Response) => {}
        Err(error) => refuse(error),
    }
}

fn refuse(error: RpcError) {
    let response = error.into_response();
    assert!(response.status().is_client_error(), "{}", response.status());
}

/// Lines `name: value`, an empty line, and the body: a modern request's headers say what it says.
pub(crate) fn headers(bytes: &[u8]) {
    let end = bytes.windows(2).position(|two| two == b"\n\n").unwrap_or(bytes.len());
    let (head, body) = bytes.split_at(end);
    let mut headers = HeaderMap::new();
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    if let Ok(presented) = Presented::in_headers(&headers) {
        assert!(String::from_utf8_lossy(bytes).contains(&presented.token));
    }
    let Ok(Message::Request(request)) = jsonrpc::parse(body.trim_ascii_start()) else { return };
    match era::settle(&headers, &request) {
        Ok(Era::Modern) => require_mirrored(&headers, &request),
        Ok(Era::Legacy) => assert!(request.method == "initialize" || !is_modern(&headers)),
        Err(error) => refuse(error),
    }
}

fn is_modern(headers: &HeaderMap) -> bool {
    headers.get("mcp-protocol-version").is_some_and(|version| version == era::MODERN)
}

fn require_mirrored(headers: &HeaderMap, request: &Request) {
    assert!(is_modern(headers) || headers["mcp-protocol-version"].as_bytes().starts_with(b"=?"));
    let method = &headers["mcp-method"];
    assert!(*method == request.method.as_str() || method.as_bytes().starts_with(b"=?base64?"));
    assert_eq!(headers.get_all("mcp-method").iter().count(), 1);
}
