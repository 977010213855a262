//! ID tokens: OpenID Connect Core §2 and §3.1.3.7, each rule in its place.

use serde::Deserialize;
use serde_json::Value;
use subtle::ConstantTimeEq;
use time::OffsetDateTime;

use super::{Provider, Sso, refusal::Refused};
use crate::{
    clock::LEEWAY,
    jose::{
        jws::{self, Algorithm},
        published::{Found, Place},
    },
    users::Email,
};

/// Who the provider says that somebody is.
#[derive(Debug)]
pub(super) struct Identity {
    /// `sub`: with the issuer, all that names them.
    pub(super) subject: String,
    /// Where the provider says that it has verified it.
    pub(super) email: Option<Email>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: i64,
    iat: i64,
    nbf: Option<i64>,
    nonce: Option<String>,
    email: Option<String>,
    email_verified: Option<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// Believe an ID token of this provider's for this very sign-in, or not.
pub(super) async fn verify(
    sso: &Sso,
    provider: &Provider,
    token: &str,
    nonce: &str,
) -> Result<Identity, Refused> {
    let parts = jws::read::<Header, Claims>(token).ok_or(Refused::NoIdToken)?;
    let algorithm = Algorithm::from_name(&parts.header.alg).ok_or(Refused::Signature)?;
    // RFC 8725 §3.11: an access token of the provider's is signed by the same keys.
    if parts.header.typ.as_deref().is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
        return Err(Refused::Signature);
    }
    // Rule 2: before its keys are asked for.
    if parts.claims.iss != provider.issuer {
        return Err(Refused::Issuer);
    }
    let party = provider.tenant.to_string();
    let place = Place { uri: &provider.jwks_uri, party: &party, is_strangers: false };
    // Rules 6 to 8.
    match sso.keys.find(place, parts.header.kid.as_deref(), algorithm).await {
        Found::Key(key) if parts.is_signed_by(&key, algorithm) => {}
        Found::Key(_) | Found::Nothing => return Err(Refused::Signature),
        Found::Unreachable => return Err(Refused::NoKeys),
    }
    check(&parts.claims, (&provider.client_id, nonce), sso.gate.clock.now())?;
    let Claims { sub, email, email_verified, .. } = parts.claims;
    let is_verified = match email_verified {
        Some(Value::Bool(verified)) => verified,
        // Some providers write it so.
        Some(Value::String(text)) => text == "true",
        _ => false,
    };
    let email = email.filter(|_| is_verified).and_then(|email| email.parse().ok());
    Ok(Identity { subject: sub, email })
}

fn check(
    claims: &Claims,
    (client_id, nonce): (&str, &str),
    now: OffsetDateTime,
) -> Result<(), Refused> {
    // Rules 3 to 5.
    let (is_ours, is_sole) = match &claims.aud {
        Audience::One(one) => (one == client_id, true),
        Audience::Many(all) => (all.iter().any(|one| one == client_id), all.len() == 1),
    };
    let is_authorized = match &claims.azp {
        Some(azp) => azp == client_id,
        None => is_sole,
    };
    if !is_ours || !is_authorized {
        return Err(Refused::Audience);
    }
    // Rules 9 and 10.
    let (now, leeway) = (now.unix_timestamp(), LEEWAY.whole_seconds());
    let begins = claims.nbf.map_or(claims.iat, |nbf| nbf.max(claims.iat));
    if claims.exp.saturating_add(leeway) <= now || begins.saturating_sub(leeway) > now {
        return Err(Refused::Expired);
    }
    // Rule 11.
    let said = claims.nonce.as_deref().unwrap_or_default();
    if !bool::from(said.as_bytes().ct_eq(nonce.as_bytes())) {
        return Err(Refused::Nonce);
    }
    let is_name = (1..=255).contains(&claims.sub.len()) && !claims.sub.contains('\0');
    if is_name { Ok(()) } else { Err(Refused::Subject) }
}
