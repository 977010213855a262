//! Tenants' data keys in Postgres, wrapped.

use time::OffsetDateTime;

use crate::{db::TenantTx, ids::TenantId};

/// The tenant's newest data key, wrapped, with its version.
pub(super) async fn newest_data_key(tx: &mut TenantTx) -> sqlx::Result<Option<(i32, Vec<u8>)>> {
    let row =
        sqlx::query!("select version, wrapped_key from tenant_keys order by version desc limit 1")
            .fetch_optional(tx.conn())
            .await?;
    Ok(row.map(|row| (row.version, row.wrapped_key)))
}

/// One version of the tenant's data key, wrapped.
pub(super) async fn data_key(tx: &mut TenantTx, version: i32) -> sqlx::Result<Option<Vec<u8>>> {
    sqlx::query_scalar!("select wrapped_key from tenant_keys where version = $1", version)
        .fetch_optional(tx.conn())
        .await
}

/// Keep the tenant's first data key, unless another one got there first.
pub(super) async fn create_data_key(
    tx: &mut TenantTx,
    wrapped: &[u8],
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    let tenant: TenantId = tx.scope().tenant_id();
    sqlx::query!(
        "
        insert into tenant_keys (tenant_id, version, wrapped_key, created_at)
        values ($1, 1, $2, $3)
        on conflict do nothing
        ",
        tenant.uuid(),
        wrapped,
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
