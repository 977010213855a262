//! Pages: an askama template with a frame around it, or an error in the same clothes.

use askama::Template;
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
};

use crate::fault::Fault;

/// What the frame around every page shows. The extractors of `sign_in` make it.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// For the hidden field of every form on the page, sign-out included.
    pub csrf_token: String,
    /// Who is signed in.
    pub account: Option<Account>,
    /// The tenant that the page is about.
    pub tenant: Option<FrameTenant>,
    /// The user's tenants, for the switcher.
    pub tenants: Vec<FrameTenant>,
    /// The navigation entry to mark: `overview`, `documents`, …
    pub active: &'static str,
    /// A message from the act before, shown once.
    pub notice: Option<String>,
}

/// The signed-in user, as the frame names them.
#[derive(Clone, Debug)]
pub struct Account {
    /// Their name.
    pub name: String,
    /// Their e-mail address.
    pub email: String,
    /// Whether to show the way to the operator's pages.
    pub is_operator: bool,
}

/// A tenant, as the frame names it.
#[derive(Clone, Debug)]
pub struct FrameTenant {
    /// Its name in URLs.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// Whether the user may manage it.
    pub is_admin: bool,
}

/// A page: 200, not to be stored.
#[derive(Debug)]
pub struct Page<T>(pub T);

impl<T: Template> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        match self.0.render() {
            Ok(html) => ([(header::CACHE_CONTROL, "no-store")], Html(html)).into_response(),
            Err(error) => PageError::from(error).into_response(),
        }
    }
}

/// Everything a page can answer besides itself.
#[derive(Debug)]
pub enum PageError {
    /// The request makes no sense; the sentence says why.
    BadRequest(&'static str),
    /// The address holds more than we read; the sentence says what would be right.
    UriTooLong(&'static str),
    /// Understood and refused.
    Forbidden(&'static str),
    /// There is no such thing, or the user may not know of it.
    NotFound,
    /// Sign in first, then come back to this local path.
    SignIn {
        /// Path and query, starting with a single slash.
        return_to: String,
    },
    /// Too many tries.
    TooMany {
        /// Seconds.
        retry_after: u64,
    },
    /// Too much at once: try again soon.
    Busy,
    /// Ours.
    Fault(Fault),
}

impl<E: Into<Fault>> From<E> for PageError {
    fn from(fault: E) -> Self {
        Self::Fault(fault.into())
    }
}

/// A reason from below as a sentence of its own: a capital in front, a full stop behind.
#[must_use]
pub fn sentence(reason: &str) -> String {
    let mut rest = reason.trim().chars();
    let first = rest.next().map(char::to_uppercase).into_iter().flatten();
    let mut text: String = first.chain(rest).collect();
    if text.ends_with(char::is_alphanumeric) {
        text.push('.');
    }
    text
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    status: u16,
    title: &'static str,
    message: String,
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let (status, title, message, retry_after) = match self {
            Self::BadRequest(message) => {
                (StatusCode::BAD_REQUEST, "That request does not work", message, None)
            }
            Self::UriTooLong(message) => {
                (StatusCode::URI_TOO_LONG, "That address is too long", message, None)
            }
            Self::Forbidden(message) => {
                (StatusCode::FORBIDDEN, "That is not allowed", message, None)
            }
            Self::NotFound => (
                StatusCode::NOT_FOUND,
                "Nothing here",
                "There is no such page, or you may not see it.",
                None,
            ),
            Self::SignIn { return_to } => {
                let query = url::form_urlencoded::Serializer::new(String::new())
                    .append_pair("return_to", &return_to)
                    .finish();
                return Redirect::to(&format!("/sign-in?{query}")).into_response();
            }
            Self::TooMany { retry_after } => (
                StatusCode::TOO_MANY_REQUESTS,
                "Too many tries",
                "Wait a moment, then try again.",
                Some(retry_after),
            ),
            Self::Busy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Busy",
                "Too much is going on at once. Try again in a few seconds.",
                Some(2),
            ),
            Self::Fault(fault) => {
                fault.log();
                let status = if fault.is_unavailable() {
                    StatusCode::SERVICE_UNAVAILABLE
                } else {
                    StatusCode::INTERNAL_SERVER_ERROR
                };
                (
                    status,
                    "Something broke on our side",
                    "Nothing was lost. Try again later.",
                    Some(5),
                )
            }
        };
        let frame = Frame::default();
        let page = ErrorPage { frame, status: status.as_u16(), title, message: sentence(message) };
        let html = page.render().unwrap_or_else(|_| message.to_owned());
        let mut response =
            (status, [(header::CACHE_CONTROL, "no-store")], Html(html)).into_response();
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
