//! Each request's line in the log and its place in the metrics.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};
use tracing::Instrument;

use crate::http::request_id::RequestId;

/// Middleware inside the one that names the request: a span around everything it logs, and one
/// line when it was answered.
///
/// Names the route and never the path: paths hold one-time secrets, queries hold codes.
pub async fn observe(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let id = request.extensions().get::<RequestId>().map(|id| id.0.to_string());
    let id = id.unwrap_or_default();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("(none)", MatchedPath::as_str).to_owned();
    let method = method(request.method());
    let span = tracing::info_span!("request", id, method, route);
    let response = next.run(request).instrument(span.clone()).await;
    let took = begun.elapsed();
    let status = response.status().as_u16();
    span.in_scope(|| tracing::info!(status, ms = took.as_secs_f64() * 1e3, "answered"));
    let class = class(status);
    metrics::counter!(
        "callslip_http_requests_total", "route" => route.clone(), "method" => method, "status" => class
    )
    .increment(1);
    metrics::histogram!("callslip_http_request_seconds", "route" => route, "status" => class)
        .record(took.as_secs_f64());
    response
}

/// A few known names, so that strangers cannot make up label values.
fn method(method: &axum::http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "PATCH" => "PATCH",
        _ => "other",
    }
}

fn class(status: u16) -> &'static str {
    match status {
        100..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}
