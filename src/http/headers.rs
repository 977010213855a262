//! Headers that every response carries (spec rows W-02 to W-04, C-04).

use axum::{
    extract::{Request, State},
    http::{HeaderName, HeaderValue, header},
    middleware::Next,
    response::Response,
};

use crate::config::PublicUrl;

const OPENER_POLICY: &str = "cross-origin-opener-policy";

/// What our pages may do: nothing but show our own style, script and pictures, and post to us.
pub const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; \
    frame-ancestors 'none'; base-uri 'none'; object-src 'none'";

/// Middleware: add what the handler did not set itself.
pub async fn secure(State(public_url): State<PublicUrl>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let mut default = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    default(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    default(header::REFERRER_POLICY, "no-referrer");
    default(header::X_FRAME_OPTIONS, "DENY");
    default(header::CONTENT_SECURITY_POLICY, CSP);
    default(header::CACHE_CONTROL, "no-store");
    default(HeaderName::from_static(OPENER_POLICY), "same-origin");
    default(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    if public_url.is_https() {
        default(header::STRICT_TRANSPORT_SECURITY, "max-age=63072000; includeSubDomains");
    }
    response
}

/// Middleware for the pages that lead back to an app. Many apps open them in a window of their own
/// and wait for its end: cut off from its opener, the window looks closed to the app, which then
/// gives up.
pub async fn keep_opener(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(OPENER_POLICY, HeaderValue::from_static("unsafe-none"));
    response
}
