//! Tenants' demands in Postgres, and the grants that they end.

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::tenant_policy::{AppsRule, TenantPolicy};
use crate::{db::ControlTx, ids::TenantId};

/// What the tenant demands.
///
/// # Errors
/// When the database fails.
pub async fn find(tx: &mut ControlTx, tenant: TenantId) -> sqlx::Result<TenantPolicy> {
    let row = sqlx::query!(
        "
        select apps, allowed_hosts, require_dpop, refresh_retry_seconds, updated_at
          from tenant_oauth_policies
         where tenant_id = $1
        ",
        tenant.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map_or_else(TenantPolicy::default, |row| TenantPolicy {
        // A name from a later version narrows; it never opens.
        apps: AppsRule::from_name(&row.apps).unwrap_or(AppsRule::Off),
        allowed_hosts: row.allowed_hosts,
        require_dpop: row.require_dpop,
        refresh_retry: Duration::seconds(row.refresh_retry_seconds.into()),
        updated_at: Some(row.updated_at),
    }))
}

/// Keep the tenant's rules and approvals as they are until the end of the transaction. Any number
/// may hold them; what is read after this is what holds.
pub(in crate::oauth) async fn hold(tx: &mut ControlTx, tenant: TenantId) -> sqlx::Result<()> {
    sqlx::query!("select from tenants where id = $1 for share", tenant.uuid())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Keep everybody else from holding, changing and revoking until the end of the transaction. Rows
/// that point at the tenant are still made meanwhile: that needs a weaker lock.
pub(in crate::oauth) async fn hold_to_change(
    tx: &mut ControlTx,
    tenant: TenantId,
) -> sqlx::Result<()> {
    sqlx::query!("select from tenants where id = $1 for no key update", tenant.uuid())
        .execute(tx.conn())
        .await?;
    Ok(())
}

pub(super) async fn save(
    tx: &mut ControlTx,
    tenant: TenantId,
    policy: &TenantPolicy,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    let seconds = i16::try_from(policy.refresh_retry.whole_seconds()).unwrap_or(i16::MAX);
    sqlx::query!(
        "
        insert into tenant_oauth_policies
               (tenant_id, apps, allowed_hosts, require_dpop, refresh_retry_seconds, updated_at)
        values ($1, $2, $3, $4, $5, $6)
            on conflict (tenant_id) do update
           set apps = excluded.apps, allowed_hosts = excluded.allowed_hosts,
               require_dpop = excluded.require_dpop,
               refresh_retry_seconds = excluded.refresh_retry_seconds,
               updated_at = excluded.updated_at
        ",
        tenant.uuid(),
        policy.apps.as_str(),
        &policy.allowed_hosts,
        policy.require_dpop,
        seconds,
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A member's living grant, as far as rules go.
pub(super) struct LiveGrant {
    pub(super) id: Uuid,
    pub(super) user_id: Option<Uuid>,
    pub(super) client_id: String,
    pub(super) client_name: String,
    pub(super) source: String,
    pub(super) redirect_uri: String,
    /// Wherever the client's answers may go.
    pub(super) redirect_uris: Vec<String>,
    pub(super) app_identity: Vec<u8>,
    /// Its tokens are bound to a key.
    pub(super) is_bound: bool,
    /// What an admin decided.
    pub(super) approved: Option<bool>,
}

/// What members have connected. Service clients are an admin's own doing.
pub(super) async fn live_grants(
    tx: &mut ControlTx,
    tenant: TenantId,
    now: OffsetDateTime,
) -> sqlx::Result<Vec<LiveGrant>> {
    sqlx::query_as!(
        LiveGrant,
        r#"
        select g.id, g.user_id, g.client_id, c.client_name, c.source, g.redirect_uri, c.redirect_uris,
               c.app_identity as "app_identity!", g.dpop_jkt is not null as "is_bound!",
               a.approved as "approved?"
          from oauth_grants g
          join oauth_clients c on c.client_id = g.client_id and c.source <> 'tenant'
           and c.disabled_at is null and c.version = g.client_version
          left join oauth_app_approvals a
            on a.tenant_id = g.tenant_id and a.app_identity = c.app_identity
         where g.tenant_id = $1 and g.user_id is not null
           and g.revoked_at is null and g.expires_at > $2
        "#,
        tenant.uuid(),
        now,
    )
    .fetch_all(tx.conn())
    .await
}
