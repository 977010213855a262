//! What is checked before anything is counted or read: `Origin`, size. And CORS.
//!
//! Browsers send `Origin`; the servers of hosted assistants send none. A page that was lured to
//! our address by DNS rebinding sends its own name in it, and in `Host`, which `http::host` checks
//! for every route (spec row H-01).

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{
    caller::too_large,
    jsonrpc::{RpcError, code},
    transport::MAX_BODY,
};
use crate::{config::PublicUrl, http::host};

const ALLOWED_HEADERS: &str = "authorization, content-type, mcp-protocol-version, mcp-method, \
     mcp-name, mcp-session-id, last-event-id, dpop";
const EXPOSED_HEADERS: &str = "www-authenticate, retry-after, ratelimit, ratelimit-policy, \
     mcp-session-id, mcp-protocol-version, x-request-id, dpop-nonce";

/// Who we are and who may call from a browser.
#[derive(Clone, Debug)]
pub(super) struct Front {
    origin: Arc<str>,
    allowed_origins: Arc<[String]>,
    is_loopback: bool,
}

impl Front {
    pub(super) fn new(public_url: &PublicUrl, allowed_origins: &[String]) -> Self {
        Self {
            origin: public_url.as_str().into(),
            allowed_origins: allowed_origins.into(),
            is_loopback: host::is_loopback(public_url.authority()),
        }
    }

    fn allows(&self, origin: &str) -> bool {
        if *origin == *self.origin || self.allowed_origins.iter().any(|known| known == origin) {
            return true;
        }
        let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        self.is_loopback && rest.is_some_and(host::is_loopback)
    }

    /// The request's `Origin`, if it sent one that may call.
    fn origin<'a>(&self, headers: &'a HeaderMap) -> Result<Option<&'a HeaderValue>, RpcError> {
        let mut values = headers.get_all(header::ORIGIN).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let allowed = value.to_str().is_ok_and(|origin| self.allows(origin));
        if allowed && values.next().is_none() {
            return Ok(Some(value));
        }
        let message = "this origin may not call this endpoint";
        Err(RpcError::new(StatusCode::FORBIDDEN, code::INVALID_REQUEST, message))
    }
}

/// Middleware: see the module.
pub(super) async fn check(State(front): State<Front>, request: Request, next: Next) -> Response {
    let origin = match front.origin(request.headers()) {
        Ok(origin) => origin.cloned(),
        Err(refused) => return refused.into_response(),
    };
    let response =
        if is_too_large(&request) { too_large().into_response() } else { next.run(request).await };
    match origin {
        Some(origin) => share(response, origin),
        None => response,
    }
}

fn is_too_large(request: &Request) -> bool {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    length.is_some_and(|length| length > MAX_BODY)
}

/// Let a browser's script read the answer. Never with credentials: tokens come in a header.
fn share(mut response: Response, origin: HeaderValue) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    headers
        .insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
    response
}

/// `OPTIONS`: a browser asks what its script may send.
pub(super) async fn preflight() -> Response {
    tell("POST")
}

/// The same where streams open.
pub(super) async fn stream_preflight() -> Response {
    tell("GET, POST")
}

fn tell(methods: &'static str) -> Response {
    let answer: [(HeaderName, &str); 4] = [
        (header::ALLOW, methods),
        (header::ACCESS_CONTROL_ALLOW_METHODS, methods),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, "3600"),
    ];
    (StatusCode::NO_CONTENT, answer).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn front(url: &str) -> Front {
        Front::new(&url.parse().unwrap(), &["https://app.example".to_owned()])
    }

    /// [H-01] A page from elsewhere may not call, and `null` is elsewhere.
    #[test]
    fn only_known_origins_may_call() {
        let public = front("https://docs.example.com");
        assert!(public.allows("https://docs.example.com") && public.allows("https://app.example"));
        for origin in ["null", "http://docs.example.com", "http://localhost:6274", "https://evil"] {
            assert!(!public.allows(origin), "{origin}");
        }
        let local = front("http://localhost:8700");
        for origin in ["http://localhost:6274", "http://127.0.0.1", "https://[::1]:1"] {
            assert!(local.allows(origin), "{origin}");
        }
        for origin in
            ["http://evil.example:8700", "http://localhost.evil.example", "null", "file://"]
        {
            assert!(!local.allows(origin), "{origin}");
        }
    }
}
