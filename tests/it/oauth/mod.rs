//! The authorization server, from outside.
#![expect(clippy::disallowed_methods, reason = "tests look behind the application's back")]

mod access_token;
mod alive;
mod authorize;
mod client_credentials;
mod consent;
mod dpop;
mod identity;
mod introspect;
mod journey;
mod metadata;
mod redirect_uri;
mod refresh;
mod register;
mod revoke;
mod rotation;
mod token;
