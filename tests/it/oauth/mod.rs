//! The authorization server, from outside.
#![expect(clippy::disallowed_methods, reason = "tests look behind the application's back")]

mod access_token;
mod alive;
mod approvals;
mod authorize;
mod client_auth;
mod client_credentials;
mod client_document;
mod clients;
mod consent;
mod contract;
mod dpop;
mod identity;
mod introspect;
mod journey;
mod manage;
mod metadata;
mod model_code;
mod model_refresh;
mod par;
mod policy;
mod redirect_uri;
mod refresh;
mod refused;
mod register;
mod revoke;
mod rotation;
mod rust_clients;
mod tenant_policy;
mod token;
mod unresolved;
