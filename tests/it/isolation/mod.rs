//! Two tenants, everything of one marked with a word that is nowhere else, and the other attacks.
//!
//! What is tried comes from the router's own table and from Postgres' catalogue, so a new route, a
//! new table or a new id is tried without anybody thinking of it.
#![expect(clippy::disallowed_methods, reason = "looks behind the application's back")]

mod alike;
mod attacker;
mod camp;
mod deleted;
mod edges;
mod forged;
mod knock_out;
mod logs;
mod matrix;
mod names;
mod parallel;
mod rows;
mod tables;
mod tools;
