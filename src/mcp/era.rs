//! Which revision a request speaks: decided from the request alone, since nothing is kept between
//! two of them.
//!
//! Modern is 2026-07-28: stateless, `_meta` in each request, headers that mirror the body. Legacy
//! is everything that begins with `initialize`.

use axum::http::HeaderMap;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    jsonrpc::{Request, RpcError, code},
    mirrored, tools,
};

/// The revision without `initialize`.
pub(super) const MODERN: &str = "2026-07-28";
/// The revisions with it, newest first.
pub(super) const LEGACY: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
/// What discovery lists: 2024-11-05 is spoken when asked for, and not offered.
pub(super) const SUPPORTED: [&str; 4] = [MODERN, LEGACY[0], LEGACY[1], LEGACY[2]];

const META_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const META_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

const HEADER_VERSION: &str = "mcp-protocol-version";

/// How to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Era {
    /// 2026-07-28.
    Modern,
    /// 2025-11-25 and before.
    Legacy,
}

/// Whether the headers alone name a modern revision.
pub(super) fn headers_are_modern(headers: &HeaderMap) -> bool {
    headers.get(HEADER_VERSION).and_then(|value| value.to_str().ok()).is_some_and(is_modern)
}

/// Whether the body alone is a modern revision's.
pub(super) fn body_is_modern(request: &Request) -> bool {
    request.method == "server/discover" || request.meta(META_VERSION).is_some()
}

/// The request's era, once everything that its era demands of it has been checked.
pub(super) fn settle(headers: &HeaderMap, request: &Request) -> Result<Era, RpcError> {
    // Clients that fall back may still send the header of the newer revision.
    if request.method == "initialize" && !body_is_modern(request) {
        return Ok(Era::Legacy);
    }
    if headers_are_modern(headers) || body_is_modern(request) {
        let version = check_meta(request)?;
        if headers.contains_key(HEADER_VERSION) {
            same(headers, "MCP-Protocol-Version", version)?;
        }
        if version != MODERN {
            return Err(unsupported(version));
        }
        check_headers(headers, request)?;
        return Ok(Era::Modern);
    }
    // Absent means 2025-03-26 (2025-11-25 transports).
    match headers.get(HEADER_VERSION).map(|value| value.to_str().unwrap_or("?")) {
        Some(version) if !LEGACY.contains(&version) => Err(unsupported(version)),
        _ => Ok(Era::Legacy),
    }
}

/// A date on or after the first stateless revision.
fn is_modern(version: &str) -> bool {
    let is_date = version.len() == MODERN.len()
        && version.bytes().zip(MODERN.bytes()).all(|(found, shape)| {
            if shape == b'-' { found == b'-' } else { found.is_ascii_digit() }
        });
    is_date && version >= MODERN
}

/// The version that the body names, beside everything else that it must carry.
fn check_meta(request: &Request) -> Result<&str, RpcError> {
    let missing = |name: &str| {
        RpcError::bad(code::INVALID_PARAMS, format!("params._meta must carry \"{name}\""))
    };
    let Some(Value::String(version)) = request.meta(META_VERSION) else {
        return Err(missing(META_VERSION));
    };
    let Some(Value::Object(_)) = request.meta(META_CAPABILITIES) else {
        return Err(missing(META_CAPABILITIES));
    };
    Ok(version)
}

fn unsupported(requested: &str) -> RpcError {
    RpcError::bad(code::UNSUPPORTED_VERSION, "Unsupported protocol version")
        .with_data(json!({ "supported": SUPPORTED, "requested": shown(requested) }))
}

fn check_headers(headers: &HeaderMap, request: &Request) -> Result<(), RpcError> {
    same(headers, "MCP-Protocol-Version", MODERN)?;
    same(headers, "Mcp-Method", &request.method)?;
    if request.method == "tools/call"
        && let Some(Value::String(name)) = request.params.get("name")
    {
        same(headers, "Mcp-Name", name)?;
        mirrored::check(headers, tools::mirrored(name), request.params.get("arguments"))?;
    }
    Ok(())
}

/// The header stands exactly once and says what the body says.
fn same(headers: &HeaderMap, name: &'static str, body: &str) -> Result<(), RpcError> {
    matches(headers, name, body, |text| text == body)
}

/// The header stands exactly once and says what the body says, which is shown as `body`.
pub(super) fn matches(
    headers: &HeaderMap,
    name: &'static str,
    body: &str,
    says: impl FnOnce(&str) -> bool,
) -> Result<(), RpcError> {
    let mismatch = |what: &str| mismatch(name, what);
    let mut values = headers.get_all(name).iter();
    let value = match (values.next(), values.next()) {
        (Some(value), None) => value,
        (None, _) => return Err(mismatch("is missing")),
        (Some(_), Some(_)) => return Err(mismatch("stands twice")),
    };
    let text = value.to_str().ok().and_then(decoded);
    let text = text.ok_or_else(|| mismatch("is malformed"))?;
    if says(&text) {
        return Ok(());
    }
    let (header, body) = (shown(&text), shown(body));
    Err(mismatch(&format!("value '{header}' does not match body value '{body}'")))
}

/// 400.
pub(super) fn mismatch(name: &str, what: &str) -> RpcError {
    RpcError::bad(code::HEADER_MISMATCH, format!("Header mismatch: {name} header {what}"))
}

/// Values that are not plain ASCII come as `=?base64?…?=`.
fn decoded(value: &str) -> Option<String> {
    match value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
        None => Some(value.to_owned()),
    }
}

/// What a caller sent, short and without control characters, for its own error message.
fn shown(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dates_from_the_first_stateless_revision_on_are_modern() {
        assert!(is_modern("2026-07-28") && is_modern("2099-01-01"));
        for other in ["2025-11-25", "2026-07-27", "draft", "9999", "zzzz-zz-zz", "2026-07-28 "] {
            assert!(!is_modern(other), "{other}");
        }
    }

    #[test]
    fn the_base64_form_is_decoded() {
        assert_eq!(decoded("search").as_deref(), Some("search"));
        assert_eq!(decoded("=?base64?c8O8w59lcw==?=").as_deref(), Some("süßes"));
        assert_eq!(decoded("=?base64?%%%?="), None);
        assert_eq!(decoded("=?base64?/w==?="), None);
    }
}
