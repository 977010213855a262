//! `GET /oauth/authorize`: OAuth 2.1 §4.1.1, RFC 7636, RFC 8707, RFC 9207.
//!
//! Until the client and its redirect URI are known to belong together, what is wrong is told on a
//! page. After that it is told to the client, by redirect. A request that holds is stored; the
//! browser goes on with nothing but its name.

use axum::{
    Extension,
    extract::State,
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use time::Duration;

use super::{
    Server, client::Client, error::ErrorCode, parameters::Parameters, pkce::CodeChallenge,
    redirect_uri::ReturnPath, resource::Resource, scope::Scope, store_clients, store_requests,
    store_requests::AuthorizationRequest,
};
use crate::{
    http::{PageError, csrf::Bound},
    secret::{Kind, Plaintext},
};

/// How long a request waits for sign-in and consent.
const WAITS: Duration = Duration::hours(1);
/// The longest `state` that we carry.
const LONGEST_STATE: usize = 4096;

/// A refusal that the client hears of: OAuth 2.1 §4.1.2.1.
pub(super) struct Declined {
    pub(super) to: ReturnPath,
    pub(super) error: ErrorCode,
    pub(super) description: &'static str,
    pub(super) state: Option<String>,
}

impl Declined {
    pub(super) fn answer(&self, issuer: &str) -> Response {
        self.to.answer(&self.parameters(issuer))
    }

    /// The same as a link, for where the browser may not be sent by itself.
    pub(super) fn location(&self, issuer: &str) -> String {
        self.to.location(&self.parameters(issuer))
    }

    fn parameters<'a>(&'a self, issuer: &'a str) -> Vec<(&'static str, &'a str)> {
        let mut parameters =
            vec![("error", self.error.as_str()), ("error_description", self.description)];
        parameters.extend(self.state.as_deref().map(|state| ("state", state)));
        // RFC 9207 §2: in errors too.
        parameters.push(("iss", issuer));
        parameters
    }
}

/// Steps 3 and 4: check the request, store it, and go on to sign-in and consent.
pub(super) async fn authorize(
    State(server): State<Server>,
    Extension(bound): Extension<Bound>,
    uri: Uri,
) -> Result<Response, PageError> {
    let parameters = Parameters::parse(uri.query().unwrap_or_default().as_bytes());
    let mut tx = server.db.control().await?;
    let client = find_client(&mut tx, &parameters).await?;
    if let Err(unwelcome) = server.policy.check(&client) {
        return Err(PageError::BadRequest(unwelcome.sentence()));
    }
    let to = return_path(&client, &parameters)?;
    let request = match check(&server, &client, &to, &parameters) {
        Ok(request) => request,
        Err((error, description)) => {
            let state = parameters.find("state").filter(|state| state.len() <= LONGEST_STATE);
            let state = state.map(str::to_owned);
            let declined = Declined { to, error, description, state };
            return Ok(declined.answer(server.public_url.as_str()));
        }
    };
    let secret = Plaintext::generate(Kind::AuthorizationRequest);
    let now = server.clock.now();
    let life = (now, now + WAITS);
    store_requests::create(&mut tx, &secret.hash(), &bound.browser, &request, life).await?;
    tx.commit().await?;
    // Consent sends the browser to sign in first, where that is needed.
    let location = format!("/oauth/consent?request_id={}", secret.expose());
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response())
}

async fn find_client(
    tx: &mut crate::db::ControlTx,
    parameters: &Parameters,
) -> Result<Client, PageError> {
    let unknown = PageError::BadRequest(
        "The app that sent you here is not registered. Remove the connection in the app and add it again.",
    );
    let Some(client_id) = parameters.find("client_id") else { return Err(unknown) };
    store_clients::find(tx, client_id).await?.ok_or(unknown)
}

fn return_path(client: &Client, parameters: &Parameters) -> Result<ReturnPath, PageError> {
    let unknown = PageError::BadRequest(
        "The app that sent you here wants the answer at an address that it has not registered. \
         Nothing was sent there.",
    );
    if parameters.is_repeated("redirect_uri") {
        return Err(unknown);
    }
    ReturnPath::matching(&client.redirect_uris, parameters.find("redirect_uri")).ok_or(unknown)
}

/// What is wrong, for the client's developer.
type Wrong = (ErrorCode, &'static str);

fn check(
    server: &Server,
    client: &Client,
    to: &ReturnPath,
    parameters: &Parameters,
) -> Result<AuthorizationRequest, Wrong> {
    if parameters.any_repeated() {
        return Err((ErrorCode::InvalidRequest, "a parameter was sent twice"));
    }
    if parameters.find("request").is_some() {
        return Err((ErrorCode::RequestNotSupported, "request objects are not supported"));
    }
    if parameters.find("request_uri").is_some() {
        return Err((ErrorCode::RequestUriNotSupported, "request_uri is not supported"));
    }
    match parameters.find("response_type") {
        Some("code") => {}
        None => return Err((ErrorCode::InvalidRequest, "response_type is missing")),
        Some(_) => {
            return Err((ErrorCode::UnsupportedResponseType, "response_type must be code"));
        }
    }
    if parameters.find("response_mode").is_some_and(|mode| mode != "query") {
        return Err((ErrorCode::InvalidRequest, "response_mode must be query"));
    }
    let state = parameters.find("state");
    if state.is_some_and(|state| state.len() > LONGEST_STATE || state.contains('\0')) {
        return Err((ErrorCode::InvalidRequest, "state is too long or holds a zero byte"));
    }
    let code_challenge = code_challenge(parameters)?;
    let scope = scope(client, parameters)?;
    let resource = match parameters.find("resource") {
        // RFC 8707 §2: up to us; the clients of 2025-03-26 do not send it.
        None => Resource::Mcp,
        Some(text) => server
            .resources
            .parse(text)
            .ok_or((ErrorCode::InvalidTarget, "resource is not one of this server's"))?,
    };
    Ok(AuthorizationRequest {
        client_id: client.client_id.clone(),
        client_version: client.version,
        redirect_uri: to.as_str().to_owned(),
        redirect_uri_was_sent: parameters.find("redirect_uri").is_some(),
        state: state.map(str::to_owned),
        code_challenge: code_challenge.as_str().to_owned(),
        scope: scope.names().into_iter().map(str::to_owned).collect(),
        resource: server.resources.audience(&resource),
        resource_was_sent: parameters.find("resource").is_some(),
        dpop_jkt: None,
    })
}

/// OAuth 2.1 §4.1.1: PKCE for every client, S256 and nothing less.
fn code_challenge(parameters: &Parameters) -> Result<CodeChallenge, Wrong> {
    let challenge = parameters
        .find("code_challenge")
        .ok_or((ErrorCode::InvalidRequest, "code_challenge is missing"))?;
    if parameters.find("code_challenge_method") != Some("S256") {
        return Err((ErrorCode::InvalidRequest, "code_challenge_method must be S256"));
    }
    CodeChallenge::parse(challenge)
        .ok_or((ErrorCode::InvalidRequest, "code_challenge must be the base64url of a SHA-256"))
}

/// What was asked for, or enough for both tools. Where the client registered a scope, no more
/// than that.
fn scope(client: &Client, parameters: &Parameters) -> Result<Scope, Wrong> {
    let asked = match parameters.find("scope") {
        None => Scope::SEARCH_READ,
        Some(text) => {
            Scope::parse(text).ok_or((ErrorCode::InvalidScope, "an unknown scope was asked for"))?
        }
    };
    let registered = client.metadata.get("scope").and_then(serde_json::Value::as_str);
    let allowed = registered.and_then(Scope::parse).unwrap_or_else(Scope::all);
    asked.within(allowed).ok_or((
        ErrorCode::InvalidScope,
        "the client has not registered any of the scopes that it asks for",
    ))
}
