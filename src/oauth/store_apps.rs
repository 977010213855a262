//! Living grants with names, for people.

use std::collections::HashMap;

use time::OffsetDateTime;

use super::apps::{App, By};
use crate::{
    db::ControlTx,
    ids::{GrantId, TenantId, UserId, VectorStoreId},
};

/// The most apps that one list holds.
const MOST: i64 = 500;

/// A tenant's living grants, newest first: one user's, or everybody's.
///
/// # Errors
/// When the database fails.
pub async fn of_tenant(
    tx: &mut ControlTx,
    tenant: TenantId,
    user: Option<UserId>,
    now: OffsetDateTime,
) -> sqlx::Result<Vec<App>> {
    list(tx, Some(tenant), user, now).await
}

/// A user's living grants in every tenant that they still belong to, newest first.
///
/// # Errors
/// When the database fails.
pub async fn of_user(
    tx: &mut ControlTx,
    user: UserId,
    now: OffsetDateTime,
) -> sqlx::Result<Vec<App>> {
    list(tx, None, Some(user), now).await
}

async fn list(
    tx: &mut ControlTx,
    tenant: Option<TenantId>,
    user: Option<UserId>,
    now: OffsetDateTime,
) -> sqlx::Result<Vec<App>> {
    sqlx::query_as!(
        App,
        r#"
        select g.id as "grant: GrantId", g.tenant_id as "tenant: TenantId", t.name as tenant_name,
               u.id as "user: UserId", u.email, c.client_name, g.redirect_uri, g.scope,
               array(select s.vector_store_id
                       from oauth_grant_vector_stores s
                      where s.tenant_id = g.tenant_id and s.grant_id = g.id)
                 as "stores!: Vec<VectorStoreId>",
               g.created_at, g.last_used_at
          from oauth_grants g
          join tenants t on t.id = g.tenant_id and t.suspended_at is null
          join memberships m on m.tenant_id = g.tenant_id and m.user_id = g.user_id
          join users u on u.id = g.user_id
          join oauth_clients c on c.client_id = g.client_id
         where ($1::uuid is null or g.tenant_id = $1)
           and ($2::uuid is null or g.user_id = $2)
           and g.revoked_at is null and g.expires_at > $3
         order by g.created_at desc, g.id desc
         limit $4
        "#,
        tenant.map(TenantId::uuid),
        user.map(UserId::uuid),
        now,
        MOST,
    )
    .fetch_all(tx.conn())
    .await
}

/// How many living grants a tenant has: one user's, or everybody's.
///
/// # Errors
/// When the database fails.
pub async fn count(
    tx: &mut ControlTx,
    tenant: TenantId,
    user: Option<UserId>,
    now: OffsetDateTime,
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"
        select count(*) as "count!"
          from oauth_grants g
          join memberships m on m.tenant_id = g.tenant_id and m.user_id = g.user_id
         where g.tenant_id = $1 and ($2::uuid is null or g.user_id = $2)
           and g.revoked_at is null and g.expires_at > $3
        "#,
        tenant.uuid(),
        user.map(UserId::uuid),
        now,
    )
    .fetch_one(tx.conn())
    .await
}

/// What was taken back.
pub(super) struct Revoked {
    pub(super) user: Option<UserId>,
    pub(super) client_id: String,
    pub(super) client_name: String,
}

/// End a living grant. Of any number of racing callers, one gets it.
pub(super) async fn revoke(
    tx: &mut ControlTx,
    tenant: TenantId,
    grant: GrantId,
    by: &By,
) -> sqlx::Result<Option<Revoked>> {
    sqlx::query_as!(
        Revoked,
        r#"
        update oauth_grants g
           set revoked_at = $3, revoked_for = case when g.user_id = $4 then 'user' else 'admin' end
          from oauth_clients c
         where c.client_id = g.client_id and g.tenant_id = $1 and g.id = $2
           and g.revoked_at is null and (g.user_id = $4 or not $5)
        returning g.user_id as "user: UserId", g.client_id, c.client_name
        "#,
        tenant.uuid(),
        grant.uuid(),
        by.at,
        by.user.uuid(),
        by.only_own,
    )
    .fetch_optional(tx.conn())
    .await
}

/// What clients call themselves.
///
/// # Errors
/// When the database fails.
pub async fn client_names(
    tx: &mut ControlTx,
    clients: &[String],
) -> sqlx::Result<HashMap<String, String>> {
    let rows = sqlx::query!(
        "select client_id, client_name from oauth_clients where client_id = any($1)",
        clients,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.client_id, row.client_name)).collect())
}
