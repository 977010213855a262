//! Back ends in Postgres.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    scope::Scope,
    services::{Proof, ServiceClient},
};
use crate::{
    db::ControlTx,
    ids::{GrantId, TenantId, UserId, VectorStoreId},
    secret::SecretHash,
};

/// A tenant's back ends, by name; those that have expired too.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut ControlTx, tenant: TenantId) -> sqlx::Result<Vec<ServiceClient>> {
    let rows = sqlx::query!(
        r#"
        select s.client_id, c.client_name, c.secret_hash is not null as "has_secret!", c.jwks_uri,
               s.may_introspect, s.created_at, s.expires_at,
               s.revision, coalesce(g.scope, '{}') as "scope!", greatest(c.last_used_at, g.last_used_at) as last_used_at,
               array(select chosen.vector_store_id
                       from oauth_grant_vector_stores chosen
                      where chosen.tenant_id = s.tenant_id and chosen.grant_id = s.grant_id)
                 as "stores!: Vec<VectorStoreId>"
          from oauth_service_clients s
          join oauth_clients c on c.client_id = s.client_id
          left join oauth_grants g on g.tenant_id = s.tenant_id and g.id = s.grant_id
         where s.tenant_id = $1
         order by lower(c.client_name), s.client_id
        "#,
        tenant.uuid(),
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| ServiceClient {
            client_id: row.client_id,
            name: row.client_name,
            proof: match (row.has_secret, row.jwks_uri) {
                (true, _) => Proof::Secret,
                (false, Some(jwks_uri)) => Proof::KeysAt(jwks_uri),
                (false, None) => Proof::Keys,
            },
            scope: Scope::from_names(&row.scope),
            may_introspect: row.may_introspect,
            stores: row.stores,
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
            revision: row.revision,
        })
        .collect())
}

/// What the tenant's back ends are called.
pub(super) async fn names(tx: &mut ControlTx, tenant: TenantId) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        "
        select c.client_name
          from oauth_service_clients s
          join oauth_clients c on c.client_id = s.client_id
         where s.tenant_id = $1
        ",
        tenant.uuid(),
    )
    .fetch_all(tx.conn())
    .await
}

/// What belongs to a client of a tenant's own.
pub(super) struct NewRow<'a> {
    pub(super) tenant: TenantId,
    pub(super) client_id: &'a str,
    pub(super) grant: Option<GrantId>,
    pub(super) may_introspect: bool,
    pub(super) created_by: UserId,
    pub(super) expires_at: OffsetDateTime,
}

pub(super) async fn create(
    tx: &mut ControlTx,
    new: NewRow<'_>,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        insert into oauth_service_clients
               (tenant_id, client_id, grant_id, may_introspect, created_by, created_at, expires_at)
        values ($1, $2, $3, $4, $5, $6, $7)
        ",
        new.tenant.uuid(),
        new.client_id,
        new.grant.map(GrantId::uuid),
        new.may_introspect,
        new.created_by.uuid(),
        now,
        new.expires_at,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A back end that somebody changes.
pub(super) struct Changed {
    pub(super) name: String,
    pub(super) grant: Option<GrantId>,
    /// Whether the caller had seen its newest state.
    pub(super) was_current: bool,
}

/// Take a back end's turn: of any number of callers who saw one revision, one goes on.
pub(super) async fn advance(
    tx: &mut ControlTx,
    tenant: TenantId,
    client_id: &str,
    revision: i32,
) -> sqlx::Result<Option<Changed>> {
    // Postgres has no text with a zero byte in it.
    if client_id.contains('\0') {
        return Ok(None);
    }
    sqlx::query_as!(
        Changed,
        r#"
        with held as (
          select client_id, revision as seen
            from oauth_service_clients
           where tenant_id = $1 and client_id = $2
             for update)
        update oauth_service_clients s
           set revision = s.revision + (held.seen = $3)::int
          from held, oauth_clients c
         where s.tenant_id = $1 and s.client_id = held.client_id and c.client_id = s.client_id
        returning c.client_name as name, s.grant_id as "grant: GrantId",
                  held.seen = $3 as "was_current!"
        "#,
        tenant.uuid(),
        client_id,
        revision,
    )
    .fetch_optional(tx.conn())
    .await
}

/// Put another secret in the place of a client's; `false` when it has none.
pub(super) async fn replace_secret(
    tx: &mut ControlTx,
    client_id: &str,
    secret: &SecretHash,
) -> sqlx::Result<bool> {
    let replaced = sqlx::query!(
        "
        update oauth_clients set secret_hash = $2
         where client_id = $1 and secret_hash is not null
        ",
        client_id,
        secret.as_bytes(),
    )
    .execute(tx.conn())
    .await?;
    Ok(replaced.rows_affected() == 1)
}

/// The vector stores that a grant opens from now on. Fails by its foreign key when one is gone.
pub(super) async fn replace_stores(
    tx: &mut ControlTx,
    tenant: TenantId,
    grant: GrantId,
    stores: &[VectorStoreId],
) -> sqlx::Result<()> {
    let stores: Vec<Uuid> = stores.iter().map(|store| store.uuid()).collect();
    sqlx::query!(
        "
        delete from oauth_grant_vector_stores
         where tenant_id = $1 and grant_id = $2 and vector_store_id <> all($3)
        ",
        tenant.uuid(),
        grant.uuid(),
        &stores,
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        "
        insert into oauth_grant_vector_stores (tenant_id, grant_id, vector_store_id)
        select $1, $2, store from unnest($3::uuid[]) as store
            on conflict do nothing
        ",
        tenant.uuid(),
        grant.uuid(),
        &stores,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What was deleted.
pub(super) struct Deleted {
    pub(super) name: String,
    pub(super) grant: Option<GrantId>,
}

/// End a back end: its credentials prove nothing any more, and its tokens open nothing. Of any
/// number of racing callers, one gets it.
pub(super) async fn delete(
    tx: &mut ControlTx,
    tenant: TenantId,
    client_id: &str,
    now: OffsetDateTime,
) -> sqlx::Result<Option<Deleted>> {
    if client_id.contains('\0') {
        return Ok(None);
    }
    sqlx::query_as!(
        Deleted,
        r#"
        with gone as (
          delete from oauth_service_clients
           where tenant_id = $1 and client_id = $2
          returning client_id, grant_id),
        ended as (
          update oauth_grants g
             set revoked_at = $3, revoked_for = 'admin'
            from gone
           where g.tenant_id = $1 and g.id = gone.grant_id and g.revoked_at is null)
        update oauth_clients c
           set disabled_at = $3
          from gone
         where c.client_id = gone.client_id
        returning c.client_name as name, gone.grant_id as "grant: GrantId"
        "#,
        tenant.uuid(),
        client_id,
        now,
    )
    .fetch_optional(tx.conn())
    .await
}
