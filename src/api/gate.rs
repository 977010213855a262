//! The gate: a live access token for this very resource, held by one of the tenant's back ends.

use axum::{
    extract::{Request, State},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{caller::Caller, problem::Problem};
use crate::{
    db::TenantScope,
    fault::Fault,
    limits::{Call, Calls, Cost},
    oauth::{
        access_token::Verifier,
        challenge::{Challenge, Reason, Scheme},
        dpop::{self, Dpop},
        liveness::Liveness,
        presented::{Identity, Presented},
        resource::{Resource, Resources},
    },
};

/// What the gate asks.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    pub(super) verifier: Verifier,
    pub(super) liveness: Liveness,
    pub(super) dpop: Dpop,
    pub(super) resources: Resources,
    pub(super) calls: Calls,
}

/// Middleware: let in who shows a live token for the API of the tenant in the path.
pub(super) async fn require_back_end(
    State(gate): State<Gate>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(resource) = resource_of(request.uri().path()) else {
        return Problem::not_found().into_response();
    };
    let place = format!("/t/{}/api", slug(&resource));
    let metadata_url = gate.resources.metadata_url_for(&place);
    let presented = Presented::in_headers(request.headers());
    let scheme = presented.as_ref().map_or(Scheme::Bearer, |presented| presented.scheme);
    let identity = match presented {
        Ok(presented) => {
            let claims = presented.claims(&gate.verifier).await;
            presented.identify(claims, &request, &gate.dpop)
        }
        Err(reason) => Err(reason),
    };
    let caller = match identity {
        Ok(identity) => gate.caller(identity, &resource).await,
        Err(reason) => Ok(Err(reason)),
    };
    let mut response = match caller {
        Ok(Ok(caller)) => {
            let caller = Caller { metadata_url, ..caller };
            request.extensions_mut().insert(caller.clone());
            gate.admit(&caller, request, next).await
        }
        Ok(Err(reason)) => {
            Problem::turned_away(&Challenge { reason, scheme, metadata_url, scope: None })
        }
        // Nobody said that the grant lives, so nobody passes.
        Err(fault) => Problem::fault(&fault).into_response(),
    };
    if scheme == Scheme::Dpop {
        gate.dpop.offer_nonce(response.headers_mut());
    }
    response
}

/// `/t/acme/api/v1/…` is at `/t/acme/api`.
fn resource_of(path: &str) -> Option<Resource> {
    let (slug, _) = path.strip_prefix("/t/")?.split_once("/api/")?;
    Resources::at_path(&format!("/t/{slug}/api"))
}

fn slug(resource: &Resource) -> &str {
    match resource {
        Resource::TenantApi(slug) | Resource::TenantMcp(slug) => slug,
        Resource::Mcp => "",
    }
}

impl Gate {
    async fn caller(
        &self,
        Identity { claims, proof }: Identity,
        resource: &Resource,
    ) -> Result<Result<Caller, Reason>, Fault> {
        const INVALID: Result<Result<Caller, Reason>, Fault> = Ok(Err(Reason::InvalidToken));
        // RFC 9068 §4, RFC 8707 §2: a token for another resource is none for this one. No user has
        // one for this: see `oauth::resource`.
        if claims.aud != self.resources.audience(resource) || claims.user().is_some() {
            return INVALID;
        }
        let Some(alive) = self.liveness.check(&claims).await? else { return INVALID };
        if alive.tenant_slug != slug(resource) {
            return INVALID;
        }
        if let Some(proof) = &proof
            && !self.dpop.spend(proof).await?
        {
            return Ok(Err(Reason::Proof(dpop::USED)));
        }
        #[expect(clippy::disallowed_methods, reason = "the back end's grant was read just above")]
        let scope = TenantScope::proven(claims.tenant);
        Ok(Ok(Caller {
            scope,
            scheme: if proof.is_some() { Scheme::Dpop } else { Scheme::Bearer },
            claims,
            stores: alive.vector_stores,
            keeps_questions: alive.keeps_questions,
            limits: alive.limits,
            metadata_url: String::new(),
        }))
    }

    async fn admit(&self, caller: &Caller, request: Request, next: Next) -> Response {
        let cost = if request.method() == Method::GET { Cost::Other } else { Cost::Tool };
        let grant = caller.claims.grant;
        let call = Call {
            tenant: caller.scope.tenant_id(),
            limits: caller.limits,
            // It has no user, and counts as one by itself.
            user: grant.uuid(),
            client_id: &caller.claims.client_id,
            grant,
            cost,
        };
        match self.calls.admit(&call).await {
            Ok(admitted) => {
                let mut response = next.run(request).await;
                admitted.tell(response.headers_mut());
                response
            }
            Err(limited) => limited.refuse(Problem::limited(&limited).into_response()),
        }
    }
}
