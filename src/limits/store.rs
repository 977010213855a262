//! Tenants' own limits and what was refused, in Postgres.

use std::collections::HashMap;

use time::{Date, Duration};
use uuid::Uuid;

use super::tenant::{Numbers, TenantLimits};
use crate::{
    db::{ControlTx, TenantTx},
    ids::TenantId,
};

/// How long counts of refused calls are kept.
const KEPT: Duration = Duration::days(90);

/// The tenant's limits.
///
/// # Errors
/// When the database fails.
pub async fn find(tx: &mut ControlTx, tenant: TenantId) -> sqlx::Result<TenantLimits> {
    let row = sqlx::query!(
        "
        select bound_per_minute, bound_user_per_minute, bound_token_per_minute, bound_at_once,
               per_minute, user_per_minute, token_per_minute, at_once
          from tenant_limits
         where tenant_id = $1
        ",
        tenant.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map_or_else(TenantLimits::default, |row| {
        let bound = [
            row.bound_per_minute,
            row.bound_user_per_minute,
            row.bound_token_per_minute,
            row.bound_at_once,
        ];
        let chosen = [row.per_minute, row.user_per_minute, row.token_per_minute, row.at_once];
        TenantLimits { bound: bound.into(), chosen: chosen.into() }
    }))
}

/// What the tenant's admins choose from now on.
///
/// # Errors
/// When the database fails.
pub async fn choose(tx: &mut ControlTx, tenant: TenantId, chosen: Numbers) -> sqlx::Result<()> {
    let [per_minute, user, token, at_once] = chosen.stored();
    sqlx::query!(
        "
        insert into tenant_limits
               (tenant_id, per_minute, user_per_minute, token_per_minute, at_once)
        values ($1, $2, $3, $4, $5)
            on conflict (tenant_id) do update
           set per_minute = excluded.per_minute, user_per_minute = excluded.user_per_minute,
               token_per_minute = excluded.token_per_minute, at_once = excluded.at_once
        ",
        tenant.uuid(),
        per_minute,
        user,
        token,
        at_once,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// How far the tenant's limits may go from now on.
///
/// # Errors
/// When the database fails.
pub async fn bound(tx: &mut ControlTx, tenant: TenantId, bound: Numbers) -> sqlx::Result<()> {
    let [per_minute, user, token, at_once] = bound.stored();
    sqlx::query!(
        "
        insert into tenant_limits
               (tenant_id, bound_per_minute, bound_user_per_minute, bound_token_per_minute,
                bound_at_once)
        values ($1, $2, $3, $4, $5)
            on conflict (tenant_id) do update
           set bound_per_minute = excluded.bound_per_minute,
               bound_user_per_minute = excluded.bound_user_per_minute,
               bound_token_per_minute = excluded.bound_token_per_minute,
               bound_at_once = excluded.bound_at_once
        ",
        tenant.uuid(),
        per_minute,
        user,
        token,
        at_once,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Add to a day's counts. A tenant that is gone meanwhile is left out.
pub(super) async fn add_refused(
    tx: &mut ControlTx,
    day: Date,
    counts: &HashMap<(TenantId, &'static str), i64>,
) -> sqlx::Result<()> {
    let mut rows: Vec<(Uuid, &str, i64)> =
        counts.iter().map(|((tenant, name), count)| (tenant.uuid(), *name, *count)).collect();
    // Nodes that write at the same time lock rows in one order.
    rows.sort_unstable();
    let tenants: Vec<Uuid> = rows.iter().map(|row| row.0).collect();
    let names: Vec<String> = rows.iter().map(|row| row.1.to_owned()).collect();
    let refused: Vec<i64> = rows.iter().map(|row| row.2).collect();
    sqlx::query!(
        "
        insert into limit_refusals (tenant_id, day, limit_name, refused)
        select noted.tenant_id, $1, noted.limit_name, noted.refused
          from unnest($2::uuid[], $3::text[], $4::bigint[])
               as noted (tenant_id, limit_name, refused)
          join tenants on tenants.id = noted.tenant_id
         order by noted.tenant_id, noted.limit_name
            on conflict (tenant_id, day, limit_name) do update
           set refused = limit_refusals.refused + excluded.refused
        ",
        day,
        &tenants,
        &names,
        &refused,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Forget counts of long ago.
///
/// # Errors
/// When the database fails.
pub async fn forget_old(tx: &mut ControlTx, today: Date) -> sqlx::Result<()> {
    sqlx::query!("delete from limit_refusals where day < $1", today - KEPT)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// What one limit refused.
#[derive(Clone, Debug)]
pub struct Refusals {
    /// [`super::Limit::label`].
    pub limit_name: String,
    /// Today.
    pub today: i64,
    /// In the last seven days, today among them.
    pub week: i64,
}

/// What limits refused of the tenant's calls lately.
///
/// # Errors
/// When the database fails.
pub async fn refusals(tx: &mut TenantTx, today: Date) -> sqlx::Result<Vec<Refusals>> {
    sqlx::query_as!(
        Refusals,
        r#"
        select limit_name, (coalesce(sum(refused) filter (where day = $1), 0))::bigint as "today!",
               (sum(refused))::bigint as "week!"
          from limit_refusals
         where day between $1::date - 6 and $1
         group by limit_name
         order by limit_name
        "#,
        today,
    )
    .fetch_all(tx.conn())
    .await
}
