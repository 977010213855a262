//! What introspection reads besides: a refresh token with its grant, without taking either.

use time::OffsetDateTime;

use super::{
    scope::Scope,
    store_tokens::{self, RefreshToken},
};
use crate::{
    db::ControlTx,
    ids::{GrantId, TenantId, UserId},
    secret::SecretHash,
};

/// A refresh token and what it stands for.
pub(super) struct Found {
    pub(super) token: RefreshToken,
    pub(super) tenant: TenantId,
    pub(super) grant: GrantId,
    pub(super) user: Option<UserId>,
    pub(super) client_id: String,
    pub(super) resource: String,
    pub(super) scope: Scope,
    /// The key that it is bound to: RFC 9449 §5.
    pub(super) dpop_jkt: Option<String>,
    pub(super) created_at: OffsetDateTime,
}

/// A refresh token of this tenant's, alive or not.
pub(super) async fn find_refresh_token(
    tx: &mut ControlTx,
    secret: &SecretHash,
    tenant: TenantId,
) -> sqlx::Result<Option<Found>> {
    let row = sqlx::query!(
        r#"
        select grants.id as "id: GrantId", grants.user_id as "user_id: UserId", grants.client_id,
               grants.resource, grants.scope, grants.dpop_jkt, presented.created_at
          from oauth_refresh_tokens presented
          join oauth_grants grants
            on grants.tenant_id = presented.tenant_id and grants.id = presented.grant_id
         where presented.secret_hash = $1 and presented.tenant_id = $2
        "#,
        secret.as_bytes(),
        tenant.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let Some(token) = store_tokens::find_refresh_token(tx, secret).await? else { return Ok(None) };
    Ok(Some(Found {
        token,
        tenant,
        grant: row.id,
        user: row.user_id,
        client_id: row.client_id,
        resource: row.resource,
        scope: Scope::from_names(&row.scope),
        dpop_jkt: row.dpop_jkt,
        created_at: row.created_at,
    }))
}
