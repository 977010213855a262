//! `GET /`: what this is, or straight to work for whoever is signed in.

use askama::Template;
use axum::response::{IntoResponse, Redirect, Response};

use crate::{
    http::{Frame, Page, PageError},
    sign_in::SignedIn,
};

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    frame: Frame,
}

/// `GET /`
pub(super) async fn index(user: Option<SignedIn>) -> Result<Response, PageError> {
    let Some(user) = user else {
        return Ok(Page(Home { frame: Frame::default() }).into_response());
    };
    // One tenant: its page. None or several: the page that lists them.
    let to = match user.memberships.as_slice() {
        [(tenant, _)] => format!("/t/{}", tenant.slug),
        _ => "/account".to_owned(),
    };
    Ok(Redirect::to(&to).into_response())
}
