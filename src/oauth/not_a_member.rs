//! What somebody sees whose account is in no tenant that the app asks for.
//!
//! A page, not a redirect to the app: this may be the answer to the sign-in form, whose page lets
//! the browser go nowhere else (Chromium applies `form-action` to redirects), and the user may have
//! another account.

use askama::Template;
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::{
    client::Client, declined::Declined, error::ErrorCode, pending::Asking, redirect_uri::ReturnPath,
};
use crate::http::{Frame, Page};

#[derive(Template)]
#[template(path = "oauth/not_a_member.html")]
struct NotAMemberPage {
    frame: Frame,
    client_name: String,
    email: String,
    return_to: String,
    redirect_host: String,
    refusal: String,
}

/// The page. Of a tenant that does not exist and one of others, it tells nothing apart.
pub(super) fn page(
    asking: &Asking<'_>,
    client: &Client,
    (to, state): (ReturnPath, Option<String>),
    request_id: &str,
) -> Response {
    let redirect_host = to.host();
    let wrong = (
        ErrorCode::InvalidTarget,
        "the user is not a member of any tenant that the resource names",
    );
    let page = NotAMemberPage {
        frame: asking.signed_in.frame.clone(),
        client_name: client.client_name.clone(),
        email: asking.signed_in.user.email.clone(),
        return_to: format!("/oauth/consent?request_id={request_id}"),
        redirect_host,
        refusal: Declined::new(to, wrong, state).location(asking.server.public_url.as_str()),
    };
    (StatusCode::FORBIDDEN, Page(page)).into_response()
}
