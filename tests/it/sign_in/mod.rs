//! Accounts, sign-in and sessions, as browsers meet them.
#![expect(clippy::disallowed_methods, reason = "looks behind the application's back")]

mod browser_rules;
mod command_line;
mod credentials;
mod demands;
mod first_operator;
mod flood;
mod sessions;
mod sso;
mod tenants;
