//! Who is at the browser: signing in and out, sessions, and the extractors that state demands.
//!
//! A session is a random secret in a cookie and its hash in the database. It is made at sign-in
//! and nowhere else, so whatever a browser carried before is worth nothing after (spec row W-35).
//! Every request reads it again, together with the user and their memberships: what was taken
//! away is gone at the next request.

pub mod accounts;
pub mod extract;
mod first_operator;
mod local_path;
mod pages;
pub mod session;
mod store;
mod throttle;

use axum::{extract::FromRef, middleware};

pub use extract::{Member, Operator, SignedIn, TenantAdmin};
pub use local_path::LocalPath;

use crate::{
    clock::Clock,
    config::PublicUrl,
    db::Db,
    http::{Access, Mounted, Routes, csrf, headers},
    users::password::Hashing,
};
use throttle::Throttle;

/// What the extractors need: a part of the state of every slice that has pages.
#[derive(Clone, Debug)]
pub struct Gate {
    /// Where sessions are.
    pub db: Db,
    /// Decides which are over.
    pub clock: Clock,
    /// Decides what the cookie is called.
    pub public_url: PublicUrl,
}

impl FromRef<Gate> for PublicUrl {
    fn from_ref(gate: &Gate) -> Self {
        gate.public_url.clone()
    }
}

/// The state of this slice.
#[derive(Clone, Debug)]
pub struct SignIn {
    gate: Gate,
    hashing: Hashing,
    throttle: Throttle,
}

impl SignIn {
    /// `scale` multiplies how many sign-ins may fail.
    #[must_use]
    pub fn new(gate: Gate, hashing: Hashing, scale: f64) -> Self {
        let throttle = Throttle::new(gate.clock.clone(), scale);
        Self { gate, hashing, throttle }
    }
}

impl FromRef<SignIn> for Gate {
    fn from_ref(state: &SignIn) -> Self {
        state.gate.clone()
    }
}

impl FromRef<SignIn> for PublicUrl {
    fn from_ref(state: &SignIn) -> Self {
        state.gate.public_url.clone()
    }
}

/// `/sign-in`, `/sign-out` and the first operator's link.
#[must_use]
pub fn routes(state: SignIn) -> Mounted {
    let guard = middleware::from_fn_with_state(state.gate.public_url.clone(), csrf::guard);
    Routes::new()
        .get("/sign-in", Access::Public, pages::show)
        .post("/sign-in", Access::Public, pages::sign_in)
        .post("/sign-out", Access::SignedIn, pages::sign_out)
        .route_layer(middleware::from_fn(headers::keep_opener))
        .get("/first-operator/{link}", Access::Flow, first_operator::show)
        .post("/first-operator/{link}", Access::Flow, first_operator::create)
        .route_layer(guard)
        .mount(state)
}
