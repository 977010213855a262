//! What an authorization request must be: OAuth 2.1 §4.1.1, RFC 7636, RFC 8707, RFC 9449 §10.
//!
//! One set of rules for every way in: the browser's query, what was pushed (RFC 9126), and what
//! waited until its client was known.

use super::{
    Server,
    client::{Client, GrantType},
    error::ErrorCode,
    parameters::Parameters,
    pkce::CodeChallenge,
    redirect_uri::ReturnPath,
    resource::Resource,
    scope::Scope,
    store_requests::{AuthorizationRequest, Refused, Waiting},
};

/// The longest request, as a query.
pub(super) const LONGEST: usize = 8 * 1024;
/// The longest `state` that we carry.
const LONGEST_STATE: usize = 4096;

/// The parameters that make a request. Everything else is ignored, and not kept.
pub(super) const PARAMETERS: &[&str] = &[
    "client_id",
    "redirect_uri",
    "response_type",
    "response_mode",
    "state",
    "code_challenge",
    "code_challenge_method",
    "scope",
    "resource",
    "prompt",
    "dpop_jkt",
];

/// What is wrong, for the client's developer.
pub(super) type Wrong = (ErrorCode, &'static str);

/// What the server keeps of a request from a known client, with the answer going to a known place:
/// the request, or why it cannot be granted.
pub(super) fn examine(
    server: &Server,
    client: &Client,
    to: &ReturnPath,
    parameters: &Parameters,
) -> Waiting {
    match check(server, client, to, parameters) {
        Ok(request) => Waiting::Asked(request),
        Err((error, description)) => Waiting::Refused(Refused {
            client_id: client.client_id.clone(),
            redirect_uri: to.as_str().to_owned(),
            state: state(parameters).ok().flatten().map(str::to_owned),
            error: error.as_str().into(),
            description: description.into(),
        }),
    }
}

/// Where the answer may go: one of the client's redirect URIs (§4.1.1).
pub(super) fn return_path(client: &Client, parameters: &Parameters) -> Option<ReturnPath> {
    if parameters.is_repeated("redirect_uri") {
        return None;
    }
    ReturnPath::matching(&client.redirect_uris, parameters.find("redirect_uri"))
}

/// Check everything else.
pub(super) fn check(
    server: &Server,
    client: &Client,
    to: &ReturnPath,
    parameters: &Parameters,
) -> Result<AuthorizationRequest, Wrong> {
    if parameters.any_repeated() {
        return Err((ErrorCode::InvalidRequest, "a parameter was sent twice"));
    }
    require_plain(parameters)?;
    if !client.may_use(GrantType::AuthorizationCode) {
        return Err((
            ErrorCode::UnauthorizedClient,
            "the client has not registered the grant type authorization_code",
        ));
    }
    let state = state(parameters)?;
    let code_challenge = code_challenge(parameters)?;
    let scope = scope(client, parameters)?;
    let resource = match parameters.find("resource") {
        // RFC 8707 §2: up to us; the clients of 2025-03-26 do not send it.
        None => Resource::Mcp,
        Some(text) => server
            .resources
            .parse(text)
            // No user's consent opens the API: a back end of the tenant's has its admin's.
            .filter(|resource| !matches!(resource, Resource::TenantApi(_)))
            .ok_or((ErrorCode::InvalidTarget, "resource is not one of this server's for users"))?,
    };
    let dpop_jkt = dpop_jkt(parameters)?;
    require_prompt(parameters)?;
    Ok(AuthorizationRequest {
        client_id: client.client_id.clone(),
        client_version: client.version,
        redirect_uri: to.as_str().to_owned(),
        state: state.map(str::to_owned),
        code_challenge: code_challenge.as_str().to_owned(),
        scope: scope.names().into_iter().map(str::to_owned).collect(),
        resource: server.resources.audience(&resource),
        resource_was_sent: parameters.find("resource").is_some(),
        dpop_jkt: dpop_jkt.map(str::to_owned),
    })
}

/// A request for a code, in plain parameters, to be answered in the query. Nothing is fetched:
/// what a `request_uri` other than our own names is never looked at (spec row A-18).
fn require_plain(parameters: &Parameters) -> Result<(), Wrong> {
    if parameters.find("request").is_some() {
        return Err((
            ErrorCode::RequestNotSupported,
            "request objects are not supported: send the parameters themselves",
        ));
    }
    if parameters.find("request_uri").is_some() {
        return Err((
            ErrorCode::RequestUriNotSupported,
            "request_uri must be one that the pushed authorization request endpoint gave out",
        ));
    }
    match parameters.find("response_type") {
        Some("code") => {}
        None => return Err((ErrorCode::InvalidRequest, "response_type is missing: send code")),
        Some(_) => {
            return Err((ErrorCode::UnsupportedResponseType, "response_type must be code"));
        }
    }
    if parameters.find("response_mode").is_some_and(|mode| mode != "query") {
        return Err((ErrorCode::InvalidRequest, "response_mode must be query, or left out"));
    }
    Ok(())
}

/// What the client wants back with the answer, letter for letter.
fn state(parameters: &Parameters) -> Result<Option<&str>, Wrong> {
    let state = parameters.find("state");
    // Postgres has no text with a zero byte in it.
    if state.is_some_and(|state| state.len() > LONGEST_STATE || state.contains('\0')) {
        return Err((
            ErrorCode::InvalidRequest,
            "state must be at most 4096 bytes long, without a zero byte",
        ));
    }
    Ok(state)
}

/// OAuth 2.1 §4.1.1: PKCE for every client, S256 and nothing less.
fn code_challenge(parameters: &Parameters) -> Result<CodeChallenge, Wrong> {
    let challenge = parameters.find("code_challenge").ok_or((
        ErrorCode::InvalidRequest,
        "code_challenge is missing: PKCE with S256 is required of every client",
    ))?;
    if parameters.find("code_challenge_method") != Some("S256") {
        return Err((ErrorCode::InvalidRequest, "code_challenge_method must be S256"));
    }
    CodeChallenge::parse(challenge).ok_or((
        ErrorCode::InvalidRequest,
        "code_challenge must be the base64url of a SHA-256, without padding",
    ))
}

/// What was asked for, or enough for both tools. Where the client registered a scope, no more
/// than that; and of what metadata lists no more than users may let apps do (OAuth 2.1 §1.4.1),
/// since some clients ask for all of it.
fn scope(client: &Client, parameters: &Parameters) -> Result<Scope, Wrong> {
    let asked = match parameters.find("scope") {
        None => Scope::SEARCH_READ,
        Some(text) => Scope::parse(text).ok_or((
            ErrorCode::InvalidScope,
            "scope must be made of search:read and offline_access, with spaces between",
        ))?,
    };
    let registered = client.metadata.get("scope").and_then(serde_json::Value::as_str);
    let allowed = registered.and_then(Scope::parse).unwrap_or(Scope::OF_USERS);
    asked.within(allowed).and_then(|asked| asked.within(Scope::OF_USERS)).ok_or((
        ErrorCode::InvalidScope,
        "a user cannot grant any of these scopes, or the client has registered none of them",
    ))
}

/// RFC 9449 §10: the thumbprint of the key that the tokens shall be bound to.
fn dpop_jkt(parameters: &Parameters) -> Result<Option<&str>, Wrong> {
    let Some(thumbprint) = parameters.find("dpop_jkt") else { return Ok(None) };
    // The same form as a challenge: the base64url of a SHA-256.
    match CodeChallenge::parse(thumbprint) {
        Some(_) => Ok(Some(thumbprint)),
        None => Err((
            ErrorCode::InvalidRequest,
            "dpop_jkt must be the base64url of a SHA-256 thumbprint, without padding",
        )),
    }
}

/// OpenID Connect Core §3.1.2.1. The user is asked every time, so every prompt but `none` gets what
/// it wants.
fn require_prompt(parameters: &Parameters) -> Result<(), Wrong> {
    let mut prompts = parameters.find("prompt").unwrap_or_default().split(' ');
    if prompts.any(|prompt| prompt == "none") {
        return Err((
            ErrorCode::InteractionRequired,
            "prompt=none cannot be met: the user is asked for consent every time",
        ));
    }
    Ok(())
}
