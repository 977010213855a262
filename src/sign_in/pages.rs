//! `/sign-in` and `/sign-out`.

use askama::Template;
use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::{LocalPath, SignIn, SignedIn, session::Lifetime, sso, store};
use crate::{
    audit::{self, Event, Kind, Origin},
    config::PublicUrl,
    db::ControlTx,
    fault::Fault,
    http::{
        Frame, Page, PageError,
        client_ip::ClientIp,
        cookies::Cookie,
        csrf::{Bound, CsrfForm},
        extract::Query,
        headers,
    },
    ids::{TenantId, UserId},
    secret::{self, Plaintext},
    users::{
        self, Email, User,
        password::{Busy, Password, TooLong, Verdict},
        store::Credentials,
    },
};

#[derive(Template)]
#[template(path = "sign_in/sign_in.html")]
struct SignInPage {
    frame: Frame,
    return_to: String,
    email: String,
    error: Option<&'static str>,
    purpose: Option<&'static str>,
    /// What was typed into the form for organisations.
    organisation: String,
    organisation_error: Option<&'static str>,
    provider: Option<sso::Choice>,
}

impl SignInPage {
    fn new(bound: &Bound, return_to: &LocalPath) -> Self {
        let connects = return_to.as_str().starts_with("/oauth/");
        Self {
            frame: Frame { csrf_token: bound.csrf_token(), ..Frame::default() },
            return_to: return_to.to_string(),
            email: String::new(),
            error: None,
            purpose: connects.then_some("An assistant asks to read documents on your behalf."),
            organisation: String::new(),
            organisation_error: None,
            provider: None,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct ShowQuery {
    #[serde(default)]
    return_to: String,
    /// Whose own sign-in is wanted.
    #[serde(default)]
    tenant: String,
}

/// `GET /sign-in`
pub(super) async fn show(
    State(state): State<SignIn>,
    signed_in: Option<SignedIn>,
    Extension(bound): Extension<Bound>,
    Query(query): Query<ShowQuery>,
) -> Result<Response, PageError> {
    let return_to = LocalPath::parse(&query.return_to);
    if signed_in.is_some() {
        return Ok(Redirect::to(return_to.as_str()).into_response());
    }
    let organisation = query.tenant.trim().to_lowercase();
    let slug = match organisation.as_str() {
        "" => tenant_of(&return_to),
        named => named,
    };
    let mut tx = state.gate.db.control().await?;
    let provider = sso::choice(&mut tx, slug).await?;
    let missing = !organisation.is_empty() && provider.is_none();
    let onward = provider.as_ref().map(|provider| provider.endpoint.clone());
    let page = SignInPage {
        organisation_error: missing.then_some(
            "That organisation has no sign-in of its own here. Ask its admin for its name.",
        ),
        organisation,
        provider,
        ..SignInPage::new(&bound, &return_to)
    };
    let mut response = Page(page).into_response();
    if let Some(endpoint) = onward {
        allow_onward(&mut response, &endpoint);
    }
    Ok(response)
}

/// The tenant whose page is returned to.
fn tenant_of(return_to: &LocalPath) -> &str {
    let path = return_to.as_str().split(['?', '#']).next().unwrap_or_default();
    path.strip_prefix("/t/").and_then(|rest| rest.split('/').next()).unwrap_or_default()
}

/// Chromium applies `form-action` to every redirect that follows a form: to the provider, from there
/// to wherever it sends its people, and back.
fn allow_onward(response: &mut Response, endpoint: &str) {
    let origin = url::Url::parse(endpoint).map(|url| url.origin().ascii_serialization());
    // A host that the operator allows may speak plain http.
    let plain = origin.ok().filter(|origin| origin.starts_with("http://")).unwrap_or_default();
    let policy = headers::CSP
        .replace("form-action 'self'", format!("form-action 'self' https: {plain}").trim_end());
    let value = HeaderValue::from_str(&policy).expect("ASCII");
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, value);
}

#[derive(Deserialize)]
pub(super) struct SignInForm {
    email: String,
    password: secret::Secret,
    #[serde(default)]
    return_to: String,
}

/// What the request says besides its form.
#[derive(axum::extract::FromRequestParts)]
pub(super) struct Visit {
    #[from_request(via(Extension))]
    pub(super) bound: Bound,
    #[from_request(via(Extension))]
    address: ClientIp,
    pub(super) origin: Origin,
    headers: HeaderMap,
}

impl Visit {
    pub(super) const fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

/// `POST /sign-in`
pub(super) async fn sign_in(
    State(state): State<SignIn>,
    visit: Visit,
    CsrfForm(form): CsrfForm<SignInForm>,
) -> Result<Response, PageError> {
    // What is no address belongs to nobody, and counts and costs the same.
    let email = form.email.parse::<Email>().ok();
    let account = email.as_ref().map_or(form.email.as_str(), Email::as_str);
    let tried = state
        .throttle
        .admit(account, visit.address.network())
        .await
        .map_err(|refused| PageError::TooMany { retry_after: refused.retry_after })?;
    let password = Password::presented(form.password.expose())
        .map_err(|TooLong| PageError::BadRequest("a password has at most 1,024 bytes"))?;
    // Before the database is asked: a flood is turned away without costing anybody else.
    let place = state.hashing.queue_up().map_err(|Busy| PageError::Busy)?;
    let known = find_credentials(&state, email.as_ref()).await?;
    let stored = known.as_ref().and_then(|known| known.password.clone());
    let verdict = place.verify(password, stored).await.map_err(|Busy| PageError::Busy)?;
    let return_to = LocalPath::parse(&form.return_to);
    let Some(known) = known.filter(|_| verdict != Verdict::Wrong) else {
        note_failure(&state, &visit.origin).await?;
        return Ok(refuse(&visit, &return_to, form.email));
    };
    let mut tx = state.gate.db.control().await?;
    if let (Some(old), Verdict::Outdated(new)) = (&known.password, &verdict) {
        users::store::rehash_password(&mut tx, known.user.id, old, new).await?;
    }
    let who = (&known.user, Through::Password);
    let Some(cookie) = begin_session(&state, &mut tx, &visit, who).await? else {
        return Ok(refuse(&visit, &return_to, form.email));
    };
    tx.commit().await?;
    state.throttle.forgive(tried);
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(return_to.as_str())).into_response())
}

async fn find_credentials(
    state: &SignIn,
    email: Option<&Email>,
) -> Result<Option<Credentials>, Fault> {
    let Some(email) = email else { return Ok(None) };
    let mut tx = state.gate.db.control().await?;
    Ok(users::store::find_credentials(&mut tx, email).await?)
}

/// The event says neither which account nor whether there is one: a log of mistyped addresses
/// holds passwords sooner or later.
async fn note_failure(state: &SignIn, origin: &Origin) -> Result<(), Fault> {
    let mut tx = state.gate.db.control().await?;
    let event = Event::new(Kind::SignInFailed, state.gate.clock.now()).from(origin);
    audit::store::append_control(&mut tx, &event).await?;
    tx.commit().await?;
    Ok(())
}

/// The same answer whether there is such a user or not (spec row W-25).
fn refuse(visit: &Visit, return_to: &LocalPath, email: String) -> Response {
    let page = SignInPage {
        email,
        error: Some("That address and password do not belong together."),
        ..SignInPage::new(&visit.bound, return_to)
    };
    (StatusCode::FORBIDDEN, Page(page)).into_response()
}

/// On what a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Through {
    /// It is for all that the user may do.
    Password,
    /// The word of this tenant's provider: it is for this tenant.
    Provider(TenantId),
}

/// Begin a session in place of the one that the browser carried; the cookie to set. `None` when
/// the user was disabled meanwhile.
pub(super) async fn begin_session(
    state: &SignIn,
    tx: &mut ControlTx,
    visit: &Visit,
    (user, through): (&User, Through),
) -> Result<Option<HeaderValue>, Fault> {
    let only_in = match through {
        Through::Password => None,
        Through::Provider(tenant) => Some(tenant),
    };
    let now = state.gate.clock.now();
    if let Some(old) = &visit.bound.session {
        store::delete(tx, &old.hash()).await?;
    }
    let secret = Plaintext::generate(secret::Kind::Session);
    let agent = visit.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    let created =
        store::create(tx, &secret.hash(), (user.id, only_in), agent.unwrap_or_default(), now)
            .await?;
    let Some(is_privileged) = created else { return Ok(None) };
    let mut event = Event::new(Kind::SignIn, now).user(user.id).from(&visit.origin);
    if let Some(tenant) = only_in {
        event = event.tenant(tenant).with("through", "provider");
    }
    audit::store::append_control(tx, &event).await?;
    let seconds = Lifetime::of(is_privileged).cookie_seconds();
    Ok(Some(Cookie::Session.set(&secret, state.gate.public_url.is_https(), seconds)))
}

#[derive(Deserialize)]
pub(super) struct SignOutForm {
    /// For whoever goes on with another account.
    #[serde(default)]
    return_to: String,
}

/// `POST /sign-out`
pub(super) async fn sign_out(
    State(state): State<SignIn>,
    signed_in: SignedIn,
    origin: Origin,
    CsrfForm(form): CsrfForm<SignOutForm>,
) -> Result<Response, PageError> {
    let mut tx = state.gate.db.control().await?;
    let user: Option<UserId> = store::delete(&mut tx, &signed_in.session.hash).await?;
    if let Some(user) = user {
        let event = Event::new(Kind::SignOut, state.gate.clock.now()).user(user).from(&origin);
        audit::store::append_control(&mut tx, &event).await?;
    }
    tx.commit().await?;
    Ok(signed_out(&state.gate.public_url, &LocalPath::parse(&form.return_to)))
}

fn signed_out(public_url: &PublicUrl, return_to: &LocalPath) -> Response {
    let cookie = Cookie::Session.clear(public_url.is_https());
    let onward = if *return_to == LocalPath::home() {
        Redirect::to("/sign-in").into_response()
    } else {
        PageError::SignIn { return_to: return_to.to_string() }.into_response()
    };
    ([(header::SET_COOKIE, cookie)], onward).into_response()
}
