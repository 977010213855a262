//! The authorization server, from outside.

mod access_token;
mod authorize;
mod consent;
mod journey;
mod metadata;
mod redirect_uri;
mod refresh;
mod register;
mod revoke;
mod token;
