//! What is left of a request when its answer is ready is read before the answer leaves.
//!
//! A refusal may be ready before the whole request has arrived. hyper would then close the
//! connection behind the answer without a word, and a client that keeps its connections would send
//! the next request into nothing.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, BodyDataStream, Bytes, HttpBody},
    extract::Request,
    http::{HeaderValue, header},
    middleware::Next,
    response::Response,
};
use futures_util::{Stream, StreamExt};

/// More than this is not worth reading to keep a connection.
const MOST: usize = 64 * 1024;
/// Nor is a client that is slower.
const WITHIN: Duration = Duration::from_secs(1);

/// Middleware: read the rest, or say that the connection ends.
pub async fn drain(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let rest = Rest::default();
    let (parts, body) = request.into_parts();
    let lent = Lent { body: Some(body.into_data_stream()), rest: Arc::clone(&rest) };
    let mut response = next.run(Request::from_parts(parts, Body::from_stream(lent))).await;
    let unread = rest.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(body) = unread
        && !tokio::time::timeout(WITHIN, ends_soon(body)).await.unwrap_or(false)
    {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn ends_soon(mut body: BodyDataStream) -> bool {
    let mut read = 0;
    while let Some(part) = body.next().await {
        let Ok(part) = part else { return false };
        read += part.len();
        if read > MOST {
            return false;
        }
    }
    true
}

/// Where a body that was not read to its end comes back to.
type Rest = Arc<Mutex<Option<BodyDataStream>>>;

/// A body that comes back when it is dropped before its end.
struct Lent {
    body: Option<BodyDataStream>,
    rest: Rest,
}

impl Stream for Lent {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = self.body.as_mut() else { return Poll::Ready(None) };
        let part = ready!(body.poll_next_unpin(context));
        if !matches!(part, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(part)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(body) = self.body.take() {
            *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
        }
    }
}
