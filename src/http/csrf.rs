//! Requests that a foreign page made the browser send are refused, twice over.
//!
//! [`guard`] wraps every page route: a request that changes something must come from our own
//! origin by fetch metadata, or by `Origin` where the browser sends none (spec row W-05). Then
//! [`CsrfForm`], the only form type of the pages, demands a token that is bound to the session.

use axum::{
    extract::{FromRef, FromRequest, Request, State},
    http::{HeaderMap, Method, header},
    middleware::Next,
    response::Response,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{PageError, cookies::Cookie, extract};
use crate::{
    config::PublicUrl,
    secret::{Kind, Plaintext},
};

/// The name of the hidden field.
pub const FIELD: &str = "csrf_token";

/// Lives a day: long enough for a forgotten consent page.
const BROWSER_COOKIE_SECONDS: i64 = 24 * 3600;

/// The secret that this request's forms and authorization requests are bound to: the session's,
/// or the browser's before sign-in. In the request's extensions on every page route.
#[derive(Clone, Debug)]
pub struct Bound {
    /// The browser's own secret, whoever is signed in.
    pub browser: Plaintext,
    /// The session's secret, where a well-formed one was sent. Proves nothing by itself.
    pub session: Option<Plaintext>,
}

impl Bound {
    /// What a form must carry.
    #[must_use]
    pub fn csrf_token(&self) -> String {
        let secret = self.session.as_ref().unwrap_or(&self.browser);
        let mut digest = Sha256::new();
        digest.update("callslip csrf\0");
        digest.update(secret.expose());
        URL_SAFE_NO_PAD.encode(digest.finalize())
    }
}

/// In a response's extensions: the browser's secret shall live a day from now, because something
/// begins that is bound to it.
#[derive(Clone, Copy, Debug)]
pub struct Renew;

/// Middleware for page routes: see the module.
pub async fn guard(
    State(public_url): State<PublicUrl>,
    mut request: Request,
    next: Next,
) -> Result<Response, PageError> {
    if !is_safe(request.method()) && !is_same_origin(request.headers(), &public_url) {
        return Err(PageError::Forbidden("this request came from another site"));
    }
    let https = public_url.is_https();
    let known = Cookie::Browser.read(request.headers(), https);
    let session = Cookie::Session.read(request.headers(), https);
    let browser = known.clone().unwrap_or_else(|| Plaintext::generate(Kind::Browser));
    request.extensions_mut().insert(Bound { browser: browser.clone(), session });
    let mut response = next.run(request).await;
    if known.is_none() || response.extensions().get::<Renew>().is_some() {
        let cookie = Cookie::Browser.set(&browser, https, BROWSER_COOKIE_SECONDS);
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// By `Sec-Fetch-Site`, which a page cannot forge; else by `Origin`; neither: refused.
fn is_same_origin(headers: &HeaderMap, public_url: &PublicUrl) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => origin == public_url.as_str(),
        (None, None) => false,
    }
}

/// A form of ours: `application/x-www-form-urlencoded`, with the token of this very session.
#[derive(Debug)]
pub struct CsrfForm<T>(pub T);

impl<T, S> FromRequest<S> for CsrfForm<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
    PublicUrl: FromRef<S>,
{
    type Rejection = PageError;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let bound = request.extensions().get::<Bound>().cloned();
        let fields = extract::form_fields(request, state).await?;
        let sent = fields.iter().find(|(name, _)| name == FIELD).map(|(_, value)| value.as_str());
        require_token(bound.as_ref(), sent)?;
        extract::from_fields(&fields).map(Self)
    }
}

/// Compare a form's token with the session's: for bodies that are not url-encoded.
///
/// # Errors
/// `Forbidden` unless they are equal.
pub fn require_token(bound: Option<&Bound>, sent: Option<&str>) -> Result<(), PageError> {
    let (Some(bound), Some(sent)) = (bound, sent) else { return Err(STALE) };
    if bool::from(bound.csrf_token().as_bytes().ct_eq(sent.as_bytes())) {
        Ok(())
    } else {
        Err(STALE)
    }
}

const STALE: PageError =
    PageError::Forbidden("this form is out of date: go back, reload the page and try again");
