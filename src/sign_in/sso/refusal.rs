//! Why somebody who came back from a provider is not signed in.

use askama::Template;
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::Provider;
use crate::http::{Frame, Page};

/// One reason each; no text of the provider's is in any of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The provider answered `access_denied`.
    Denied,
    /// The provider answered with another error.
    Failed,
    /// The answer says that it is another issuer's (RFC 9207), or does not say whose, or is none.
    Mixed,
    /// The token endpoint did not answer.
    Unreachable,
    /// The token endpoint refused the code or our credentials.
    Exchange,
    /// The token endpoint's answer holds no ID token that could be read.
    NoIdToken,
    /// The keys could not be fetched.
    NoKeys,
    /// Not signed by a key of the provider's, or by an algorithm that we do not take.
    Signature,
    Issuer,
    Audience,
    Expired,
    Nonce,
    Subject,
    /// No address that the provider has verified, and no link yet.
    Unverified,
    NotAMember,
    /// An admin removed the link.
    LinkRemoved,
    /// The member is another subject's.
    LinkedElsewhere,
    /// The provider was changed meanwhile.
    Changed,
}

impl Refused {
    /// For the tenant's admins, in the audit.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::Denied => "the provider says that access was denied",
            Self::Failed => "the provider answered with an error",
            Self::Mixed => "the answer was not this provider’s",
            Self::Unreachable => "the provider’s token endpoint did not answer",
            Self::Exchange => {
                "the provider refused the code: check client id, client secret and redirect URI"
            }
            Self::NoIdToken => "the provider’s answer held no ID token",
            Self::NoKeys => "the provider’s keys could not be read",
            Self::Signature => "the ID token was not signed by a key of the provider’s",
            Self::Issuer => "the ID token’s issuer is another one",
            Self::Audience => "the ID token is for another client",
            Self::Expired => "the ID token has expired, or a clock is wrong",
            Self::Nonce => "the ID token is for another sign-in",
            Self::Subject => "the ID token names nobody",
            Self::Unverified => "the provider named no e-mail address that it has verified",
            Self::NotAMember => "not a member",
            Self::LinkRemoved => "an admin has removed the link",
            Self::LinkedElsewhere => "the member is linked to another account at the provider",
            Self::Changed => "the provider’s settings were changed meanwhile",
        }
    }

    /// For who wanted to sign in.
    const fn sentence(self) -> &'static str {
        match self {
            Self::Denied => "The sign-in was cancelled there, or you may not use it.",
            Self::Failed => {
                "It answered with an error. Try again; if that does not help, ask an admin."
            }
            Self::Unreachable | Self::NoKeys => {
                "It does not answer properly just now. Try again soon."
            }
            Self::Mixed | Self::Changed => {
                "The answer does not belong to what you began. Begin again."
            }
            Self::Unverified => {
                "It names no e-mail address of yours that it has verified, so that we cannot tell \
                 who you are here. Ask an admin."
            }
            Self::NotAMember => {
                "Nobody here has the address that it names. Ask an admin to make you a member."
            }
            Self::LinkRemoved => "An admin has ended this way in for you. Ask an admin.",
            Self::LinkedElsewhere => {
                "Your membership belongs to another account there. Use that one, or ask an admin."
            }
            Self::Exchange
            | Self::NoIdToken
            | Self::Signature
            | Self::Issuer
            | Self::Audience
            | Self::Expired
            | Self::Nonce
            | Self::Subject => {
                "Its answer cannot be trusted, so nobody was signed in. An admin finds the reason \
                 under Activity."
            }
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::Denied
            | Self::Unverified
            | Self::NotAMember
            | Self::LinkRemoved
            | Self::LinkedElsewhere => StatusCode::FORBIDDEN,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

#[derive(Template)]
#[template(path = "sign_in/sso_refused.html")]
struct RefusedPage {
    frame: Frame,
    title: String,
    sentence: &'static str,
    again: String,
}

/// The page.
pub(super) fn page(refused: Refused, provider: &Provider, return_to: &str) -> Response {
    let title = match refused {
        Refused::NotAMember => format!("You are not a member of {}", provider.tenant_name),
        _ => format!("{} did not sign you in", super::host(&provider.issuer)),
    };
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("tenant", &provider.slug)
        .append_pair("return_to", return_to)
        .finish();
    let page = RefusedPage {
        frame: Frame::default(),
        title,
        sentence: refused.sentence(),
        again: format!("/sign-in?{query}"),
    };
    (refused.status(), Page(page)).into_response()
}
