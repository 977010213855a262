//! Which endpoint answers where, within which limits.

use axum::{
    http::Extensions,
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
};

use super::{
    Server, authorize, consent, dpop,
    error::Error,
    introspect,
    json::{any_origin, preflight},
    jwks, manage, metadata, par, register, revoke, token,
};
use crate::{
    http::{Access, Mounted, PageError, Routes, csrf, deadline, headers},
    limits::{self, Hourly, Limited, Policy},
};

/// Registrations by one address at once: hosted assistants share theirs.
const REGISTER_BURST: u32 = 20;
/// Registrations by everybody at once.
const REGISTER_ALL_BURST: u32 = 500;
/// Calls about a registration that there is, by one address.
const MANAGE: Policy = Policy { name: "address", per_minute: 60, burst: 60 };
/// Authorization requests by one address.
const AUTHORIZE: Policy = Policy { name: "address", per_minute: 60, burst: 60 };
/// Token and revocation requests by one address: a hosted assistant's users all come from a few.
const TOKEN: Policy = Policy { name: "address", per_minute: 1200, burst: 600 };
/// Pushed requests by one address: each is kept until it is over, and may have us read a document …
const PUSH: Policy = Policy { name: "address", per_minute: 120, burst: 60 };
/// … and by everybody.
const PUSH_ALL: Policy = Policy { name: "server", per_minute: 1200, burst: 600 };
/// Introspection by one address: a resource server asks on every call of its own.
const INTROSPECT: Policy = Policy { name: "address", per_minute: 60_000, burst: 10_000 };

/// One registration.
const REGISTRATION: &str = "/oauth/register/{client_id}";

pub(super) fn routes(server: Server) -> Mounted {
    documents()
        .merge(registration(&server))
        .merge(tokens(&server))
        .merge(introspection(&server))
        .route_layer(from_fn(deadline::enforce::<Error>))
        .merge(pages(&server))
        .mount(server)
}

/// Step 1: what anybody may read, from any origin.
fn documents() -> Routes<Server> {
    let mut routes = Routes::new().get("/oauth/jwks.json", Access::Public, jwks::jwks).options(
        "/oauth/jwks.json",
        Access::Public,
        preflight,
    );
    for path in
        ["/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server/"]
    {
        routes = routes.get(path, Access::Public, metadata::authorization_server).options(
            path,
            Access::Public,
            preflight,
        );
    }
    for path in [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/",
        "/.well-known/oauth-protected-resource/{*resource}",
    ] {
        routes = routes.get(path, Access::Public, metadata::protected_resource).options(
            path,
            Access::Public,
            preflight,
        );
    }
    // Clients also look below the resource's own path.
    for path in [
        "/.well-known/",
        "/.well-known/{*document}",
        "/mcp/.well-known/{*document}",
        "/sse/.well-known/{*document}",
        "/t/{tenant}/.well-known/{*document}",
        "/t/{tenant}/mcp/.well-known/{*document}",
        "/t/{tenant}/sse/.well-known/{*document}",
    ] {
        routes = routes.get(path, Access::Public, metadata::not_found).options(
            path,
            Access::Public,
            preflight,
        );
    }
    routes.route_layer(from_fn(any_origin))
}

/// Step 2.
fn registration(server: &Server) -> Routes<Server> {
    let limits = &server.limits;
    let (by_address, by_all) = server.policy.registrations_per_hour();
    let hourly = |name, per_hour, burst: u32| Hourly { name, per_hour, burst: burst.min(per_hour) };
    let by_address = hourly("address", by_address, REGISTER_BURST);
    let by_all = hourly("server", by_all, REGISTER_ALL_BURST);
    Routes::new()
        .post("/oauth/register", Access::Client, register::register)
        .route_layer(limits.layer(by_all, everybody, too_many))
        // Whoever may not register uses up nothing of everybody's.
        .route_layer(from_fn_with_state(server.clone(), register::admit))
        .route_layer(limits.layer(by_address, limits::by_address, too_many))
        .merge(management(server))
        .options("/oauth/register", Access::Client, preflight)
        .options(REGISTRATION, Access::Client, preflight)
        .route_layer(from_fn(any_origin))
}

/// What a client does with its own registration. It counts apart from registering.
fn management(server: &Server) -> Routes<Server> {
    Routes::new()
        .get(REGISTRATION, Access::Client, manage::read)
        .put(REGISTRATION, Access::Client, manage::update)
        .delete(REGISTRATION, Access::Client, manage::delete)
        .route_layer(server.limits.layer(MANAGE, limits::by_address, too_many))
}

/// Steps 8 to 10, and 12; and what a client pushes ahead of step 3.
fn tokens(server: &Server) -> Routes<Server> {
    Routes::new()
        .post(token::PATH, Access::Client, token::token)
        .post("/oauth/revoke", Access::Client, revoke::revoke)
        .route_layer(server.limits.layer(TOKEN, limits::by_address, too_many))
        .merge(pushing(server))
        .route_layer(from_fn_with_state(server.dpop.clone(), dpop::tell_nonce))
        .options(token::PATH, Access::Public, preflight)
        .options("/oauth/revoke", Access::Public, preflight)
        .options(par::PATH, Access::Public, preflight)
        .route_layer(from_fn(any_origin))
}

/// It counts apart from tokens, and an address that may not go on uses up nothing of everybody's.
fn pushing(server: &Server) -> Routes<Server> {
    Routes::new()
        .post(par::PATH, Access::Client, par::push)
        .route_layer(server.limits.layer(PUSH_ALL, everybody, too_many))
        .route_layer(server.limits.layer(PUSH, limits::by_address, too_many))
}

/// Step 11 for resource servers elsewhere. No script in a browser has their credentials.
fn introspection(server: &Server) -> Routes<Server> {
    Routes::new()
        .post("/oauth/introspect", Access::Client, introspect::introspect)
        .route_layer(server.limits.layer(INTROSPECT, limits::by_address, too_many))
}

/// Steps 3 to 7: the browser's. No other origin may call these.
fn pages(server: &Server) -> Routes<Server> {
    let guard = from_fn_with_state(server.public_url.clone(), csrf::guard);
    Routes::new()
        .get("/oauth/authorize", Access::Public, authorize::authorize)
        .route_layer(server.limits.layer(AUTHORIZE, limits::by_address, too_many_page))
        .get("/oauth/consent", Access::Flow, consent::show)
        .post("/oauth/consent", Access::Flow, consent::answer)
        .route_layer(guard)
        .route_layer(from_fn(headers::keep_opener))
        .route_layer(from_fn(deadline::enforce::<PageError>))
}

fn everybody(_: &Extensions) -> Option<()> {
    Some(())
}

fn too_many(limited: &Limited) -> Response {
    Error::TooMany { retry_after: limited.retry_after }.into_response()
}

fn too_many_page(limited: &Limited) -> Response {
    PageError::TooMany { retry_after: limited.retry_after }.into_response()
}
