//! No body is unpacked: a small one could become a very large one (spec row Q-05).

use axum::{
    extract::Request,
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

/// Middleware: refuse a compressed body instead of reading it as something else.
pub async fn refuse(request: Request, next: Next) -> Response {
    let mut encodings = request.headers().get_all(header::CONTENT_ENCODING).iter();
    if encodings.all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return next.run(request).await;
    }
    let content_type = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    let text = "The body must not be compressed.\n";
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, content_type, text).into_response()
}
