//! Accounts, sign-in and sessions, as browsers meet them.

mod browser_rules;
mod credentials;
mod demands;
mod first_operator;
mod flood;
mod sessions;
mod tenants;
