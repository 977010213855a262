//! A name for each request: in the log, in the audit, and in the answer's `x-request-id`.

use axum::{
    extract::Request,
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use uuid::Uuid;

/// The request's name. In every request's extensions. Ours always: what a caller sent is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(pub Uuid);

/// Middleware: name the request.
pub async fn assign(mut request: Request, next: Next) -> Response {
    let id = Uuid::now_v7();
    request.extensions_mut().insert(RequestId(id));
    let mut response = next.run(request).await;
    let value = HeaderValue::from_str(&id.to_string()).expect("a UUID is a valid header value");
    response.headers_mut().insert(HeaderName::from_static("x-request-id"), value);
    response
}
