//! What the OAuth endpoints answer besides success: RFC 6749 §5.2 and its extensions.

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::json;
use crate::fault::Fault;

/// When to try again, in seconds, where it is another's server that we wait for.
const LATER: u64 = 10;

/// The error codes of OAuth that we use, as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ErrorCode {
    InvalidRequest,
    InvalidClient,
    InvalidGrant,
    UnauthorizedClient,
    UnsupportedGrantType,
    UnsupportedResponseType,
    InvalidScope,
    /// RFC 8707 §2.
    InvalidTarget,
    AccessDenied,
    /// RFC 9449 §12.2.
    InvalidDpopProof,
    UseDpopNonce,
    /// RFC 7591 §3.2.2.
    InvalidRedirectUri,
    /// RFC 7591 §3.2.2.
    InvalidClientMetadata,
    /// RFC 7591 §3.2.2.
    UnapprovedSoftwareStatement,
    /// RFC 6750 §3.1.
    InvalidToken,
    /// OpenID Connect Core §3.1.2.6, RFC 9101 §7.
    RequestNotSupported,
    RequestUriNotSupported,
    /// OpenID Connect Core §3.1.2.6.
    InteractionRequired,
    TemporarilyUnavailable,
    ServerError,
}

impl ErrorCode {
    /// As on the wire, for redirects.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::AccessDenied => "access_denied",
            Self::InvalidDpopProof => "invalid_dpop_proof",
            Self::UseDpopNonce => "use_dpop_nonce",
            Self::InvalidRedirectUri => "invalid_redirect_uri",
            Self::InvalidClientMetadata => "invalid_client_metadata",
            Self::UnapprovedSoftwareStatement => "unapproved_software_statement",
            Self::InvalidToken => "invalid_token",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::InteractionRequired => "interaction_required",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::ServerError => "server_error",
        }
    }

    /// The one place where a code meets a status: RFC 6749 §5.2.
    const fn status(self) -> StatusCode {
        match self {
            Self::InvalidClient | Self::InvalidToken => StatusCode::UNAUTHORIZED,
            Self::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// What the caller did wrong. The description is fixed text, so it cannot carry anything internal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Refusal {
    pub(super) error: ErrorCode,
    pub(super) error_description: &'static str,
}

/// Everything an OAuth endpoint can answer besides success.
#[derive(Debug)]
pub(super) enum Error {
    Refused(Refusal),
    /// Client authentication by HTTP Basic failed: the answer names the scheme.
    BasicRefused(Refusal),
    /// A Bearer token was needed, and another or none was presented: RFC 6750 §3.
    BearerRefused(Refusal),
    /// The operator has closed this way, or it is not for this client, known as it is.
    Forbidden(Refusal),
    /// The body is longer than any request of the protocol.
    TooLarge,
    /// Too many requests from one address.
    TooMany {
        retry_after: u64,
    },
    Fault(Fault),
}

/// `refuse(InvalidGrant, "…")` reads better than a constructor for each code.
pub(super) const fn refuse(error: ErrorCode, error_description: &'static str) -> Error {
    Error::Refused(Refusal { error, error_description })
}

impl Error {
    /// Whether the request was heard and turned away, so that what it showed once is spent. What
    /// failed on our side, or was not looked at, can be sent again as it was.
    pub(super) const fn is_final(&self) -> bool {
        match self {
            Self::Refused(refusal) => {
                !matches!(refusal.error, ErrorCode::TemporarilyUnavailable | ErrorCode::ServerError)
            }
            Self::BasicRefused(_) | Self::BearerRefused(_) | Self::Forbidden(_) => true,
            Self::TooLarge | Self::TooMany { .. } | Self::Fault(_) => false,
        }
    }
}

impl<E: Into<Fault>> From<E> for Error {
    fn from(fault: E) -> Self {
        Self::Fault(fault.into())
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut headers = HeaderMap::new();
        let (status, refusal) = match self {
            Self::Refused(refusal) => {
                if refusal.error == ErrorCode::TemporarilyUnavailable {
                    headers.insert(header::RETRY_AFTER, HeaderValue::from(LATER));
                }
                (refusal.error.status(), refusal)
            }
            Self::BasicRefused(refusal) => {
                // RFC 6749 §5.2: name the scheme that the client used.
                let basic = HeaderValue::from_static("Basic realm=\"callslip\", charset=\"UTF-8\"");
                headers.insert(header::WWW_AUTHENTICATE, basic);
                (refusal.error.status(), refusal)
            }
            Self::BearerRefused(refusal) => {
                let bearer =
                    HeaderValue::from_static("Bearer realm=\"callslip\", error=\"invalid_token\"");
                headers.insert(header::WWW_AUTHENTICATE, bearer);
                (refusal.error.status(), refusal)
            }
            Self::Forbidden(refusal) => (StatusCode::FORBIDDEN, refusal),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                Refusal {
                    error: ErrorCode::InvalidRequest,
                    error_description: "the body is too long",
                },
            ),
            Self::TooMany { retry_after } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
                (
                    StatusCode::TOO_MANY_REQUESTS,
                    Refusal {
                        error: ErrorCode::TemporarilyUnavailable,
                        error_description: "too many requests from this address: wait, then retry",
                    },
                )
            }
            Self::Fault(fault) => {
                fault.log();
                let (error, error_description) = if fault.is_unavailable() {
                    headers.insert(header::RETRY_AFTER, HeaderValue::from(2));
                    (ErrorCode::TemporarilyUnavailable, "nothing was changed: try again soon")
                } else {
                    (ErrorCode::ServerError, "an error on our side: try again later")
                };
                (error.status(), Refusal { error, error_description })
            }
        };
        json::answer(status, headers, &refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_reads_the_same_in_a_body_and_in_a_redirect() {
        for code in [
            ErrorCode::InvalidRequest,
            ErrorCode::UnsupportedResponseType,
            ErrorCode::InvalidDpopProof,
            ErrorCode::UseDpopNonce,
            ErrorCode::InvalidRedirectUri,
            ErrorCode::RequestUriNotSupported,
            ErrorCode::TemporarilyUnavailable,
        ] {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }
}
