//! What went wrong, as problem details: RFC 9457.

use std::borrow::Cow;

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::{fault::Fault, limits::Limited, oauth::challenge::Challenge};

/// Everything that the API answers besides what was asked for.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    /// Names the kind for programs: the end of `type`.
    kind: &'static str,
    title: &'static str,
    detail: Cow<'static, str>,
    retry_after: Option<u64>,
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

impl Problem {
    /// A refusal that the caller can mend.
    pub(super) fn new(
        status: StatusCode,
        (kind, title): (&'static str, &'static str),
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, kind, title, detail: detail.into(), retry_after: None }
    }

    /// There is no such thing, or the caller may not know of it.
    pub(super) fn not_found() -> Self {
        const DETAIL: &str = "there is no such thing in the vector stores that this client may use";
        Self::new(StatusCode::NOT_FOUND, ("not-found", "Not found"), DETAIL)
    }

    /// The request makes no sense.
    pub(super) fn bad_request(detail: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ("bad-request", "Bad request"), detail)
    }

    /// The token will not do.
    pub(super) fn turned_away(challenge: &Challenge) -> Response {
        let reason = challenge.reason;
        let status = reason.status();
        let kind = match status {
            StatusCode::UNAUTHORIZED => ("unauthorized", "Unauthorized"),
            StatusCode::FORBIDDEN => ("insufficient-scope", "Insufficient scope"),
            _ => ("bad-request", "Bad request"),
        };
        let detail = match challenge.scope {
            Some(scope) => format!("the access token needs the scope {scope}").into(),
            None => Cow::Borrowed(reason.description()),
        };
        challenge.onto(Self::new(status, kind, detail).into_response())
    }

    /// Try again later.
    pub(super) fn unavailable() -> Self {
        let kind = ("unavailable", "Not available at the moment");
        let detail = "the server cannot answer at the moment: try again later";
        Self { retry_after: Some(1), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, kind, detail) }
    }

    /// Too much at the same time: try again when some of it is done.
    pub(super) fn too_many(detail: &'static str) -> Self {
        let kind = ("too-many-requests", "Too many requests");
        let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, kind, detail);
        Self { retry_after: Some(5), ..refusal }
    }

    /// Too many calls. Status and headers are those of the limit.
    pub(super) fn limited(limited: &Limited) -> Self {
        let kind = ("too-many-requests", "Too many requests");
        Self {
            retry_after: Some(limited.retry_after),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, kind, limited.message())
        }
    }

    /// Ours: written to the log here, and nothing of it told.
    pub(super) fn fault(fault: &Fault) -> Self {
        fault.log();
        if fault.is_unavailable() {
            return Self::unavailable();
        }
        let kind = ("internal", "Internal error");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, kind, "the server failed: try again later")
    }
}

impl<E: Into<Fault>> From<E> for Problem {
    fn from(fault: E) -> Self {
        Self::fault(&fault.into())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body {
            kind: format!("urn:callslip:problem:{}", self.kind),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
        };
        let body = serde_json::to_string(&body).expect("texts and a number");
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
