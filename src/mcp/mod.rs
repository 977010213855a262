//! The protected resource: MCP over Streamable HTTP, with the tools `search` and `fetch`.
//!
//! A call passes, in this order:
//! 1. [`front`]: host, origin and declared size (MCP transports, "Security Warning");
//! 2. the limit by network address;
//! 3. [`caller`]: the access token, and whether its grant still lives (OAuth 2.1 §5.2, RFC 9068 §4);
//! 4. [`transport`] and [`jsonrpc`]: one message, strictly read;
//! 5. the limits by token, user, app and tenant, at what the message costs;
//! 6. [`era`]: which revision it speaks, and what that revision demands;
//! 7. [`dispatch`]: the method; for a tool its scope, its run, and its audit event made durable;
//! 8. after a call that took long, [`dispatch`] again: whether the token still lives; the answer,
//!    on a stream ([`streamed`]) for a client that had something to hear before it ([`notes`]).
//!
//! [`sse`] is the transport before that one: another way in and out around steps 6 to 8.

mod caller;
mod card;
mod challenge;
mod dispatch;
mod era;
#[cfg(any(test, feature = "fixtures"))]
mod fixtures;
mod front;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod jsonrpc;
mod mirrored;
mod notes;
mod reading;
mod record;
mod rpc_error;
mod server_info;
mod sse;
mod streamed;
mod tools;
mod transport;

use std::sync::Arc;

use axum::{
    middleware,
    response::{IntoResponse, Response},
};

use crate::{
    audit,
    clock::Clock,
    config::PublicUrl,
    db::{Class, Db},
    http::{Access, Draining, Mounted, Routes, deadline},
    limits::{self, Calls, Limited, Limits},
    oauth::{access_token::Verifier, dpop::Dpop, liveness::Liveness, resource::Resources},
    questions::Questions,
    search::Search,
    secret::seal::MasterKey,
};
use caller::Gate;
pub use card::Cards;
use dispatch::Dispatcher;
use front::Front;
use jsonrpc::RpcError;
use reading::Readers;
pub use sse::{StreamRules, sweep};
use sse::{Streams, handlers};
use tools::Handles;
use transport::Endpoint;

/// Where the endpoint answers. Users paste URLs with and without a trailing slash, and old ones
/// that end in `/sse/`.
const PATHS: [&str; 4] = ["/mcp", "/mcp/", "/t/{tenant}/mcp", "/t/{tenant}/mcp/"];
/// Where it does too, and a `GET` opens a stream.
const STREAMS: [&str; 4] = ["/sse", "/sse/", "/t/{tenant}/sse", "/t/{tenant}/sse/"];
/// Where messages for such a stream are posted.
const MESSAGES: [&str; 4] =
    ["/sse/messages", "/sse/messages/", "/t/{tenant}/sse/messages", "/t/{tenant}/sse/messages/"];

/// What the endpoint is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Tells our tokens from everything else.
    pub verifier: Verifier,
    /// Whether a token's grant still lives.
    pub liveness: Liveness,
    /// Proofs that a caller holds its token's key.
    pub dpop: Dpop,
    /// Audiences and metadata URLs.
    pub resources: Resources,
    /// What the tools ask.
    pub search: Search,
    /// Where calls are recorded before they are answered.
    pub audit: audit::Log,
    /// How many calls anybody has.
    pub calls: Calls,
    /// Now.
    pub clock: Clock,
    /// The origin that we answer for.
    pub public_url: PublicUrl,
    /// Further origins that browsers may call from.
    pub allowed_origins: Vec<String>,
    /// For messages on their way between nodes.
    pub db: Db,
    /// What these, and ids to read on with, are sealed with.
    pub master_key: MasterKey,
    /// When streams end.
    pub draining: Draining,
    /// How long they last, and how many there may be.
    pub streams: StreamRules,
}

/// The endpoint's routes.
#[must_use]
pub fn routes(parts: Parts, limits: &Limits) -> Mounted {
    let Parts { verifier, liveness, dpop, resources, search, audit, calls: limiter, clock, .. } =
        parts;
    let front = Front::new(&parts.public_url, &parts.allowed_origins);
    let (tools, master_key) = (parts.db.of(Class::Tool), parts.master_key.clone());
    let readers = Readers::new(tools.clone(), clock.clone());
    let questions = Questions::new(tools, clock.clone(), master_key);
    let handles = Handles::new(&parts.master_key, clock.clone());
    let dispatcher = Dispatcher {
        search,
        handles,
        audit,
        questions,
        readers,
        clock: clock.clone(),
        liveness: liveness.clone(),
    };
    let streams = Streams::new(sse::Parts {
        db: parts.db,
        clock: clock.clone(),
        master_key: parts.master_key,
        liveness: liveness.clone(),
        dispatcher: dispatcher.clone(),
        calls: limiter.clone(),
        draining: parts.draining,
        rules: parts.streams,
    });
    let gate = Arc::new(Gate { verifier, liveness, dpop, resources: resources.clone(), clock });
    let endpoint = Arc::new(Endpoint { dispatcher, resources, limiter, streams });

    let mut calls = Routes::new();
    let mut others = Routes::new();
    for path in PATHS {
        calls = calls.post(path, Access::Bearer, transport::receive);
        others = others
            .options(path, Access::Public, front::preflight)
            .refuse_others(path, transport::refuse_method);
    }
    for path in STREAMS {
        calls = calls.get(path, Access::Bearer, handlers::open).post(
            path,
            Access::Bearer,
            transport::receive,
        );
        others = others
            .options(path, Access::Public, front::stream_preflight)
            .refuse_others(path, sse::refuse_method);
    }
    for path in MESSAGES {
        calls = calls.post(path, Access::Bearer, handlers::post);
        others = others
            .options(path, Access::Public, front::preflight)
            .refuse_others(path, transport::refuse_method);
    }
    // The last layer runs first.
    let calls = calls
        .route_layer(middleware::from_fn_with_state(gate, caller::require_access_token))
        .route_layer(limits.layer(limits::ADDRESS, limits::by_address, too_many))
        .route_layer(middleware::from_fn(deadline::enforce::<RpcError>))
        .route_layer(middleware::from_fn_with_state(front.clone(), front::check));
    // A browser's script shall see a 405 as such.
    let others = others.route_layer(middleware::from_fn_with_state(front, front::check));
    let cards = card::routes(Cards::new(&parts.public_url));
    calls.mount(endpoint).and(others.mount(())).and(cards)
}

fn too_many(limited: &Limited) -> Response {
    RpcError::limited(limited).into_response()
}
