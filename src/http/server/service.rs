//! From hyper to the router and back.

use std::{convert::Infallible, net::SocketAddr, pin::Pin, sync::Arc};

use axum::{
    body::Body as AnyBody,
    extract::ConnectInfo,
    http::{HeaderValue, Request, Response, StatusCode, Version, header},
    response::IntoResponse,
};
use hyper::body::{Body, Incoming};
use tower::ServiceExt;

use super::{Front, answer::Answer, connection::MOST_HEADERS, paced::Paced, pulse::Pulse};
use crate::http::Phase;

/// Answers the requests of one connection.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) front: Arc<Front>,
    pub(super) peer: SocketAddr,
    pub(super) pulse: Pulse,
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let is_http2 = request.version() == Version::HTTP_2;
        let mut flight = self.pulse.begin(is_http2, !request.body().is_end_stream());
        let is_too_much = request.headers().len() > MOST_HEADERS;
        let Self { front, peer, pulse } = self.clone();
        Box::pin(async move {
            let mut response = if is_too_much {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.into_response()
            } else {
                let paced = |body| AnyBody::new(Paced::new(body, pulse, front.deadlines));
                let mut request = request.map(paced);
                request.extensions_mut().insert(ConnectInfo(peer));
                let Ok(response) = front.router.clone().oneshot(request).await;
                response
            };
            flight.answered();
            // On our way out the peer's next request is better sent to somebody else.
            if !is_http2 && front.draining.phase() > Phase::Serving {
                response
                    .headers_mut()
                    .insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(|body| Answer::new(body, flight)))
        })
    }
}
