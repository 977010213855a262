//! The end of a tenant in Postgres.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::{db::ControlTx, ids::TenantId};

/// Mark a tenant, once. Its slug is free again: what it is called now fits no other one.
pub(super) async fn mark(
    tx: &mut ControlTx,
    tenant: TenantId,
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    let marked = sqlx::query!(
        "
        update tenants
           set deleted_at = $2, suspended_at = coalesce(suspended_at, $2),
               slug = 'deleted-' || replace(id::text, '-', ''), name = 'Deleted tenant'
         where id = $1 and deleted_at is null
        ",
        tenant.uuid(),
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(marked.rows_affected() == 1)
}

/// Remove a marked tenant that nobody else is removing. It takes as long as it takes: about a second
/// for ten thousand documents.
pub(super) async fn remove_one(tx: &mut ControlTx) -> sqlx::Result<bool> {
    sqlx::query!(
        "select set_config('statement_timeout', '0', true) as statement,
                set_config('lock_timeout', '20s', true) as lock"
    )
    .fetch_one(tx.conn())
    .await?;
    let removed = sqlx::query!(
        "
        delete from tenants
         where id = (select id from tenants where deleted_at is not null
                      order by id limit 1 for update skip locked)
        "
    )
    .execute(tx.conn())
    .await?;
    Ok(removed.rows_affected() == 1)
}

pub(super) async fn gone(tx: &mut ControlTx, tenants: &[TenantId]) -> sqlx::Result<Vec<TenantId>> {
    let tenants: Vec<Uuid> = tenants.iter().map(|tenant| tenant.uuid()).collect();
    sqlx::query_scalar!(
        r#"
        select known.id as "id!: TenantId"
          from unnest($1::uuid[]) as known (id)
         where not exists (select from tenants
                            where tenants.id = known.id and deleted_at is null)
        "#,
        &tenants,
    )
    .fetch_all(tx.conn())
    .await
}

pub(super) async fn forget_records(tx: &mut ControlTx) -> sqlx::Result<u64> {
    let forgotten =
        sqlx::query!("delete from audit_logs where closed_at < now() - interval '90 days'",)
            .execute(tx.conn())
            .await?;
    Ok(forgotten.rows_affected())
}
