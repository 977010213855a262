//! A service that is shared, where axum would have a copy for every request.
//!
//! Each of axum's middlewares clones what it surrounds to call it, and so does what that surrounds:
//! with a dozen, a request clones nearly a hundred services and their state, which was a quarter of
//! what a tool call cost. Behind this, a middleware clones a count.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use axum::extract::Request;
use tower::{Layer, Service, ServiceExt, util::Oneshot};

/// Goes between a middleware and what it surrounds: `(middleware, Share)` is a layer.
#[derive(Clone, Copy, Debug)]
pub struct Share;

impl<S> Layer<S> for Share {
    type Service = Shared<S>;

    fn layer(&self, inner: S) -> Shared<S> {
        Shared(Arc::new(inner))
    }
}

/// See [`Share`].
#[derive(Debug)]
pub struct Shared<S>(Arc<S>);

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Service<Request> + Clone> Service<Request> for Shared<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = Oneshot<S, Request>;

    /// Always: the copy that is called waits until it is.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        S::clone(&self.0).oneshot(request)
    }
}
