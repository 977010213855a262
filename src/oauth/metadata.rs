//! `/.well-known/…`: authorization server metadata (RFC 8414) and protected resource metadata
//! (RFC 9728).
//!
//! What they list is read from the types that the endpoints go by, so they cannot promise more.
//! Neither asks the database: discovery works while it is down, and does not tell which tenants
//! exist.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
};
use serde::Serialize;

use super::{
    Server,
    client::{AuthMethod, GrantType},
    dpop::Dpop,
    json, par,
    resource::{Resource, Resources},
    scope::Scope,
};
use crate::jose::jws::Algorithm;

/// Clients may keep the documents this long.
const SECONDS: u32 = 300;

#[derive(Serialize)]
struct AuthorizationServer {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_endpoint: Option<String>,
    revocation_endpoint: String,
    introspection_endpoint: String,
    pushed_authorization_request_endpoint: String,
    jwks_uri: String,
    response_types_supported: [&'static str; 1],
    response_modes_supported: [&'static str; 1],
    grant_types_supported: Vec<&'static str>,
    code_challenge_methods_supported: [&'static str; 1],
    token_endpoint_auth_methods_supported: Vec<&'static str>,
    token_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    revocation_endpoint_auth_methods_supported: Vec<&'static str>,
    revocation_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    introspection_endpoint_auth_methods_supported: Vec<&'static str>,
    introspection_endpoint_auth_signing_alg_values_supported: Vec<&'static str>,
    dpop_signing_alg_values_supported: Vec<&'static str>,
    scopes_supported: Vec<&'static str>,
    authorization_response_iss_parameter_supported: bool,
    client_id_metadata_document_supported: bool,
    protected_resources: [String; 1],
}

#[derive(Serialize)]
struct ProtectedResource {
    resource: String,
    authorization_servers: [String; 1],
    scopes_supported: Vec<&'static str>,
    bearer_methods_supported: [&'static str; 1],
    dpop_signing_alg_values_supported: Vec<&'static str>,
    resource_name: &'static str,
}

/// `GET /.well-known/oauth-authorization-server`
pub(super) async fn authorization_server(State(server): State<Server>) -> Response {
    let issuer = server.public_url.as_str();
    let at = |path: &str| format!("{issuer}{path}");
    let algorithms = || Algorithm::ALL.iter().map(|one| one.as_str()).collect::<Vec<_>>();
    let methods = || AuthMethod::ALL.iter().map(|one| one.as_str()).collect::<Vec<_>>();
    json::document(
        SECONDS,
        &AuthorizationServer {
            issuer: issuer.to_owned(),
            authorization_endpoint: at("/oauth/authorize"),
            token_endpoint: at("/oauth/token"),
            registration_endpoint: server.policy.has_registration().then(|| at("/oauth/register")),
            revocation_endpoint: at("/oauth/revoke"),
            introspection_endpoint: at("/oauth/introspect"),
            pushed_authorization_request_endpoint: at(par::PATH),
            jwks_uri: at("/oauth/jwks.json"),
            response_types_supported: ["code"],
            response_modes_supported: ["query"],
            grant_types_supported: GrantType::ALL.iter().map(|one| one.as_str()).collect(),
            code_challenge_methods_supported: ["S256"],
            token_endpoint_auth_methods_supported: methods(),
            token_endpoint_auth_signing_alg_values_supported: algorithms(),
            revocation_endpoint_auth_methods_supported: methods(),
            revocation_endpoint_auth_signing_alg_values_supported: algorithms(),
            // RFC 7662 §2.1: whoever asks has proved who it is.
            introspection_endpoint_auth_methods_supported: AuthMethod::ALL
                .iter()
                .filter(|one| **one != AuthMethod::None)
                .map(|one| one.as_str())
                .collect(),
            introspection_endpoint_auth_signing_alg_values_supported: algorithms(),
            dpop_signing_alg_values_supported: Dpop::algorithms(),
            // What apps may ask a user for. Those of back ends are in their resource's metadata:
            // some clients ask for all that is listed here.
            scopes_supported: Scope::OF_USERS.names(),
            authorization_response_iss_parameter_supported: true,
            client_id_metadata_document_supported: server.policy.has_documents(),
            protected_resources: [server.resources.mcp()],
        },
    )
}

/// `GET /.well-known/oauth-protected-resource` and below: the metadata of the resource whose path
/// follows.
pub(super) async fn protected_resource(State(server): State<Server>, uri: Uri) -> Response {
    let path = uri.path().strip_prefix("/.well-known/oauth-protected-resource").unwrap_or_default();
    let (resource, scopes) = match (path, Resources::at_path(path)) {
        ("" | "/", _) => (server.resources.mcp(), Resource::Mcp.scopes()),
        (_, Some(resource)) => (server.resources.url_at(path), resource.scopes()),
        (_, None) => return not_found().await,
    };
    json::document(
        SECONDS,
        &ProtectedResource {
            resource,
            authorization_servers: [server.public_url.as_str().to_owned()],
            scopes_supported: scopes.names(),
            bearer_methods_supported: ["header"],
            dpop_signing_alg_values_supported: Dpop::algorithms(),
            resource_name: "Callslip",
        },
    )
}

/// Any other well-known document: clients probe many, and take a page or a server error for a
/// reason to give up.
pub(super) async fn not_found() -> Response {
    #[derive(Serialize)]
    struct NotFound {
        error: &'static str,
    }
    json::answer(StatusCode::NOT_FOUND, HeaderMap::new(), &NotFound { error: "not_found" })
}
