//! The application from outside: HTTP in, HTTP out, a real Postgres behind it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::panic, reason = "a test fails by panicking")]
#![expect(unreachable_pub, reason = "a test program has no outside")]

mod access;
mod api;
mod architecture;
mod canary;
mod catalogue;
mod demo;
mod documentation;
mod housekeeping;
mod http;
mod ingest;
mod isolation;
mod journey;
mod knowledge;
mod limits;
mod mcp;
mod oauth;
mod outbound;
mod pages;
mod patience;
mod problems;
mod sign_in;
mod support;
mod uploads;
