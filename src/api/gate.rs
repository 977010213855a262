//! The gate: a live access token for this very resource, held by one of the tenant's back ends.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{caller::Caller, problem::Problem};
use crate::{
    db::TenantScope,
    fault::Fault,
    limits::{Call, Calls, Cost},
    oauth::{
        access_token::{Claims, Verifier},
        dpop::{self, Dpop, Proof, Target},
        liveness::Liveness,
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

/// How the token is shown: RFC 6750, or with a proof after RFC 9449 §7.1.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Bearer,
    Dpop,
}

/// Why a caller is turned away.
#[derive(Clone, Copy)]
enum Reason {
    /// No token at all: RFC 6750 §3.1 wants no error code then.
    TokenMissing,
    /// Not one of ours, or not any more, or for another resource. Which of these is not said.
    InvalidToken,
    /// A token that is bound to a key, without a good proof by that key.
    Proof(dpop::Refused),
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
    let (scheme, token) = shown(request.headers());
    let claims = match &token {
        Some(token) => gate.verifier.verify(token).await.ok_or(Reason::InvalidToken),
        None => Err(Reason::TokenMissing),
    };
    let token = token.unwrap_or_default();
    let identity = claims.and_then(|claims| {
        let proof = gate.proof(&request, (scheme, &token), &claims)?;
        Ok((claims, proof))
    });
    let caller = match identity {
        Ok((claims, proof)) => gate.caller(claims, proof.as_ref(), &resource).await,
        Err(reason) => Ok(Err(reason)),
    };
    let mut response = match caller {
        Ok(Ok(caller)) => {
            let caller = Caller { metadata_url, ..caller };
            request.extensions_mut().insert(caller.clone());
            gate.admit(&caller, request, next).await
        }
        Ok(Err(reason)) => challenge(scheme, reason, &metadata_url),
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

/// The token of the one `Authorization` header.
fn shown(headers: &HeaderMap) -> (Scheme, Option<String>) {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return (Scheme::Bearer, None) };
    let Some((scheme, token)) = value.to_str().ok().and_then(|text| text.trim().split_once(' '))
    else {
        return (Scheme::Bearer, None);
    };
    if scheme.eq_ignore_ascii_case("Bearer") {
        (Scheme::Bearer, Some(token.trim_start().to_owned()))
    } else if scheme.eq_ignore_ascii_case("DPoP") {
        (Scheme::Dpop, Some(token.trim_start().to_owned()))
    } else {
        (Scheme::Bearer, None)
    }
}

impl Gate {
    async fn caller(
        &self,
        claims: Arc<Claims>,
        proof: Option<&Proof>,
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
        if let Some(proof) = proof
            && !self.dpop.spend(proof).await?
        {
            return Ok(Err(Reason::Proof(dpop::USED)));
        }
        #[expect(clippy::disallowed_methods, reason = "the back end's grant was read just above")]
        let scope = TenantScope::proven(claims.tenant);
        Ok(Ok(Caller {
            scope,
            claims,
            stores: alive.vector_stores,
            keeps_questions: alive.keeps_questions,
            limits: alive.limits,
            metadata_url: String::new(),
        }))
    }

    /// RFC 9449 §7.1, §7.2: a bound token counts with a proof by its key, and no other with one.
    fn proof(
        &self,
        request: &Request,
        (scheme, token): (Scheme, &str),
        claims: &Arc<Claims>,
    ) -> Result<Option<Proof>, Reason> {
        match (scheme, &claims.cnf) {
            (Scheme::Bearer, None) => Ok(None),
            (Scheme::Dpop, Some(bound)) => {
                let target = Target {
                    method: request.method(),
                    path: request.uri().path(),
                    access_token: Some(token),
                };
                let proof = self.dpop.check(request.headers(), &target).map_err(Reason::Proof)?;
                match proof {
                    Some(proof) if proof.jkt() == bound.jkt => Ok(Some(proof)),
                    _ => Err(Reason::Proof(ANOTHER_KEY)),
                }
            }
            (Scheme::Bearer, Some(_)) | (Scheme::Dpop, None) => Err(Reason::InvalidToken),
        }
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

const ANOTHER_KEY: dpop::Refused =
    dpop::Refused::Proof("a DPoP proof by the key that the token is bound to must come with it");

fn challenge(scheme: Scheme, reason: Reason, metadata_url: &str) -> Response {
    let (error, detail) = match reason {
        Reason::TokenMissing => (None, "an access token for this resource is needed"),
        Reason::InvalidToken => (
            Some("invalid_token"),
            "the access token is unknown, expired, revoked, for another resource or shown under \
             another scheme than its token_type",
        ),
        Reason::Proof(refused) => (Some(refused.code()), refused.description()),
    };
    let mut challenge = match scheme {
        Scheme::Bearer => format!("Bearer resource_metadata=\"{metadata_url}\""),
        Scheme::Dpop => format!(
            "DPoP algs=\"{}\", resource_metadata=\"{metadata_url}\"",
            Dpop::algorithms().join(" ")
        ),
    };
    if let Some(error) = error {
        challenge.push_str(&format!(", error=\"{error}\", error_description=\"{detail}\""));
    }
    let kind = ("unauthorized", "Unauthorized");
    let mut response = Problem::new(StatusCode::UNAUTHORIZED, kind, detail).into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, value(&challenge));
    response
}

/// A header's value out of our own words and a URL of ours.
pub(super) fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("a URL of ours and fixed text")
}
