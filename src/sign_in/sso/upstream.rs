//! The provider's two endpoints, called by `oauth2` over the guarded way out.

use std::time::Duration;

use axum::http;
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken,
    EndpointNotSet, EndpointSet, ExtraTokenFields, HttpRequest, HttpResponse, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, StandardRevocableToken,
    StandardTokenResponse, TokenUrl,
    basic::{
        BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
        BasicTokenType,
    },
};
use serde::{Deserialize, Serialize};

use super::{Provider, Sso, redirect_uri, refusal::Refused, stored_url};
use crate::{
    fault::Fault,
    outbound::{self, Outbound, Request},
    secret::{Plaintext, Secret, derive::DerivationKey},
};

/// For the exchange, from the look-up to the last byte.
const DEADLINE: Duration = Duration::from_secs(10);
/// The largest answer that is read.
const MAX_BYTES: usize = 64 * 1024;

/// What OpenID Connect adds to a token response.
#[derive(Debug, Deserialize, Serialize)]
struct IdTokenField {
    #[serde(skip_serializing)]
    id_token: Option<Secret>,
}

impl ExtraTokenFields for IdTokenField {}

type Upstream = Client<
    BasicErrorResponse,
    StandardTokenResponse<IdTokenField, BasicTokenType>,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// What follows from one sign-in's `state` and the cookie of the browser that began it: known to
/// nobody else, and stored nowhere.
pub(super) struct Bindings {
    pub(super) nonce: String,
    verifier: String,
}

impl Bindings {
    pub(super) fn of(key: &DerivationKey, state: &Plaintext, browser: &Plaintext) -> Self {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let derive = |purpose: &str| {
            let input = format!("{purpose} {} {}", state.expose(), browser.expose());
            URL_SAFE_NO_PAD.encode(key.derive(input.as_bytes()))
        };
        Self { nonce: derive("nonce"), verifier: derive("verifier") }
    }
}

fn client(sso: &Sso, provider: &Provider) -> Result<Upstream, Fault> {
    let redirect = redirect_uri(&sso.gate.public_url, &provider.slug);
    let auth_type =
        if provider.secret_in_body { AuthType::RequestBody } else { AuthType::BasicAuth };
    let client = Client::new(ClientId::new(provider.client_id.clone()))
        .set_auth_uri(AuthUrl::from_url(stored_url(&provider.authorization_endpoint)?))
        .set_token_uri(TokenUrl::from_url(stored_url(&provider.token_endpoint)?))
        .set_redirect_uri(RedirectUrl::new(redirect).map_err(Fault::from)?)
        .set_auth_type(auth_type);
    Ok(client)
}

/// Where the browser goes: OpenID Connect Core §3.1.2.1, RFC 7636 §4.3.
pub(super) fn authorization_url(
    sso: &Sso,
    provider: &Provider,
    (state, bindings): (&Plaintext, &Bindings),
) -> Result<String, Fault> {
    #[expect(clippy::disallowed_methods, reason = "the verifier is ours: 43 characters")]
    let challenge = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(
        bindings.verifier.clone(),
    ));
    let (url, _) = client(sso, provider)?
        .authorize_url(|| CsrfToken::new(state.expose().to_owned()))
        .add_scopes(["openid", "email"].map(|name| Scope::new(name.to_owned())))
        .add_extra_param("nonce", bindings.nonce.clone())
        .set_pkce_challenge(challenge)
        .url();
    Ok(url.into())
}

/// The ID token for a code: OpenID Connect Core §3.1.3.
pub(super) async fn exchange(
    sso: &Sso,
    provider: &Provider,
    (code, bindings): (String, &Bindings),
    client_secret: &Secret,
) -> Result<Result<Secret, Refused>, Fault> {
    let client = client(sso, provider)?
        .set_client_secret(ClientSecret::new(client_secret.expose().to_owned()));
    let outbound = sso.outbound.clone();
    let send = move |request: HttpRequest| call(outbound.clone(), request);
    let answer = client
        .exchange_code(AuthorizationCode::new(code))
        .set_pkce_verifier(PkceCodeVerifier::new(bindings.verifier.clone()))
        .request_async(&send)
        .await;
    Ok(match answer {
        Ok(tokens) => tokens.extra_fields().id_token.clone().ok_or(Refused::NoIdToken),
        // What the provider says is not repeated: it may hold anything.
        Err(RequestTokenError::Request(_)) => Err(Refused::Unreachable),
        Err(RequestTokenError::ServerResponse(_)) => Err(Refused::Exchange),
        Err(RequestTokenError::Parse(..) | RequestTokenError::Other(_)) => Err(Refused::NoIdToken),
    })
}

async fn call(outbound: Outbound, request: HttpRequest) -> Result<HttpResponse, outbound::Error> {
    let (parts, body) = request.into_parts();
    let mut headers = parts.headers;
    if let Some(value) = headers.get_mut(http::header::AUTHORIZATION) {
        value.set_sensitive(true);
    }
    let url = stored_url(&parts.uri.to_string()).map_err(|_| outbound::Error::BadUrl)?;
    let request = Request {
        method: parts.method,
        url,
        headers,
        body: Some(body),
        deadline: DEADLINE,
        max_bytes: MAX_BYTES,
    };
    let answer = outbound.send(request).await?;
    let mut response = HttpResponse::new(answer.body);
    *response.status_mut() =
        http::StatusCode::from_u16(answer.status).map_err(|_| outbound::Error::Broken)?;
    *response.headers_mut() = answer.headers;
    Ok(response)
}
