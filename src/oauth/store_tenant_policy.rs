//! Tenants' demands in Postgres.

use time::Duration;

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
