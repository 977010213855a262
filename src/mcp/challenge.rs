//! Why a caller was turned away, in the form that makes clients sign in: RFC 6750 §3, RFC 9728 §5.1
//! and, for callers that use DPoP, RFC 9449 §7.1.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::jsonrpc::json_response;
use crate::oauth::{
    dpop::{Dpop, Refused},
    scope::Scope,
};

/// The scope that everything here needs.
pub(super) const NEEDED: Scope = Scope::SEARCH_READ;

/// How the caller showed its token, or tried to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// RFC 6750. Whoever shows nothing is challenged in this way too: most clients know no other,
    /// and no second challenge next to it.
    Bearer,
    /// RFC 9449 §7.1: with a proof.
    Dpop,
}

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// No token at all: RFC 6750 §3.1 wants no error code then.
    TokenMissing,
    /// Not one of ours, or not any more, or for another resource. Which of these is not said.
    InvalidToken,
    /// The token came in two ways at once.
    InvalidRequest(&'static str),
    /// A token that is bound to a key, without a good proof by that key.
    Proof(Refused),
    /// A good token, without the scope.
    InsufficientScope,
}

impl Reason {
    const fn status(self) -> StatusCode {
        match self {
            Self::TokenMissing | Self::InvalidToken | Self::Proof(_) => StatusCode::UNAUTHORIZED,
            Self::InvalidRequest(_) => StatusCode::BAD_REQUEST,
            Self::InsufficientScope => StatusCode::FORBIDDEN,
        }
    }

    const fn error(self) -> Option<&'static str> {
        match self {
            Self::TokenMissing => None,
            Self::InvalidToken => Some("invalid_token"),
            Self::InvalidRequest(_) => Some("invalid_request"),
            Self::Proof(refused) => Some(refused.code()),
            Self::InsufficientScope => Some("insufficient_scope"),
        }
    }

    /// Holds neither quote nor backslash.
    const fn description(self) -> &'static str {
        match self {
            Self::TokenMissing => "an access token is needed: sign in first",
            Self::InvalidToken => {
                "the access token is unknown, expired, revoked, for another resource or shown \
                 under another scheme than its token_type"
            }
            Self::InvalidRequest(description) => description,
            Self::Proof(refused) => refused.description(),
            Self::InsufficientScope => "the access token does not cover this operation",
        }
    }
}

/// A reason, and where the caller finds out how to do better.
#[derive(Clone, Debug)]
pub(super) struct Challenge {
    pub(super) reason: Reason,
    pub(super) scheme: Scheme,
    /// The protected resource metadata of the URL that was called.
    pub(super) metadata_url: String,
}

impl Challenge {
    /// The value of `WWW-Authenticate`: one challenge, every value quoted.
    pub(super) fn value(&self) -> String {
        let scheme = match self.scheme {
            Scheme::Bearer => "Bearer".to_owned(),
            Scheme::Dpop => format!("DPoP algs=\"{}\",", Dpop::algorithms().join(" ")),
        };
        let mut value =
            format!("{scheme} resource_metadata=\"{}\", scope=\"{NEEDED}\"", self.metadata_url);
        if let Some(error) = self.reason.error() {
            let description = self.reason.description();
            value.push_str(&format!(", error=\"{error}\", error_description=\"{description}\""));
        }
        value
    }

    /// Put it on an answer.
    pub(super) fn onto(&self, mut response: Response) -> Response {
        *response.status_mut() = self.reason.status();
        let value = HeaderValue::from_str(&self.value()).expect("a URL of ours and fixed text");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
        response
    }
}

impl IntoResponse for Challenge {
    fn into_response(self) -> Response {
        let description = self.reason.description();
        let body = match self.reason.error() {
            Some(error) => json!({ "error": error, "error_description": description }),
            None => json!({ "error_description": description }),
        };
        self.onto(json_response(self.reason.status(), &body))
    }
}
