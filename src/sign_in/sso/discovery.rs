//! Who a provider says that it is: OpenID Connect Discovery 1.0, read before anything is saved.

use reqwest::Url;
use serde::Deserialize;

use super::Sso;
use crate::{
    http::json,
    jose::{jwk_set::KeySet, jws::Algorithm},
};

/// The largest document that is read.
const MAX_BYTES: usize = 64 * 1024;
/// The longest address that is kept.
const LONGEST: usize = 512;

/// What is used of the document.
#[derive(Debug)]
pub(super) struct Discovered {
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    pub(super) jwks_uri: String,
    pub(super) secret_in_body: bool,
    pub(super) sends_iss: bool,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    response_types_supported: Option<Vec<String>>,
    code_challenge_methods_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    id_token_signing_alg_values_supported: Vec<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// Ask the provider at `issuer` who it is. A refusal is a sentence for the one who typed it.
pub(super) async fn discover(sso: &Sso, issuer: &str) -> Result<Discovered, &'static str> {
    let url = document_url(sso, issuer)?;
    let answer = sso
        .outbound
        .read_document(url, "application/json", MAX_BYTES)
        .await
        .map_err(|_| "Nothing that we may reach answers at this address.")?;
    let document: Document = (answer.status == 200)
        .then(|| json::parse(&answer.body).ok())
        .flatten()
        .and_then(|value| serde_json::from_value(value).ok())
        .ok_or("There is no OpenID provider at this address.")?;
    if document.issuer != issuer {
        let slash = document.issuer.trim_end_matches('/') == issuer.trim_end_matches('/');
        return Err(if slash {
            "The provider writes its issuer differently: mind the slash at the end."
        } else {
            "The provider at this address calls itself by another issuer. Copy it exactly."
        });
    }
    let discovered = weigh(document)?;
    for endpoint in
        [&discovered.authorization_endpoint, &discovered.token_endpoint, &discovered.jwks_uri]
    {
        let url = Url::parse(endpoint).ok().filter(|url| url.fragment().is_none());
        let fits = url.is_some_and(|url| sso.outbound.check(&url).is_ok());
        if !fits || endpoint.len() > LONGEST {
            return Err("The provider names an address that is not a public one with https.");
        }
    }
    read_keys(sso, &discovered.jwks_uri).await?;
    Ok(discovered)
}

fn document_url(sso: &Sso, issuer: &str) -> Result<Url, &'static str> {
    const FORM: &str = "An issuer looks like https://login.example.com, without ? and #.";
    let is_plain = issuer.len() <= 255
        && issuer.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\\".contains(&byte));
    let url = Url::parse(issuer).ok().filter(|_| is_plain).ok_or(FORM)?;
    sso.outbound.check(&url).map_err(|_| FORM)?;
    let document = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    Url::parse(&document).map_err(|_| FORM)
}

/// What it offers, if that will do.
fn weigh(document: Document) -> Result<Discovered, &'static str> {
    let has = |list: &Option<Vec<String>>, name: &str| {
        list.as_ref().map(|list| list.iter().any(|one| one == name))
    };
    if has(&document.response_types_supported, "code") == Some(false) {
        return Err("The provider does not support the authorization code flow.");
    }
    if has(&document.code_challenge_methods_supported, "S256") == Some(false) {
        return Err("The provider supports PKCE, but not with S256.");
    }
    let algorithms = &document.id_token_signing_alg_values_supported;
    if !algorithms.iter().any(|name| Algorithm::from_name(name).is_some()) {
        return Err("The provider signs ID tokens by none of RS256, PS256, ES256 and EdDSA.");
    }
    let methods = &document.token_endpoint_auth_methods_supported;
    let basic = has(methods, "client_secret_basic").unwrap_or(true);
    if !basic && has(methods, "client_secret_post") != Some(true) {
        return Err("The provider takes neither client_secret_basic nor client_secret_post.");
    }
    Ok(Discovered {
        authorization_endpoint: document.authorization_endpoint,
        token_endpoint: document.token_endpoint,
        jwks_uri: document.jwks_uri,
        secret_in_body: !basic,
        sends_iss: document.authorization_response_iss_parameter_supported,
    })
}

async fn read_keys(sso: &Sso, jwks_uri: &str) -> Result<(), &'static str> {
    const NONE: &str = "The provider’s keys cannot be read, or none is one that we can use.";
    let url = Url::parse(jwks_uri).map_err(|_| NONE)?;
    let accept = "application/jwk-set+json, application/json";
    let answer = sso.outbound.read_document(url, accept, MAX_BYTES).await.map_err(|_| NONE)?;
    let set = (answer.status == 200)
        .then(|| json::parse(&answer.body).ok())
        .flatten()
        .and_then(|value| KeySet::read(&value));
    set.map(drop).ok_or(NONE)
}
