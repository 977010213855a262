//! What somebody sees whose app asked for what cannot be granted (spec row A-12).
//!
//! The app hears of it by a link that the user follows, after signing in. A redirect by itself
//! would send anybody who follows a link to us on to an address that a stranger registered.

use askama::Template;
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::{
    asker::Asker, client::Client, declined::Declined, pending::Asking, redirect_uri::ReturnPath,
    store_requests::Refused,
};
use crate::http::{Frame, Page};

#[derive(Template)]
#[template(path = "oauth/refused.html")]
struct RefusedPage {
    frame: Frame,
    asker: Asker,
    redirect_host: String,
    redirect_on_device: bool,
    error: String,
    description: String,
    refusal: String,
}

/// The page, with the way back.
pub(super) fn page(
    asking: &Asking<'_>,
    client: &Client,
    to: ReturnPath,
    refused: Refused,
) -> Response {
    let Refused { state, error, description, .. } = refused;
    let asker = Asker::of(client, &to);
    let (redirect_host, redirect_on_device) = (to.host(), to.is_on_device());
    let declined = Declined::kept(to, (error.clone(), description.clone()), state);
    let page = RefusedPage {
        frame: asking.signed_in.frame.clone(),
        asker,
        redirect_host,
        redirect_on_device,
        error: error.into_owned(),
        description: description.into_owned(),
        refusal: declined.location(asking.server.public_url.as_str()),
    };
    (StatusCode::BAD_REQUEST, Page(page)).into_response()
}
