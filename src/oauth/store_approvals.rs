//! Apps that members asked for, and what an admin decided, in Postgres.

use time::OffsetDateTime;

use super::{
    app_key::AppKey,
    approvals::{Approval, Asked, Known},
    apps::By,
    tenant_policy::CutOff,
};
use crate::{
    db::ControlTx,
    ids::{TenantId, UserId},
};

/// Every one of the tenant's: what waits first, then by name.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut ControlTx, tenant: TenantId) -> sqlx::Result<Vec<Approval>> {
    sqlx::query_as!(
        Approval,
        r#"
        select a.app_identity as key, a.client_name, a.place, a.requested_at,
               u.email as "requested_by?", a.approved, a.decided_at, d.email as "decided_by?"
          from oauth_app_approvals a
          left join users u on u.id = a.requested_by
          left join users d on d.id = a.decided_by
         where a.tenant_id = $1
         order by a.approved nulls first, lower(a.client_name), a.requested_at
         limit 500
        "#,
        tenant.uuid(),
    )
    .fetch_all(tx.conn())
    .await
}

/// How many apps wait for an admin; none where no approval is needed.
///
/// # Errors
/// When the database fails.
pub async fn count_waiting(tx: &mut ControlTx, tenant: TenantId) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"
        select count(*) as "count!"
          from oauth_app_approvals a
          join tenant_oauth_policies p on p.tenant_id = a.tenant_id and p.apps = 'approval'
         where a.tenant_id = $1 and a.approved is null
        "#,
        tenant.uuid(),
    )
    .fetch_one(tx.conn())
    .await
}

/// What is known in a tenant of a client's app, in front of one of its members; of the app as that
/// version of the client made it.
pub(super) async fn find(
    tx: &mut ControlTx,
    tenant: TenantId,
    user: UserId,
    (client_id, version): (&str, i32),
) -> sqlx::Result<Option<Known>> {
    sqlx::query_as!(
        Known,
        r#"
        select c.app_identity as "identity!", a.requested_at as "requested_at?",
               a.approved as "approved?",
               (select count(distinct g.user_id)
                  from oauth_grants g
                  join oauth_clients same on same.client_id = g.client_id
                 where g.tenant_id = $1 and same.app_identity = c.app_identity
                   and g.user_id <> $2) as "others!"
          from oauth_clients c
          left join oauth_app_approvals a
            on a.tenant_id = $1 and a.app_identity = c.app_identity
         where c.client_id = $3 and c.version = $4
        "#,
        tenant.uuid(),
        user.uuid(),
        client_id,
        version,
    )
    .fetch_optional(tx.conn())
    .await
}

/// Ask for an app. Of any number of racing callers, one gets `true`; so do at most `most` apps that
/// wait for one member.
pub(super) async fn create(
    tx: &mut ControlTx,
    asked: &Asked<'_>,
    most: i64,
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    let created = sqlx::query!(
        "
        insert into oauth_app_approvals
               (tenant_id, app_identity, client_name, place, requested_by, requested_at)
        select $1, $2, $3, $4, $5::uuid, $6
         where (select count(*) from oauth_app_approvals
                 where tenant_id = $1 and requested_by = $5 and approved is null) < $7
            on conflict (tenant_id, app_identity) do nothing
        ",
        asked.tenant.uuid(),
        asked.app.as_bytes(),
        asked.client_name,
        asked.place,
        asked.user.uuid(),
        now,
        most,
    )
    .execute(tx.conn())
    .await?;
    Ok(created.rows_affected() == 1)
}

/// Decide; what the app calls itself. `None` where it stands otherwise than the admin saw.
pub(super) async fn decide(
    tx: &mut ControlTx,
    tenant: TenantId,
    app: &AppKey,
    (from, approved): (Option<bool>, bool),
    by: &By,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "
        update oauth_app_approvals
           set approved = $4, decided_by = $5, decided_at = $6
         where tenant_id = $1 and app_identity = $2 and approved is not distinct from $3
        returning client_name
        ",
        tenant.uuid(),
        app.as_bytes(),
        from,
        approved,
        by.user.uuid(),
        by.at,
    )
    .fetch_optional(tx.conn())
    .await
}

/// Approve an app that is connected, whether anybody asked for it or not.
pub(super) async fn approve_connected(
    tx: &mut ControlTx,
    tenant: TenantId,
    app: &CutOff,
    by: &By,
) -> sqlx::Result<()> {
    approve(tx, (tenant, app.identity()), (&app.client_name, &app.place), by).await
}

/// Approve an app, whether anybody asked for it or not.
pub(super) async fn approve(
    tx: &mut ControlTx,
    (tenant, app): (TenantId, &AppKey),
    (client_name, place): (&str, &str),
    by: &By,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        insert into oauth_app_approvals
               (tenant_id, app_identity, client_name, place, requested_by, requested_at,
                decided_by, decided_at, approved)
        values ($1, $2, $3, $4, $5, $6, $5, $6, true)
            on conflict (tenant_id, app_identity) do update
           set approved = true, decided_by = excluded.decided_by, decided_at = excluded.decided_at
        ",
        tenant.uuid(),
        app.as_bytes(),
        client_name,
        place,
        by.user.uuid(),
        by.at,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Requests that nobody decided on since this.
pub(super) async fn forget_waiting(tx: &mut ControlTx, before: OffsetDateTime) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from oauth_app_approvals where approved is null and requested_at < $1",
        before,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
