//! What is checked before anything is counted or read: `Host`, `Origin`, size. And CORS.
//!
//! Browsers send `Origin`; the servers of hosted assistants send none. A page that was lured to
//! our address by DNS rebinding sends its own name in both (spec row H-01).

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
use crate::config::PublicUrl;

const ALLOWED_HEADERS: &str = "authorization, content-type, mcp-protocol-version, mcp-method, \
     mcp-name, mcp-session-id, last-event-id";
const EXPOSED_HEADERS: &str = "www-authenticate, retry-after, ratelimit, ratelimit-policy, \
     mcp-session-id, x-request-id";
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Who we are and who may call from a browser.
#[derive(Clone, Debug)]
pub(super) struct Front {
    origin: Arc<str>,
    allowed_origins: Arc<[String]>,
    host: String,
    port: String,
    is_loopback: bool,
}

impl Front {
    pub(super) fn new(public_url: &PublicUrl, allowed_origins: &[String]) -> Self {
        let default_port = if public_url.is_https() { "443" } else { "80" };
        let (host, port) = split_port(public_url.authority());
        Self {
            origin: public_url.as_str().into(),
            allowed_origins: allowed_origins.into(),
            host: host.to_owned(),
            port: port.unwrap_or(default_port).to_owned(),
            is_loopback: LOOPBACK.contains(&host),
        }
    }

    /// Whether a `Host` names us. Ours, with its port or without a default one; on a loopback
    /// installation, any of the loopback names.
    fn is_ours(&self, authority: &str) -> bool {
        let (host, port) = split_port(authority);
        let default_port = if self.origin.starts_with("https://") { "443" } else { "80" };
        let known = host.eq_ignore_ascii_case(&self.host)
            || (self.is_loopback && LOOPBACK.iter().any(|name| host.eq_ignore_ascii_case(name)));
        known && port.unwrap_or(default_port) == self.port
    }

    fn allows(&self, origin: &str) -> bool {
        if *origin == *self.origin || self.allowed_origins.iter().any(|known| known == origin) {
            return true;
        }
        let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        self.is_loopback && rest.is_some_and(|rest| LOOPBACK.contains(&split_port(rest).0))
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

    fn host(&self, request: &Request) -> Result<(), RpcError> {
        let named = request.headers().get(header::HOST).map(|value| value.to_str().unwrap_or("?"));
        let authority = request.uri().authority().map(axum::http::uri::Authority::as_str);
        let ours = [named, authority].into_iter().flatten().all(|name| self.is_ours(name));
        let message = "this server does not answer for that host";
        ours.then_some(()).ok_or_else(|| {
            RpcError::new(StatusCode::MISDIRECTED_REQUEST, code::INVALID_REQUEST, message)
        })
    }
}

/// `host[:port]`, also for an IPv6 address in brackets.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    let inside = authority.rfind(']').map_or(0, |end| end + 1);
    match authority[inside..].rfind(':') {
        Some(colon) => (&authority[..inside + colon], Some(&authority[inside + colon + 1..])),
        None => (authority, None),
    }
}

/// Middleware: see the module.
pub(super) async fn check(State(front): State<Front>, request: Request, next: Next) -> Response {
    if let Err(refused) = front.host(&request) {
        return refused.into_response();
    }
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
pub(super) async fn preflight(State(front): State<Front>, request: Request) -> Response {
    const ANSWER: [(HeaderName, &str); 3] = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS),
        (header::ACCESS_CONTROL_MAX_AGE, "3600"),
    ];
    match front.origin(request.headers()) {
        Ok(Some(origin)) => share((StatusCode::NO_CONTENT, ANSWER).into_response(), origin.clone()),
        Ok(None) => (StatusCode::NO_CONTENT, [(header::ALLOW, "POST")]).into_response(),
        Err(refused) => refused.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn front(url: &str) -> Front {
        Front::new(&url.parse().unwrap(), &["https://app.example".to_owned()])
    }

    /// [H-01] Hosts that are not ours are told apart, whatever their spelling.
    #[test]
    fn only_our_own_hosts_are_ours() {
        let public = front("https://docs.example.com");
        for host in ["docs.example.com", "docs.example.com:443", "Docs.Example.Com"] {
            assert!(public.is_ours(host), "{host}");
        }
        for host in ["docs.example.com:80", "evil.example", "localhost", "docs.example.com.", ""] {
            assert!(!public.is_ours(host), "{host}");
        }
        let local = front("http://127.0.0.1:8700");
        for host in ["127.0.0.1:8700", "localhost:8700", "[::1]:8700"] {
            assert!(local.is_ours(host), "{host}");
        }
        for host in ["127.0.0.1", "localhost:9000", "evil.example:8700", "127.0.0.1.evil:8700"] {
            assert!(!local.is_ours(host), "{host}");
        }
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
