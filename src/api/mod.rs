//! The API of a tenant's documents, for its own back ends: `/t/{tenant}/api/v1/…`.
//!
//! A call passes, in this order:
//! 1. the limit by network address;
//! 2. [`gate`]: an access token for this very resource, held by a back end, whose grant still lives;
//!    then the limits by token, client and tenant, the same as assistants have;
//! 3. the extractor of the handler: the scope that it demands ([`caller`]);
//! 4. the handler, which knows only the vector stores that the tenant's admin ticked.
//!
//! What is refused is said as problem details: RFC 9457.

mod caller;
mod documents;
mod extract;
mod gate;
mod jobs;
mod problem;
mod search;
mod store;
mod upload;
mod vector_stores;

use axum::{
    extract::{DefaultBodyLimit, FromRef},
    middleware,
    response::{IntoResponse, Response},
};

use crate::{
    audit,
    clock::Clock,
    config::PublicUrl,
    db::Db,
    documents::Importer,
    http::{Access, Mounted, Routes, deadline},
    limits::{self, Calls, Limited, Limits, Uploads},
    oauth::{access_token::Verifier, dpop::Dpop, liveness::Liveness, resource::Resources},
    questions::Questions,
    search::Search,
};
use gate::Gate;
use problem::Problem;
pub use store::forget_old;

/// What the API is made of.
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
    /// How many calls anybody has.
    pub calls: Calls,
    /// Where searches are recorded before they are answered.
    pub audit: audit::Log,
    /// What answers them.
    pub search: Search,
    /// What is kept of their questions.
    pub questions: Questions,
    /// What reads files.
    pub importer: Importer,
    /// How much may be sent.
    pub uploads: Uploads,
    /// Now.
    pub clock: Clock,
    /// Postgres.
    pub db: Db,
    /// The origin of the pages.
    pub public_url: PublicUrl,
}

/// What the handlers need.
#[derive(Clone, Debug, FromRef)]
struct Api {
    db: Db,
    clock: Clock,
    public_url: PublicUrl,
    search: Search,
    audit: audit::Log,
    questions: Questions,
    importer: Importer,
    uploads: Uploads,
}

/// The API's routes.
#[must_use]
pub fn routes(parts: Parts, limits: &Limits) -> Mounted {
    let Parts { verifier, liveness, dpop, resources, calls, clock, .. } = parts;
    let gate = Gate { verifier, liveness, dpop, resources, calls };
    let api = Api {
        db: parts.db,
        clock,
        public_url: parts.public_url,
        search: parts.search,
        audit: parts.audit,
        questions: parts.questions,
        importer: parts.importer,
        uploads: parts.uploads,
    };
    let bearer = Access::Bearer;
    let upload = Routes::new()
        .post("/t/{tenant}/api/v1/vector-stores/{store}/documents", bearer, upload::create)
        .route_layer(DefaultBodyLimit::max(upload::REQUEST_BYTES));
    Routes::new()
        .get("/t/{tenant}/api/v1/vector-stores", bearer, vector_stores::list)
        .get("/t/{tenant}/api/v1/vector-stores/{store}/documents", bearer, documents::list)
        .get("/t/{tenant}/api/v1/documents/{document}", bearer, documents::show)
        .delete("/t/{tenant}/api/v1/documents/{document}", bearer, documents::delete)
        .get("/t/{tenant}/api/v1/jobs/{job}", bearer, jobs::show)
        .post("/t/{tenant}/api/v1/search", bearer, search::search)
        .route_layer(middleware::from_fn(deadline::enforce::<Problem>))
        // Files may come slowly.
        .merge(upload)
        // The last layer runs first.
        .route_layer(middleware::from_fn_with_state(gate, gate::require_back_end))
        .route_layer(limits.layer(limits::ADDRESS, limits::by_address, too_many))
        .mount(api)
}

fn too_many(limited: &Limited) -> Response {
    Problem::limited(limited).into_response()
}
