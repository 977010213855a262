//! Callslip: connect private documents to AI assistants by pasting one URL.

pub mod admin;
pub mod app;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod config;
pub mod db;
pub mod documents;
pub mod fault;
pub mod http;
pub mod ids;
pub mod oauth;
pub mod outbound;
pub mod search;
pub mod secret;
pub mod sign_in;
pub mod tenants;
pub mod users;
pub mod vector_stores;
