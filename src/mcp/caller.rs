//! The gate: no message is read before its sender's token was checked, on every request.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{Extensions, HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    challenge::{Challenge, Reason},
    jsonrpc::{RpcError, code},
    transport::MAX_BODY,
};
use crate::{
    clock::Clock,
    db::TenantScope,
    fault::Fault,
    ids::{GrantId, TenantId, UserId, VectorStoreId},
    oauth::{
        access_token::{Claims, Verifier},
        liveness::Liveness,
        resource::{Resource, Resources},
        scope::Scope,
    },
};

/// Who calls, proved a moment ago. In the extensions of every request that passes the gate.
#[derive(Clone, Debug)]
pub(super) struct Caller(Arc<Proved>);

#[derive(Debug)]
struct Proved {
    scope: TenantScope,
    claims: Arc<Claims>,
    vector_stores: Vec<VectorStoreId>,
    at: OffsetDateTime,
}

impl Caller {
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

    /// What the token says, and when it was last known to be alive.
    pub(super) fn proof(&self) -> (&Claims, OffsetDateTime) {
        (&self.0.claims, self.0.at)
    }

    /// Keys of the limits.
    pub(super) fn key_grant(extensions: &Extensions) -> Option<GrantId> {
        extensions.get::<Self>().map(Self::grant)
    }

    /// A service client, which has no user, counts as one by itself.
    pub(super) fn key_user(extensions: &Extensions) -> Option<Uuid> {
        let caller = extensions.get::<Self>()?;
        Some(caller.user().map_or(caller.grant().uuid(), UserId::uuid))
    }

    pub(super) fn key_tenant(extensions: &Extensions) -> Option<TenantId> {
        extensions.get::<Self>().map(|caller| caller.scope().tenant_id())
    }
}

/// What the gate asks.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    pub(super) verifier: Verifier,
    pub(super) liveness: Liveness,
    pub(super) resources: Resources,
    pub(super) clock: Clock,
}

/// Middleware: let in who shows a live token for this very resource.
pub(super) async fn require_access_token(
    State(gate): State<Gate>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let Some(resource) = Resources::at_path(path) else {
        let message = "there is no such endpoint";
        return RpcError::new(StatusCode::NOT_FOUND, code::INVALID_REQUEST, message)
            .into_response();
    };
    let metadata_url = gate.resources.metadata_url_for(path);
    let turn_away = |reason| Challenge { reason, metadata_url }.into_response();
    let token = match bearer(request.headers()) {
        Ok(token) => token,
        Err(reason) => return turn_away(reason),
    };
    let caller = match gate.caller(&token, &resource).await {
        Ok(Some(caller)) => caller,
        Ok(None) => return turn_away(Reason::InvalidToken),
        // Nobody said that the grant lives, so nobody passes.
        Err(fault) => return RpcError::fault(&fault).into_response(),
    };
    match set_form_aside(request).await {
        Ok((_, true)) => turn_away(Reason::InvalidRequest("the token was sent in two ways")),
        Ok((mut request, false)) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(too_large) => too_large.into_response(),
    }
}

impl Gate {
    async fn caller(&self, token: &str, resource: &Resource) -> Result<Option<Caller>, Fault> {
        let Some(claims) = self.verifier.verify(token) else { return Ok(None) };
        // RFC 9068 §4, RFC 8707 §2: a token for another resource is none for this one.
        let is_named = claims.aud == self.resources.audience(resource);
        if !is_named && claims.aud != self.resources.mcp() {
            return Ok(None);
        }
        // From before the question: what is revoked while it is on its way counts as after.
        let at = self.clock.now();
        // The signature says that the token was good once; this says that its grant still is.
        let Some(alive) = self.liveness.check(&claims).await? else { return Ok(None) };
        // A client that named no resource (MCP 2025-03-26) may have begun at the tenant's URL: the
        // token that it got for want of a name holds there too, for the tenant that was chosen.
        if !is_named && alive.resource_was_sent {
            return Ok(None);
        }
        if let Resource::TenantMcp(slug) = resource
            && *slug != alive.tenant_slug
        {
            return Ok(None);
        }
        #[expect(clippy::disallowed_methods, reason = "membership was read just above")]
        let scope = TenantScope::proven(claims.tenant);
        Ok(Some(Caller(Arc::new(Proved { scope, claims, vector_stores: alive.vector_stores, at }))))
    }
}

/// The token of the one `Authorization` header. A token in the query is not looked at: OAuth 2.1
/// §5.1.
fn bearer(headers: &HeaderMap) -> Result<String, Reason> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Err(Reason::TokenMissing) };
    if values.next().is_some() {
        return Err(Reason::InvalidRequest("more than one Authorization header"));
    }
    let (scheme, token) = match value.to_str() {
        Ok(text) => text.trim().split_once(' ').unwrap_or((text.trim(), "")),
        Err(_) => return Err(Reason::InvalidToken),
    };
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(Reason::TokenMissing);
    }
    Ok(token.trim_start().to_owned())
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
