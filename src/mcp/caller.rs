//! The gate: no message is read before its sender's token was checked, on every request.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use time::OffsetDateTime;

use super::{
    challenge::{challenge, refuse},
    jsonrpc::{RpcError, code},
    sse::handlers::resource_path,
    transport::MAX_BODY,
};
use crate::{
    clock::{Clock, LEEWAY},
    db::TenantScope,
    fault::Fault,
    ids::{GrantId, UserId, VectorStoreId},
    limits::{Call, Cost, TenantLimits},
    oauth::{
        access_token::{Claims, Verifier},
        challenge::{Reason, Scheme},
        dpop::{self, Dpop},
        liveness::Liveness,
        presented::{Identity, Presented},
        resource::{Resource, Resources},
        scope::Scope,
    },
};

/// Who calls, proved a moment ago. In the extensions of every request that passes the gate.
#[derive(Clone, Debug)]
pub(super) struct Caller(Arc<Proved>);

#[derive(Debug)]
struct Proved {
    scheme: Scheme,
    scope: TenantScope,
    claims: Arc<Claims>,
    vector_stores: Vec<VectorStoreId>,
    keeps_questions: bool,
    limits: TenantLimits,
    at: OffsetDateTime,
}

impl Caller {
    /// How it showed its token.
    pub(super) fn scheme(&self) -> Scheme {
        self.0.scheme
    }

    /// The tenant.
    pub(super) fn scope(&self) -> TenantScope {
        self.0.scope
    }

    /// None: a service client in its own name.
    pub(super) fn user(&self) -> Option<UserId> {
        self.0.claims.user()
    }

    pub(super) fn client_id(&self) -> &str {
        &self.0.claims.client_id
    }

    pub(super) fn grant(&self) -> GrantId {
        self.0.claims.grant
    }

    /// What the token may be used for.
    pub(super) fn granted(&self) -> Scope {
        self.0.claims.scope
    }

    /// The stores that the user ticked and that still exist.
    pub(super) fn vector_stores(&self) -> &[VectorStoreId] {
        &self.0.vector_stores
    }

    /// Whether the tenant wants questions kept.
    pub(super) fn keeps_questions(&self) -> bool {
        self.0.keeps_questions
    }

    /// What the token says, and when it was last known to be alive.
    pub(super) fn proof(&self) -> (&Claims, OffsetDateTime) {
        (&self.0.claims, self.0.at)
    }

    /// Somebody who passed the gate a moment ago, proved anew; `None` when the token is dead.
    pub(super) async fn proved(
        claims: Arc<Claims>,
        scheme: Scheme,
        liveness: &Liveness,
        clock: &Clock,
    ) -> Result<Option<Self>, Fault> {
        let at = clock.now();
        if claims.exp <= (at - LEEWAY).unix_timestamp() {
            return Ok(None);
        }
        Ok(liveness.check(&claims).await?.map(|alive| {
            #[expect(clippy::disallowed_methods, reason = "membership was read just above")]
            let scope = TenantScope::proven(claims.tenant);
            Self(Arc::new(Proved {
                scheme,
                scope,
                claims,
                vector_stores: alive.vector_stores,
                keeps_questions: alive.keeps_questions,
                limits: alive.limits,
                at,
            }))
        }))
    }

    /// Whether the token lives, and may read what it could when it was last proved.
    pub(super) async fn is_unchanged(
        &self,
        liveness: &Liveness,
        clock: &Clock,
    ) -> Result<bool, Fault> {
        let claims = Arc::clone(&self.0.claims);
        let now = Self::proved(claims, self.0.scheme, liveness, clock).await?;
        Ok(now.is_some_and(|now| now.vector_stores() == self.vector_stores()))
    }

    /// A call of theirs, as limits count it. A service client, which has no user, counts as one by
    /// itself.
    pub(super) fn call(&self, cost: Cost) -> Call<'_> {
        Call {
            tenant: self.scope().tenant_id(),
            limits: self.0.limits,
            user: self.user().map_or(self.grant().uuid(), UserId::uuid),
            client_id: self.client_id(),
            grant: self.grant(),
            cost,
        }
    }
}

/// What the gate asks.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    pub(super) verifier: Verifier,
    pub(super) liveness: Liveness,
    pub(super) dpop: Dpop,
    pub(super) resources: Resources,
    pub(super) clock: Clock,
}

/// Middleware: let in who shows a live token for this very resource.
pub(super) async fn require_access_token(
    State(gate): State<Arc<Gate>>,
    request: Request,
    next: Next,
) -> Response {
    let path = resource_path(request.uri().path());
    let Some(resource) = Resources::at_path(path) else {
        let message = "there is no such endpoint";
        return RpcError::new(StatusCode::NOT_FOUND, code::INVALID_REQUEST, message)
            .into_response();
    };
    let metadata_url = gate.resources.metadata_url_for(path);
    let presented = match Presented::in_headers(request.headers()) {
        Ok(presented) => presented,
        Err(reason) => return refuse(&challenge(reason, Scheme::Bearer, metadata_url)),
    };
    let scheme = presented.scheme;
    let claims = presented.claims(&gate.verifier).await;
    let mut response = match presented.identify(claims, &request, &gate.dpop) {
        Ok(identity) => gate.let_in(identity, &resource, request, next).await,
        Err(reason) => Err(reason),
    }
    .unwrap_or_else(|reason| refuse(&challenge(reason, scheme, metadata_url)));
    if scheme == Scheme::Dpop {
        gate.dpop.offer_nonce(response.headers_mut());
    }
    response
}

impl Gate {
    /// Ask the database, and go on where it agrees.
    async fn let_in(
        &self,
        identity: Identity,
        resource: &Resource,
        request: Request,
        next: Next,
    ) -> Result<Response, Reason> {
        let caller = match self.caller(&identity, resource).await {
            Ok(caller) => caller?,
            // Nobody said that the grant lives, so nobody passes.
            Err(fault) => return Ok(RpcError::fault(&fault).into_response()),
        };
        match set_form_aside(request).await {
            Ok((_, true)) => Err(Reason::InvalidRequest("the token was sent in two ways")),
            Ok((mut request, false)) => {
                request.extensions_mut().insert(caller);
                Ok(next.run(request).await)
            }
            Err(too_large) => Ok(too_large.into_response()),
        }
    }

    async fn caller(
        &self,
        Identity { claims, proof }: &Identity,
        resource: &Resource,
    ) -> Result<Result<Caller, Reason>, Fault> {
        const INVALID: Result<Result<Caller, Reason>, Fault> = Ok(Err(Reason::InvalidToken));
        // RFC 9068 §4, RFC 8707 §2: a token for another resource is none for this one.
        let is_named = claims.aud == self.resources.audience(resource);
        if !is_named && claims.aud != self.resources.mcp() {
            return INVALID;
        }
        // From before the question: what is revoked while it is on its way counts as after.
        let at = self.clock.now();
        // The signature says that the token was good once; this says that its grant still is.
        let Some(alive) = self.liveness.check(claims).await? else { return INVALID };
        // A client that named no resource (MCP 2025-03-26) may have begun at the tenant's URL: the
        // token that it got for want of a name holds there too, for the tenant that was chosen.
        if !is_named && alive.resource_was_sent {
            return INVALID;
        }
        if let Resource::TenantMcp(slug) = resource
            && *slug != alive.tenant_slug
        {
            return INVALID;
        }
        if let Some(proof) = proof
            && !self.dpop.spend(proof).await?
        {
            return Ok(Err(Reason::Proof(dpop::USED)));
        }
        #[expect(clippy::disallowed_methods, reason = "membership was read just above")]
        let scope = TenantScope::proven(claims.tenant);
        Ok(Ok(Caller(Arc::new(Proved {
            scheme: if proof.is_some() { Scheme::Dpop } else { Scheme::Bearer },
            scope,
            claims: Arc::clone(claims),
            vector_stores: alive.vector_stores,
            keeps_questions: alive.keeps_questions,
            limits: alive.limits,
            at,
        }))))
    }
}

/// Whether a form in the body carries a token too (RFC 6750 §2.2, which we do not offer).
async fn set_form_aside(request: Request) -> Result<(Request, bool), RpcError> {
    let is_form = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    if !is_form {
        return Ok((request, false));
    }
    let (parts, body) = request.into_parts();
    let body = read(body).await?;
    let carries = url::form_urlencoded::parse(&body).any(|(name, _)| name == "access_token");
    Ok((Request::from_parts(parts, Body::from(body)), carries))
}

/// A body, up to the most that we take.
pub(super) async fn read(body: Body) -> Result<Bytes, RpcError> {
    axum::body::to_bytes(body, MAX_BODY).await.map_err(|_| too_large())
}

/// 413.
pub(super) fn too_large() -> RpcError {
    let message = "the body is larger than 1 MiB, or broke off";
    RpcError::new(StatusCode::PAYLOAD_TOO_LARGE, code::INVALID_REQUEST, message)
}
