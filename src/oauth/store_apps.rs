//! Living grants with names, for people, and their ends.
//!
//! A grant lives as [`super::store_liveness`] says: while its client is there, in the version that
//! was consented to.

use std::collections::HashMap;

use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    app_key::AppKey,
    apps::{By, Connection, Ended, Face, Of, Summary},
};
use crate::{
    db::ControlTx,
    ids::{GrantId, TenantId, UserId, VectorStoreId},
};

/// The most apps that one list holds.
const MOST: i64 = 500;

/// The apps that members of a tenant have connected, last used first: all of them, or one.
///
/// # Errors
/// When the database fails.
pub async fn summaries(
    tx: &mut ControlTx,
    tenant: TenantId,
    app: Option<&AppKey>,
    now: OffsetDateTime,
) -> sqlx::Result<Vec<Summary>> {
    let rows = sqlx::query!(
        r#"
        select app.key as "key!", app.people as "people!", app.only_email,
               app.created_at as "created_at!", app.last_used_at, c.client_id, c.client_name,
               c.source, newest.redirect_uri
          from (select oauth_app_key(c.app_identity, c.source, g.redirect_uri) as key,
                       count(distinct g.user_id) as people,
                       case when count(distinct g.user_id) = 1 then min(u.email) end as only_email,
                       min(g.created_at) as created_at, max(g.last_used_at) as last_used_at,
                       (array_agg(g.id order by g.created_at desc, g.id desc))[1] as newest
                  from oauth_grants g
                  join memberships m on m.tenant_id = g.tenant_id and m.user_id = g.user_id
                  join users u on u.id = g.user_id
                  join oauth_clients c on c.client_id = g.client_id
                   and c.disabled_at is null and c.version = g.client_version
                 where g.tenant_id = $1 and g.revoked_at is null and g.expires_at > $2
                   and ($3::bytea is null
                        or oauth_app_key(c.app_identity, c.source, g.redirect_uri) = $3)
                 group by 1) as app
          join oauth_grants newest on newest.tenant_id = $1 and newest.id = app.newest
          join oauth_clients c on c.client_id = newest.client_id
         order by coalesce(app.last_used_at, app.created_at) desc, app.newest desc
         limit $4
        "#,
        tenant.uuid(),
        now,
        app.map(AppKey::as_bytes),
        MOST,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Summary {
            key: row.key.into(),
            face: Face::new(&row.source, &row.client_id, row.client_name, &row.redirect_uri),
            people: row.people,
            only_email: row.only_email,
            created_at: row.created_at,
            last_used_at: row.last_used_at,
        })
        .collect())
}

/// Each member's apps, last connected first: `limit` of them after so many.
///
/// # Errors
/// When the database fails.
pub async fn connections(
    tx: &mut ControlTx,
    of: Of<'_>,
    now: OffsetDateTime,
    (limit, offset): (i64, i64),
) -> sqlx::Result<Vec<Connection>> {
    let rows = sqlx::query!(
        r#"
        select newest.id as "grant: GrantId", cardinality(app.grants)::bigint as "grants!",
               t.id as "tenant: TenantId", t.name as tenant_name, u.email, c.client_id,
               c.client_name, c.source, newest.redirect_uri, app.while_away as "while_away!",
               array(select distinct s.vector_store_id
                       from oauth_grant_vector_stores s
                      where s.tenant_id = app.tenant_id and s.grant_id = any(app.grants))
                 as "stores!: Vec<VectorStoreId>",
               app.created_at as "created_at!", app.last_used_at
          from (select g.tenant_id, g.user_id,
                       array_agg(g.id order by g.created_at desc, g.id desc) as grants,
                       bool_or('offline_access' = any(g.scope)) as while_away,
                       min(g.created_at) as created_at, max(g.last_used_at) as last_used_at
                  from oauth_grants g
                  join memberships m on m.tenant_id = g.tenant_id and m.user_id = g.user_id
                  join oauth_clients c on c.client_id = g.client_id
                   and c.disabled_at is null and c.version = g.client_version
                 where ($1::uuid is null or g.tenant_id = $1)
                   and ($2::uuid is null or g.user_id = $2)
                   and ($3::bytea is null
                        or oauth_app_key(c.app_identity, c.source, g.redirect_uri) = $3)
                   and g.revoked_at is null and g.expires_at > $4
                 group by g.tenant_id, g.user_id,
                          oauth_app_key(c.app_identity, c.source, g.redirect_uri)) as app
          join oauth_grants newest
            on newest.tenant_id = app.tenant_id and newest.id = app.grants[1]
          join tenants t on t.id = app.tenant_id and t.suspended_at is null
          join users u on u.id = app.user_id
          join oauth_clients c on c.client_id = newest.client_id
         order by newest.created_at desc, newest.id desc
         limit $5 offset $6
        "#,
        of.tenant.map(TenantId::uuid),
        of.user.map(UserId::uuid),
        of.app.map(AppKey::as_bytes),
        now,
        limit,
        offset,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Connection {
            grant: row.grant,
            grants: row.grants,
            tenant: row.tenant,
            tenant_name: row.tenant_name,
            email: row.email,
            face: Face::new(&row.source, &row.client_id, row.client_name, &row.redirect_uri),
            while_away: row.while_away,
            stores: row.stores,
            created_at: row.created_at,
            last_used_at: row.last_used_at,
        })
        .collect())
}

/// How many apps a tenant's members have connected: one user's, or everybody's.
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
        select count(distinct oauth_app_key(c.app_identity, c.source, g.redirect_uri)) as "count!"
          from oauth_grants g
          join memberships m on m.tenant_id = g.tenant_id and m.user_id = g.user_id
          join oauth_clients c on c.client_id = g.client_id
           and c.disabled_at is null and c.version = g.client_version
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

/// How many apps each member of a tenant has connected; none are left out.
///
/// # Errors
/// When the database fails.
pub async fn count_by_user(
    tx: &mut ControlTx,
    tenant: TenantId,
    now: OffsetDateTime,
) -> sqlx::Result<HashMap<UserId, i64>> {
    let rows = sqlx::query!(
        r#"
        select g.user_id as "user!: UserId",
               count(distinct oauth_app_key(c.app_identity, c.source, g.redirect_uri)) as "count!"
          from oauth_grants g
          join oauth_clients c on c.client_id = g.client_id
           and c.disabled_at is null and c.version = g.client_version
         where g.tenant_id = $1 and g.user_id is not null
           and g.revoked_at is null and g.expires_at > $2
         group by g.user_id
        "#,
        tenant.uuid(),
        now,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.user, row.count)).collect())
}

/// Where this user gave this consent, if it lives.
pub(super) async fn tenant_of(
    tx: &mut ControlTx,
    grant: GrantId,
    user: UserId,
) -> sqlx::Result<Option<TenantId>> {
    sqlx::query_scalar!(
        r#"
        select tenant_id as "tenant: TenantId"
          from oauth_grants
         where id = $1 and user_id = $2 and revoked_at is null
        "#,
        grant.uuid(),
        user.uuid(),
    )
    .fetch_optional(tx.conn())
    .await
}

/// End one member's grants of the app that this grant is for. Of any number of racing callers, one
/// gets each.
pub(super) async fn end_connection(
    tx: &mut ControlTx,
    tenant: TenantId,
    grant: GrantId,
    by: &By,
) -> sqlx::Result<Vec<Ended>> {
    sqlx::query_as!(
        Ended,
        r#"
        with ending as (
          select g.id, c.client_name
            from oauth_grants g
            join oauth_clients c on c.client_id = g.client_id
            join (select named.user_id,
                         oauth_app_key(of.app_identity, of.source, named.redirect_uri) as key
                    from oauth_grants named
                    join oauth_clients of on of.client_id = named.client_id
                   where named.tenant_id = $1 and named.id = $2 and named.revoked_at is null
                     and (named.user_id = $4 or not $5)) as app
              on app.user_id = g.user_id
             and oauth_app_key(c.app_identity, c.source, g.redirect_uri) = app.key
           where g.tenant_id = $1 and g.revoked_at is null
           order by g.id
             for update of g)
        update oauth_grants g
           set revoked_at = $3, revoked_for = case when g.user_id = $4 then 'user' else 'admin' end
          from ending
         where g.tenant_id = $1 and g.id = ending.id
        returning g.id as "grant: GrantId", g.user_id as "user: UserId", g.client_id,
                  ending.client_name as "client_name!"
        "#,
        tenant.uuid(),
        grant.uuid(),
        by.at,
        by.user.uuid(),
        by.only_own,
    )
    .fetch_all(tx.conn())
    .await
}

/// Which of a tenant's grants.
#[derive(Clone, Copy)]
pub(super) enum Which<'a> {
    /// These.
    Grants(&'a [Uuid]),
    /// Every member's of one app.
    App(&'a AppKey),
    /// Every member's of what is approved as one app, wherever its answers go.
    Identity(&'a AppKey),
}

/// End grants, as an admin's act; which of them lived.
pub(super) async fn end(
    tx: &mut ControlTx,
    tenant: TenantId,
    which: Which<'_>,
    now: OffsetDateTime,
) -> sqlx::Result<Vec<Ended>> {
    let (grants, app, identity) = match which {
        Which::Grants(grants) => (Some(grants), None, None),
        Which::App(key) => (None, Some(key.as_bytes()), None),
        Which::Identity(key) => (None, None, Some(key.as_bytes())),
    };
    sqlx::query_as!(
        Ended,
        r#"
        with ending as (
          select g.id, c.client_name
            from oauth_grants g
            join oauth_clients c on c.client_id = g.client_id
           where g.tenant_id = $1 and g.revoked_at is null
             and (g.id = any($2)
                  or (g.user_id is not null
                      and oauth_app_key(c.app_identity, c.source, g.redirect_uri) = $3)
                  or (g.user_id is not null and c.source <> 'tenant' and c.app_identity = $4))
           order by g.id
             for update of g)
        update oauth_grants g
           set revoked_at = $5, revoked_for = 'admin'
          from ending
         where g.tenant_id = $1 and g.id = ending.id
        returning g.id as "grant: GrantId", g.user_id as "user: UserId", g.client_id,
                  ending.client_name as "client_name!"
        "#,
        tenant.uuid(),
        grants,
        app,
        identity,
        now,
    )
    .fetch_all(tx.conn())
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
