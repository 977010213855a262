//! The authorization server, from outside.

mod authorize;
mod journey;
mod metadata;
mod redirect_uri;
