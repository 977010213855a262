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
    authorize::Declined, client::Client, error::ErrorCode, pending::Asking,
    redirect_uri::ReturnPath,
};
use crate::http::{Frame, Page};

/// A request that this user cannot answer. Of a tenant that does not exist and one of others, it
/// tells nothing apart.
pub(super) struct NotAMember {
    pub(super) client: Client,
    pub(super) to: ReturnPath,
    pub(super) state: Option<String>,
}

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

impl NotAMember {
    pub(super) fn page(self, asking: &Asking<'_>, request_id: &str) -> Response {
        let Self { client, to, state } = self;
        let redirect_host = to.host();
        let declined = Declined {
            to,
            error: ErrorCode::InvalidTarget,
            description: "the user is not a member of any tenant that the resource names",
            state,
        };
        let page = NotAMemberPage {
            frame: asking.signed_in.frame.clone(),
            client_name: client.client_name,
            email: asking.signed_in.user.email.clone(),
            return_to: format!("/oauth/consent?request_id={request_id}"),
            redirect_host,
            refusal: declined.location(asking.server.public_url.as_str()),
        };
        (StatusCode::FORBIDDEN, Page(page)).into_response()
    }
}
