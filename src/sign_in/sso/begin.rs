//! `POST /sign-in/sso`: the user's own act on our page, which names where they go (spec row C-10).

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use time::Duration;

use super::{
    Sso, store,
    upstream::{self, Bindings},
};
use crate::{
    http::{PageError, cookies::Cookie, csrf::CsrfForm},
    secret::{Kind, Plaintext},
    sign_in::LocalPath,
};

/// How long one may take at the provider.
const LIVES: Duration = Duration::minutes(10);

#[derive(Deserialize)]
pub(in crate::sign_in) struct BeginForm {
    tenant: String,
    #[serde(default)]
    return_to: String,
}

/// Step 2: store what begins, then set the cookie and send the browser to the provider.
pub(in crate::sign_in) async fn begin(
    State(sso): State<Sso>,
    CsrfForm(form): CsrfForm<BeginForm>,
) -> Result<Response, PageError> {
    let mut tx = sso.gate.db.control().await?;
    let Some(provider) = store::find_enabled(&mut tx, &form.tenant).await? else {
        return Err(PageError::BadRequest(
            "That organisation has no sign-in of its own here. Sign in with your password.",
        ));
    };
    let state = Plaintext::generate(Kind::SsoState);
    let browser = Plaintext::generate(Kind::SsoBrowser);
    let now = sso.gate.clock.now();
    let return_to = LocalPath::parse(&form.return_to);
    let names = (&state.hash(), &browser.hash());
    store::begin(&mut tx, &provider, names, return_to.as_str(), (now, now + LIVES)).await?;
    tx.commit().await?;
    let bindings = Bindings::of(&sso.derivation, &state, &browser);
    let onward = upstream::authorization_url(&sso, &provider, (&state, &bindings))?;
    let is_https = sso.gate.public_url.is_https();
    let cookie = Cookie::Sso.set(&browser, is_https, LIVES.whole_seconds());
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&onward)).into_response())
}
