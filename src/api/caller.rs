//! A back end that calls, and what it may do: each handler demands a scope by its argument.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::request::Parts,
    response::{IntoResponse, Response},
};

use super::problem::Problem;
use crate::{
    audit::{Event, Kind, Origin},
    clock::Clock,
    db::TenantScope,
    ids::VectorStoreId,
    limits::TenantLimits,
    oauth::{
        access_token::Claims,
        challenge::{Challenge, Reason, Scheme},
        scope::Scope,
    },
};

/// Proved a moment ago. In the extensions of every request that passes the gate.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) scope: TenantScope,
    /// How it presented its token.
    pub(super) scheme: Scheme,
    pub(super) claims: Arc<Claims>,
    /// The stores that the admin ticked and that still exist.
    pub(super) stores: Vec<VectorStoreId>,
    pub(super) keeps_questions: bool,
    pub(super) limits: TenantLimits,
    /// Where the metadata of the resource is, for a refusal.
    pub(super) metadata_url: String,
}

impl Caller {
    /// Whether it may use this store.
    pub(super) fn may_use(&self, store: VectorStoreId) -> bool {
        self.stores.contains(&store)
    }

    /// An event of what it did.
    pub(super) fn event(&self, kind: Kind, clock: &Clock, origin: &Origin) -> Event {
        Event::new(kind, clock.now())
            .tenant(self.scope.tenant_id())
            .client(&self.claims.client_id)
            .grant(self.claims.grant)
            .from(origin)
    }
}

/// May list documents and read what is known of them.
#[derive(Debug)]
pub(super) struct Reader(pub(super) Caller);

/// May add and remove documents.
#[derive(Debug)]
pub(super) struct Writer(pub(super) Caller);

/// May search.
#[derive(Debug)]
pub(super) struct Searcher(pub(super) Caller);

/// Any of these.
#[derive(Debug)]
pub(super) struct Anybody(pub(super) Caller);

fn demand(parts: &Parts, scope: Scope) -> Result<Caller, Refused> {
    let caller = parts.extensions.get::<Caller>().cloned();
    let Some(caller) = caller else {
        tracing::error!("a route of the API has no gate");
        return Err(Refused::NoGate);
    };
    if caller.claims.scope.covers(scope) {
        Ok(caller)
    } else {
        Err(Refused::Scope(Challenge {
            reason: Reason::InsufficientScope,
            scheme: caller.scheme,
            metadata_url: caller.metadata_url,
            scope: Some(scope),
        }))
    }
}

/// Why a handler was not reached.
#[derive(Debug)]
pub(super) enum Refused {
    /// A good token without the scope: RFC 6750 §3.1.
    Scope(Challenge),
    /// Fails closed.
    NoGate,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Scope(challenge) => Problem::turned_away(&challenge),
            Self::NoGate => Problem::unavailable().into_response(),
        }
    }
}

macro_rules! demands {
    ($($caller:ident: $scope:expr;)*) => {$(
        impl<S: Sync> FromRequestParts<S> for $caller {
            type Rejection = Refused;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
                demand(parts, $scope).map(Self)
            }
        }
    )*};
}

demands! {
    Reader: Scope::DOCUMENTS_READ;
    Writer: Scope::DOCUMENTS_WRITE;
    Searcher: Scope::SEARCH_READ;
    Anybody: Scope::default();
}
