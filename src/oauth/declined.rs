//! A refusal that the client hears of: OAuth 2.1 §4.1.2.1, RFC 9207.

use std::borrow::Cow;

use axum::response::Response;

use super::{error::ErrorCode, redirect_uri::ReturnPath};

/// What is told to the client, and where.
pub(super) struct Declined {
    pub(super) to: ReturnPath,
    error: Cow<'static, str>,
    description: Cow<'static, str>,
    state: Option<String>,
}

impl Declined {
    pub(super) fn new(
        to: ReturnPath,
        (error, description): (ErrorCode, &'static str),
        state: Option<String>,
    ) -> Self {
        Self { to, error: error.as_str().into(), description: description.into(), state }
    }

    /// One that was found out before the user had acted, and was kept until now.
    pub(super) fn kept(
        to: ReturnPath,
        (error, description): (Cow<'static, str>, Cow<'static, str>),
        state: Option<String>,
    ) -> Self {
        Self { to, error, description, state }
    }

    /// A redirect: for where the user has just decided.
    pub(super) fn answer(&self, issuer: &str) -> Response {
        self.to.answer(&self.parameters(issuer))
    }

    /// A link: for where the browser may not be sent by itself.
    pub(super) fn location(&self, issuer: &str) -> String {
        self.to.location(&self.parameters(issuer))
    }

    fn parameters<'a>(&'a self, issuer: &'a str) -> Vec<(&'static str, &'a str)> {
        let mut parameters =
            vec![("error", &*self.error), ("error_description", &*self.description)];
        parameters.extend(self.state.as_deref().map(|state| ("state", state)));
        // RFC 9207 §2: in errors too.
        parameters.push(("iss", issuer));
        parameters
    }
}
