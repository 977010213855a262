//! The authorization server, from outside.
#![expect(clippy::disallowed_methods, reason = "tests look behind the application's back")]

mod access_token;
mod approvals;
mod authorize;
mod consent;
mod dpop;
mod journey;
mod metadata;
mod par;
mod redirect_uri;
mod refresh;
mod register;
mod revoke;
mod rotation;
mod tenant_policy;
mod token;
mod unresolved;
