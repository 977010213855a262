//! `grant_type=client_credentials`: OAuth 2.1 §4.2, for the back ends that a tenant's admin made.
//!
//! Such a token acts under the grant that came with the client: with the vector stores that the
//! admin ticked, in the admin's tenant, and never with the rights of a user. There is no refresh
//! token (§4.2.3): whoever has the credentials needs none.

use crate::{
    audit::{self, Kind as Act},
    db::ControlTx,
    oauth::{
        client_auth::AuthenticatedClient,
        dpop::binding,
        error::{Error, ErrorCode, refuse},
        store_clients,
        store_grants::{self, Grant},
        tenant_policy,
        token::{Call, TokenResponse},
    },
};

/// An access token in the client's own name.
pub(in crate::oauth) async fn issue(
    mut tx: ControlTx,
    client: &AuthenticatedClient,
    call: &Call<'_>,
) -> Result<TokenResponse, Error> {
    // Whatever the client registered: without an admin's word there is nothing to act under.
    let rights = client.0.service.as_ref().ok_or(NOT_A_BACK_END)?;
    let grant = rights.grant.ok_or(NOT_A_BACK_END)?;
    let grant = store_grants::find(&mut tx, rights.tenant, grant).await?.ok_or(ENDED)?;
    if grant.user.is_some() || grant.client_id != client.0.client_id {
        return Err(ENDED);
    }
    let (resource, scope) = call.own_resource(&grant)?;
    let mut grant = Grant { resource, ..grant };
    let policy = tenant_policy::find(&mut tx, grant.tenant).await?;
    binding::bind_token(&mut grant, call.proof, policy.require_dpop)?;
    call.require_alive(&mut tx, &grant).await?;
    let response = call.issue(&grant, scope, None)?;
    store_clients::touch(&mut tx, &client.0, call.now).await?;
    let event = grant.event(Act::TokenIssued, (call.now, call.origin));
    audit::store::append_control(&mut tx, &event).await?;
    tx.commit().await?;
    Ok(response)
}

const NOT_A_BACK_END: Error = refuse(
    ErrorCode::UnauthorizedClient,
    "client_credentials is for clients that a tenant admin made with leave to do something",
);
const ENDED: Error =
    refuse(ErrorCode::InvalidGrant, "what the tenant admin let this client do has ended");
