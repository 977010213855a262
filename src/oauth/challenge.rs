//! Why a request to a protected resource is turned away, in the form that makes clients sign in:
//! RFC 6750 §3, RFC 9728 §5.1 and, for callers that use DPoP, RFC 9449 §7.1.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::Response,
};

use super::{
    dpop::{Dpop, Refused},
    scope::Scope,
};

/// How the sender presents its token, or tries to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// RFC 6750. Whoever presents nothing is challenged in this way too: most clients know no other,
    /// and no second challenge next to it.
    Bearer,
    /// RFC 9449 §7.1: with a proof.
    Dpop,
}

/// Why a request is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
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
    /// RFC 6750 §3.1.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::TokenMissing | Self::InvalidToken | Self::Proof(_) => StatusCode::UNAUTHORIZED,
            Self::InvalidRequest(_) => StatusCode::BAD_REQUEST,
            Self::InsufficientScope => StatusCode::FORBIDDEN,
        }
    }

    /// The error code, where there is one.
    #[must_use]
    pub const fn error(self) -> Option<&'static str> {
        match self {
            Self::TokenMissing => None,
            Self::InvalidToken => Some("invalid_token"),
            Self::InvalidRequest(_) => Some("invalid_request"),
            Self::Proof(refused) => Some(refused.code()),
            Self::InsufficientScope => Some("insufficient_scope"),
        }
    }

    /// For the client's developer. Holds neither quote nor backslash.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::TokenMissing => "an access token for this resource is needed",
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
pub struct Challenge {
    /// Why.
    pub reason: Reason,
    /// How the caller presented its token.
    pub scheme: Scheme,
    /// The protected resource metadata of the URL that was called.
    pub metadata_url: String,
    /// What is needed, where that is said.
    pub scope: Option<Scope>,
}

impl Challenge {
    /// The value of `WWW-Authenticate`: one challenge, every value quoted.
    #[must_use]
    pub fn value(&self) -> String {
        let mut value = match self.scheme {
            Scheme::Bearer => "Bearer".to_owned(),
            Scheme::Dpop => format!("DPoP algs=\"{}\",", Dpop::algorithms().join(" ")),
        };
        value.push_str(&format!(" resource_metadata=\"{}\"", self.metadata_url));
        if let Some(scope) = self.scope {
            value.push_str(&format!(", scope=\"{scope}\""));
        }
        if let Some(error) = self.reason.error() {
            let description = self.reason.description();
            value.push_str(&format!(", error=\"{error}\", error_description=\"{description}\""));
        }
        value
    }

    /// Put it on an answer, with its status.
    ///
    /// # Panics
    ///
    /// When the metadata's URL is none.
    #[must_use]
    pub fn onto(&self, mut response: Response) -> Response {
        *response.status_mut() = self.reason.status();
        let value = HeaderValue::from_str(&self.value()).expect("a URL of ours and fixed text");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
        response
    }
}
