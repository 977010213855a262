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
pub mod sso;
mod store;
mod throttle;

use axum::{
    extract::FromRef,
    middleware,
    response::{IntoResponse, Response},
};

pub use extract::{Member, Operator, SignedIn, TenantAdmin};
pub use local_path::LocalPath;

use crate::{
    clock::Clock,
    config::PublicUrl,
    db::Db,
    http::{Access, Mounted, PageError, Routes, csrf, deadline, headers},
    limits::{self, Limited, Limits, Policy},
    users::password::Hashing,
};
use sso::Sso;
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
    sso: Sso,
    limits: Limits,
}

impl SignIn {
    /// Over what the slices below offer.
    #[must_use]
    pub fn new(gate: Gate, hashing: Hashing, sso: Sso, limits: Limits) -> Self {
        let throttle = Throttle::new(gate.clock.clone(), &limits);
        Self { gate, hashing, throttle, sso, limits }
    }
}

impl FromRef<SignIn> for Gate {
    fn from_ref(state: &SignIn) -> Self {
        state.gate.clone()
    }
}

impl FromRef<SignIn> for Sso {
    fn from_ref(state: &SignIn) -> Self {
        state.sso.clone()
    }
}

impl FromRef<SignIn> for PublicUrl {
    fn from_ref(state: &SignIn) -> Self {
        state.gate.public_url.clone()
    }
}

/// Sign-ins through providers that one address may begin.
const BEGIN: Policy = Policy { name: "address", per_minute: 120, burst: 60 };

fn too_many(limited: &Limited) -> Response {
    PageError::TooMany { retry_after: limited.retry_after }.into_response()
}

/// `/sign-in`, `/sign-out` and the first operator's link.
#[must_use]
pub fn routes(state: SignIn) -> Mounted {
    let guard = middleware::from_fn_with_state(state.gate.public_url.clone(), csrf::guard);
    Routes::new()
        .post("/sign-in/sso", Access::Public, sso::begin::begin)
        .get("/sign-in/sso/callback/{slug}", Access::Flow, sso::callback::callback)
        .route_layer(state.limits.layer(BEGIN, limits::by_address, too_many))
        .get("/sign-in", Access::Public, pages::show)
        .post("/sign-in", Access::Public, pages::sign_in)
        .post("/sign-out", Access::SignedIn, pages::sign_out)
        .route_layer(middleware::from_fn(headers::keep_opener))
        .get("/first-operator/{link}", Access::Flow, first_operator::show)
        .post("/first-operator/{link}", Access::Flow, first_operator::create)
        .route_layer(guard)
        .route_layer(middleware::from_fn(deadline::enforce::<PageError>))
        .mount(state)
}
