//! Providers, and sign-ins on their way, in Postgres.

use sqlx::types::Uuid;
use time::OffsetDateTime;

use super::{Provider, host};
use crate::{
    db::ControlTx,
    ids::{TenantId, UserId},
    secret::SecretHash,
};

/// What the sign-in page offers.
#[derive(Clone, Debug)]
pub(in crate::sign_in) struct Choice {
    pub(in crate::sign_in) slug: String,
    pub(in crate::sign_in) tenant_name: String,
    /// Where the button leads.
    pub(in crate::sign_in) host: String,
    /// Its whole address.
    pub(in crate::sign_in) endpoint: String,
}

/// The provider of the tenant with this slug, where it is switched on.
pub(in crate::sign_in) async fn choice(
    tx: &mut ControlTx,
    slug: &str,
) -> sqlx::Result<Option<Choice>> {
    Ok(find_enabled(tx, slug).await?.map(|provider| Choice {
        host: host(&provider.authorization_endpoint),
        slug: provider.slug,
        tenant_name: provider.tenant_name,
        endpoint: provider.authorization_endpoint,
    }))
}

/// The same with all that belongs to it.
pub(super) async fn find_enabled(tx: &mut ControlTx, slug: &str) -> sqlx::Result<Option<Provider>> {
    sqlx::query_as!(
        Provider,
        r#"
        select p.tenant_id as "tenant: TenantId", t.slug, t.name as tenant_name, p.revision,
               p.issuer, p.client_id, p.client_secret_sealed, p.secret_in_body, p.sends_iss,
               p.authorization_endpoint, p.token_endpoint, p.jwks_uri
          from tenant_sso_providers p
          join tenants t on t.id = p.tenant_id and t.suspended_at is null
         where t.slug = $1 and p.enabled
        "#,
        slug,
    )
    .fetch_optional(tx.conn())
    .await
}

/// Keep what a browser has begun.
pub(super) async fn begin(
    tx: &mut ControlTx,
    provider: &Provider,
    (state, browser): (&SecretHash, &SecretHash),
    return_to: &str,
    (now, expires_at): (OffsetDateTime, OffsetDateTime),
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into sso_sign_ins
           (secret_hash, tenant_id, browser_hash, revision, return_to, created_at, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7)",
        state.as_bytes(),
        provider.tenant.uuid(),
        browser.as_bytes(),
        provider.revision,
        return_to,
        now,
        expires_at,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Spend what this very browser has begun with this tenant's provider as it still is: where to go
/// after it. Of any number of racing callers, one gets it.
pub(super) async fn spend(
    tx: &mut ControlTx,
    provider: &Provider,
    (state, browser): (&SecretHash, &SecretHash),
    now: OffsetDateTime,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "update sso_sign_ins
            set used_at = $5
          where secret_hash = $1 and browser_hash = $2 and tenant_id = $3 and revision = $4
            and used_at is null and expires_at > $5
        returning return_to",
        state.as_bytes(),
        browser.as_bytes(),
        provider.tenant.uuid(),
        provider.revision,
        now,
    )
    .fetch_optional(tx.conn())
    .await
}

/// Whether the provider is still what it was and switched on. It stays so until `tx` ends.
pub(super) async fn holds(tx: &mut ControlTx, provider: &Provider) -> sqlx::Result<bool> {
    let held = sqlx::query_scalar!(
        "select tenant_id from tenant_sso_providers
          where tenant_id = $1 and revision = $2 and enabled
            for share",
        provider.tenant.uuid(),
        provider.revision,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(held.is_some())
}

/// A provider as the tenant's admins see it.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) enabled: bool,
    pub(super) issuer: String,
    pub(super) client_id: String,
    pub(super) client_secret_sealed: Vec<u8>,
    pub(super) updated_at: OffsetDateTime,
}

/// The tenant's provider, switched on or off.
pub(super) async fn find(tx: &mut ControlTx, tenant: TenantId) -> sqlx::Result<Option<Kept>> {
    sqlx::query_as!(
        Kept,
        "select enabled, issuer, client_id, client_secret_sealed, updated_at
           from tenant_sso_providers
          where tenant_id = $1",
        tenant.uuid(),
    )
    .fetch_optional(tx.conn())
    .await
}

/// The same, and nobody changes it until `tx` ends.
pub(super) async fn hold(tx: &mut ControlTx, tenant: TenantId) -> sqlx::Result<Option<Kept>> {
    sqlx::query_as!(
        Kept,
        "select enabled, issuer, client_id, client_secret_sealed, updated_at
           from tenant_sso_providers
          where tenant_id = $1
            for update",
        tenant.uuid(),
    )
    .fetch_optional(tx.conn())
    .await
}

/// Put a provider in the place of what was there.
pub(super) async fn save(
    tx: &mut ControlTx,
    new: &Provider,
    enabled: bool,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into tenant_sso_providers
           (tenant_id, revision, enabled, issuer, client_id, client_secret_sealed, secret_in_body,
            sends_iss, authorization_endpoint, token_endpoint, jwks_uri, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
             on conflict (tenant_id) do update
            set (revision, enabled, issuer, client_id, client_secret_sealed, secret_in_body,
                 sends_iss, authorization_endpoint, token_endpoint, jwks_uri, updated_at)
              = (excluded.revision, excluded.enabled, excluded.issuer, excluded.client_id,
                 excluded.client_secret_sealed, excluded.secret_in_body, excluded.sends_iss,
                 excluded.authorization_endpoint, excluded.token_endpoint, excluded.jwks_uri,
                 excluded.updated_at)",
        new.tenant.uuid(),
        new.revision,
        enabled,
        new.issuer,
        new.client_id,
        new.client_secret_sealed,
        new.secret_in_body,
        new.sends_iss,
        new.authorization_endpoint,
        new.token_endpoint,
        new.jwks_uri,
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Switch the provider on or off as it is.
pub(super) async fn switch(
    tx: &mut ControlTx,
    tenant: TenantId,
    enabled: bool,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update tenant_sso_providers set enabled = $2, revision = $3, updated_at = $4
          where tenant_id = $1",
        tenant.uuid(),
        enabled,
        Uuid::now_v7(),
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Forget the provider.
pub(super) async fn delete(tx: &mut ControlTx, tenant: TenantId) -> sqlx::Result<()> {
    sqlx::query!("delete from tenant_sso_providers where tenant_id = $1", tenant.uuid())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// End the sessions that began with the word of the tenant's provider: one member's, or all.
pub(super) async fn end_sessions(
    tx: &mut ControlTx,
    tenant: TenantId,
    user: Option<UserId>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from sessions
          where sso_tenant_id = $1 and ($2::uuid is null or user_id = $2)",
        tenant.uuid(),
        user.map(UserId::uuid),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Forget what nobody can come back with.
pub(in crate::sign_in) async fn purge(tx: &mut ControlTx, now: OffsetDateTime) -> sqlx::Result<()> {
    sqlx::query!("delete from sso_sign_ins where expires_at <= $1", now).execute(tx.conn()).await?;
    Ok(())
}
