//! A handler that panics is a fault like any other (spec row H-12).

use std::panic::AssertUnwindSafe;

use axum::{
    extract::Request,
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;

/// Middleware: answer 500 in its place. What it was is in the log already.
pub async fn catch(request: Request, next: Next) -> Response {
    // Nothing of the request outlives it here, and what handlers share is behind locks that
    // do not mind.
    let answer = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    answer.unwrap_or_else(|_| {
        let content_type = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
        let text = "Something went wrong on our side. Try again.\n";
        (StatusCode::INTERNAL_SERVER_ERROR, content_type, text).into_response()
    })
}
