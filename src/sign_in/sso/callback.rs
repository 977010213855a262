//! `GET /sign-in/sso/callback/{slug}`: the browser is back from a tenant's provider.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::{
    Provider, SECRET_PLACE, Sso, admission,
    id_token::{self, Identity},
    refusal::{self, Refused},
    store,
    upstream::{self, Bindings},
};
use crate::{
    audit::{self, Event, Kind as Act},
    db::TenantScope,
    fault::Fault,
    http::{
        PageError,
        cookies::Cookie,
        extract::{Path, Query},
    },
    secret::{Kind, Plaintext, Secret},
    sign_in::{
        SignIn,
        pages::{Through, Visit, begin_session},
    },
    tenants::vault,
};

/// OpenID Connect Core §3.1.2.5 and §3.1.2.6, RFC 9207.
#[derive(Deserialize)]
pub(in crate::sign_in) struct Returned {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    iss: Option<String>,
}

const UNKNOWN: PageError = PageError::BadRequest(
    "This sign-in was not begun in this browser, has expired, or was used already. Begin again.",
);

/// Steps 3 to 6.
pub(in crate::sign_in) async fn callback(
    State(state): State<SignIn>,
    Path(slug): Path<String>,
    Query(returned): Query<Returned>,
    visit: Visit,
) -> Result<Response, PageError> {
    // What was begun is spent: a browser that gives up must not leave the rest half done.
    tokio::spawn(async move { come_back(&state, &slug, returned, &visit).await }).await?
}

async fn come_back(
    state: &SignIn,
    slug: &str,
    returned: Returned,
    visit: &Visit,
) -> Result<Response, PageError> {
    let sso = &state.sso;
    let is_https = sso.gate.public_url.is_https();
    let browser = Cookie::Sso.read(visit.headers(), is_https).ok_or(UNKNOWN)?;
    let named = returned.state.as_deref().unwrap_or_default();
    let named = Plaintext::presented(Kind::SsoState, named).ok_or(UNKNOWN)?;
    let mut tx = sso.gate.db.control().await?;
    let provider = store::find_enabled(&mut tx, slug).await?.ok_or(UNKNOWN)?;
    let names = (&named.hash(), &browser.hash());
    let spent = store::spend(&mut tx, &provider, names, sso.gate.clock.now()).await?;
    let return_to = spent.ok_or(UNKNOWN)?;
    // Spent, whatever follows.
    tx.commit().await?;
    let bindings = Bindings::of(&sso.derivation, &named, &browser);
    let outcome = match identify(sso, &provider, returned, &bindings).await? {
        Ok(identity) => enter(state, &provider, &identity, visit).await?,
        Err(refused) => Err(refused),
    };
    let gone = Cookie::Sso.clear(is_https);
    Ok(match outcome {
        Ok(session) => {
            let cookies = axum::response::AppendHeaders([
                (header::SET_COOKIE, gone),
                (header::SET_COOKIE, session),
            ]);
            (cookies, Redirect::to(&return_to)).into_response()
        }
        Err(refused) => {
            note(sso, &provider, refused, visit).await?;
            ([(header::SET_COOKIE, gone)], refusal::page(refused, &provider, &return_to))
                .into_response()
        }
    })
}

/// Step 4: who is it?
async fn identify(
    sso: &Sso,
    provider: &Provider,
    returned: Returned,
    bindings: &Bindings,
) -> Result<Result<Identity, Refused>, Fault> {
    // RFC 9207 §2.4.
    let is_theirs = match &returned.iss {
        Some(iss) => *iss == provider.issuer,
        None => !provider.sends_iss,
    };
    if !is_theirs {
        return Ok(Err(Refused::Mixed));
    }
    if let Some(error) = &returned.error {
        let denied = error == "access_denied";
        return Ok(Err(if denied { Refused::Denied } else { Refused::Failed }));
    }
    let Some(code) = returned.code.filter(|code| !code.is_empty()) else {
        return Ok(Err(Refused::Mixed));
    };
    let secret = open_secret(sso, provider).await?;
    let token = match upstream::exchange(sso, provider, (code, bindings), &secret).await? {
        Ok(token) => token,
        Err(refused) => return Ok(Err(refused)),
    };
    Ok(id_token::verify(sso, provider, token.expose(), &bindings.nonce).await)
}

async fn open_secret(sso: &Sso, provider: &Provider) -> Result<Secret, Fault> {
    #[expect(
        clippy::disallowed_methods,
        reason = "nobody acts in the tenant: the key to its own provider's secret is read, which \
                  the provider is shown"
    )]
    let scope = TenantScope::proven(provider.tenant);
    let mut tx = sso.gate.db.tenant(scope).await?;
    vault::open(&mut tx, &sso.master_key, (SECRET_PLACE, &provider.client_secret_sealed)).await
}

/// Steps 5 and 6: the member, and a session that opens this tenant alone.
async fn enter(
    state: &SignIn,
    provider: &Provider,
    identity: &Identity,
    visit: &Visit,
) -> Result<Result<axum::http::HeaderValue, Refused>, Fault> {
    let now = state.gate.clock.now();
    let mut tx = state.gate.db.control().await?;
    let user = match admission::admit(&mut tx, provider, identity, (&visit.origin, now)).await? {
        Ok(user) => user,
        Err(refused) => return Ok(Err(refused)),
    };
    let through = Through::Provider(provider.tenant);
    let Some(cookie) = begin_session(state, &mut tx, visit, (&user, through)).await? else {
        return Ok(Err(Refused::NotAMember));
    };
    tx.commit().await?;
    Ok(Ok(cookie))
}

/// For the tenant's admins, who alone can do something about it.
async fn note(
    sso: &Sso,
    provider: &Provider,
    refused: Refused,
    visit: &Visit,
) -> Result<(), Fault> {
    let mut tx = sso.gate.db.control().await?;
    let event = Event::new(Act::SignInFailed, sso.gate.clock.now())
        .tenant(provider.tenant)
        .from(&visit.origin)
        .with("reason", refused.reason());
    audit::store::append_control(&mut tx, &event).await?;
    tx.commit().await?;
    Ok(())
}
