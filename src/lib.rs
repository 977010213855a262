//! Callslip: connect private documents to AI assistants by pasting one URL.
//!
//! # Map
//! In build order; a module imports only from above, and only what its row in
//! `tests/it/architecture.rs` says.
//!
//! - kernel: [`ids`], [`clock`], [`secret`], [`fault`], [`deadline`], [`progress`]
//! - [`neutral`]: what documents say, made harmless to show
//! - platform: [`config`], [`db`], [`problems`], [`http`], [`telemetry`], [`limits`], [`outbound`],
//!   `jose`
//! - [`audit`]: what happened, append-only
//! - [`tenants`], [`users`], [`sign_in`]: who is who, and how they prove it
//! - [`questions`]: what assistants ask, for tenants that want it kept
//! - [`vector_stores`]: a tenant's mappings to what answers searches
//! - [`oauth`]: the authorization server
//! - [`embeddings`]: texts to vectors; [`documents`]: the builtin store's content; [`search`]: questions to hits, ids to texts
//! - [`watch`]: folders and buckets that stores follow
//! - [`mcp`]: the protected resource; [`api`]: another one, for back ends; [`admin`]: the pages
//! - [`golden`]: how well questions are answered, by a tenant's own judgement
//! - [`mcp`]: the protected resource; [`admin`]: the pages
//! - [`app`] composes, [`cli`] runs; `fuzzing` (a feature) leads fuzzers to every parser
//!
//! # Invariants
//! Things that are absent on purpose:
//! - a tenant's row outside a [`db::TenantTx`] of that tenant
//! - a [`db::TenantScope`] that nobody proved
//! - an answer to a tool call without its durable audit event
//! - a token that outlives its grant, checked on every call against the primary database
//! - a secret in clear: ours are stored as hashes, other people's sealed
//! - a refusal that carries an internal message
//! - an outbound request that the guard in [`outbound`] has not vetted
//! - a slice that reads the environment, the system's clock, or another slice's tables

pub mod admin;
pub mod api;
pub mod app;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod config;
pub mod db;
pub mod deadline;
pub mod documents;
pub mod embeddings;
pub mod fault;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod golden;
pub mod http;
pub mod ids;
mod jose;
pub mod limits;
pub mod mcp;
pub mod neutral;
pub mod oauth;
pub mod outbound;
pub mod problems;
pub mod progress;
pub mod questions;
pub mod search;
pub mod secret;
pub mod sign_in;
pub mod telemetry;
pub mod tenants;
pub mod users;
pub mod vector_stores;
pub mod watch;
