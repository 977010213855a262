//! JSON out, and cross-origin leave for the endpoints that browsers' scripts may call.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use serde::Serialize;

/// A JSON document that nobody stores, unless `headers` say otherwise.
pub(super) fn answer(status: StatusCode, headers: HeaderMap, body: &impl Serialize) -> Response {
    let json = serde_json::to_vec(body).expect("our own types serialise");
    let mut response = (status, json).into_response();
    let all = response.headers_mut();
    all.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // RFC 6749 §5.1.
    all.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    all.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    all.extend(headers);
    response
}

/// A public document that clients may keep for `seconds`.
pub(super) fn document(seconds: u32, body: &impl Serialize) -> Response {
    let mut response = answer(StatusCode::OK, HeaderMap::new(), body);
    let kept = HeaderValue::from_str(&format!("public, max-age={seconds}")).expect("ASCII");
    response.headers_mut().insert(header::CACHE_CONTROL, kept);
    response.headers_mut().remove(header::PRAGMA);
    response
}

/// Middleware for metadata, JWKS, registration, token and revocation: any origin may read the
/// answer, and no cookie goes along (spec row M-07).
pub(super) async fn any_origin(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    let exposed = HeaderValue::from_static("www-authenticate, retry-after, dpop-nonce");
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    response
}

/// `OPTIONS` of those endpoints.
pub(super) async fn preflight() -> impl IntoResponse {
    (
        StatusCode::NO_CONTENT,
        [
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, DELETE"),
            (
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                "authorization, content-type, accept, mcp-protocol-version, dpop",
            ),
            (header::ACCESS_CONTROL_MAX_AGE, "3600"),
        ],
    )
}
