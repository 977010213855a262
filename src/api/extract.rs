//! Extractors of the API. Their rejections are problems too.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::{StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::{Serialize, de::DeserializeOwned};

use super::problem::Problem;
use crate::http::{extract::from_query, json};

/// The most that a JSON body of ours needs.
const JSON_BYTES: usize = 64 * 1024;

/// Path parameters. One that does not parse names nothing: 404.
#[derive(Debug)]
pub(super) struct Path<T>(pub(super) T);

impl<T, S> FromRequestParts<S> for Path<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        #[expect(clippy::disallowed_types, reason = "this is the wrapper")]
        axum::extract::Path::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Path(value)| Self(value))
            .map_err(|_| Problem::not_found())
    }
}

/// Query parameters; unknown ones are ignored.
#[derive(Debug)]
pub(super) struct Query<T>(pub(super) T);

impl<T, S> FromRequestParts<S> for Query<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        from_query(parts.uri.query().unwrap_or_default())
            .map(Self)
            .map_err(|_| Problem::bad_request("a query parameter is malformed"))
    }
}

/// A JSON body: no member twice, neither deep nor long; members that we do not know are refused.
#[derive(Debug)]
pub(super) struct JsonBody<T>(pub(super) T);

impl<T, S> FromRequest<S> for JsonBody<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let is_json = request
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
        if !is_json {
            let kind = ("unsupported-media-type", "Unsupported media type");
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Problem::new(status, kind, "the body must be application/json"));
        }
        let body = Bytes::from_request(request, state).await;
        let body = body.ok().filter(|body| body.len() <= JSON_BYTES).ok_or_else(|| {
            let kind = ("too-large", "Content too large");
            let detail = "the body must not be larger than 64 KiB";
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, kind, detail)
        })?;
        let value = json::parse(&body)
            .map_err(|_| Problem::bad_request("the body is not JSON, or says something twice"))?;
        serde_json::from_value(value).map(Self).map_err(|_| {
            Problem::bad_request("a member of the body is missing, unknown or of a wrong type")
        })
    }
}

/// An answer in JSON, not to be stored.
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) StatusCode, pub(super) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_string(&self.1) {
            Ok(body) => {
                let headers = [
                    (header::CONTENT_TYPE, "application/json"),
                    (header::CACHE_CONTROL, "no-store"),
                ];
                (self.0, headers, body).into_response()
            }
            Err(error) => Problem::from(error).into_response(),
        }
    }
}
