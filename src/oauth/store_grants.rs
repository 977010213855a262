//! Grants in Postgres.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{grants::RevokedFor, scope::Scope};
use crate::{
    db::ControlTx,
    ids::{GrantId, TenantId, UserId, VectorStoreId},
    secret::SecretHash,
};

/// What a user consented to.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) id: GrantId,
    pub(super) tenant: TenantId,
    /// None: the client acts in its own name.
    pub(super) user: Option<UserId>,
    pub(super) client_id: String,
    /// What of the client was consented to.
    pub(super) client_version: i32,
    /// Empty for a service client.
    pub(super) redirect_uri: String,
    pub(super) resource: String,
    /// Whether the client named the resource, or left it to us.
    pub(super) resource_was_sent: bool,
    pub(super) scope: Scope,
    /// The key that its tokens are bound to: RFC 9449.
    pub(super) dpop_jkt: Option<String>,
    pub(super) expires_at: OffsetDateTime,
}

struct Row {
    id: GrantId,
    tenant_id: TenantId,
    user_id: Option<UserId>,
    client_id: String,
    client_version: i32,
    redirect_uri: String,
    resource: String,
    resource_was_sent: bool,
    scope: Vec<String>,
    dpop_jkt: Option<String>,
    expires_at: OffsetDateTime,
}

impl From<Row> for Grant {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            tenant: row.tenant_id,
            user: row.user_id,
            client_id: row.client_id,
            client_version: row.client_version,
            redirect_uri: row.redirect_uri,
            resource: row.resource,
            resource_was_sent: row.resource_was_sent,
            scope: Scope::from_names(&row.scope),
            dpop_jkt: row.dpop_jkt,
            expires_at: row.expires_at,
        }
    }
}

pub(super) async fn create(
    tx: &mut ControlTx,
    grant: &Grant,
    vector_stores: &[VectorStoreId],
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    let scope: Vec<String> = grant.scope.names().into_iter().map(str::to_owned).collect();
    sqlx::query!(
        "
        insert into oauth_grants
               (tenant_id, id, user_id, client_id, redirect_uri, resource, scope, created_at,
                expires_at, client_version, resource_was_sent, dpop_jkt)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
        ",
        grant.tenant.uuid(),
        grant.id.uuid(),
        grant.user.map(UserId::uuid),
        grant.client_id,
        grant.redirect_uri,
        grant.resource,
        &scope,
        now,
        grant.expires_at,
        grant.client_version,
        grant.resource_was_sent,
        grant.dpop_jkt,
    )
    .execute(tx.conn())
    .await?;
    let stores: Vec<Uuid> = vector_stores.iter().map(|store| store.uuid()).collect();
    sqlx::query!(
        "
        insert into oauth_grant_vector_stores (tenant_id, grant_id, vector_store_id)
        select $1, $2, store from unnest($3::uuid[]) as store
        ",
        grant.tenant.uuid(),
        grant.id.uuid(),
        &stores,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The secret that leads to a grant.
#[derive(Clone, Copy)]
pub(super) enum By<'a> {
    Code(&'a SecretHash),
    RefreshToken(&'a SecretHash),
}

/// The grant behind a code or refresh token, dead or alive. Whoever acts on a grant's codes and
/// tokens locks the grant first, so that racing callers take turns.
pub(super) async fn lock(tx: &mut ControlTx, by: By<'_>) -> sqlx::Result<Option<Grant>> {
    let (code, refresh_token) = match by {
        By::Code(hash) => (Some(hash.as_bytes()), None),
        By::RefreshToken(hash) => (None, Some(hash.as_bytes())),
    };
    let row = sqlx::query_as!(
        Row,
        r#"
        select id as "id: GrantId", tenant_id as "tenant_id: TenantId",
               user_id as "user_id: UserId", client_id, client_version, redirect_uri, resource,
               resource_was_sent, scope, dpop_jkt, expires_at
          from oauth_grants
         where (tenant_id, id) in (
               select tenant_id, grant_id from oauth_authorization_codes where secret_hash = $1
                union all
               select tenant_id, grant_id from oauth_refresh_tokens where secret_hash = $2)
           for update
        "#,
        code,
        refresh_token,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(Grant::from))
}

/// The grant with this id, dead or alive.
pub(super) async fn find(
    tx: &mut ControlTx,
    tenant: TenantId,
    grant: GrantId,
) -> sqlx::Result<Option<Grant>> {
    let row = sqlx::query_as!(
        Row,
        r#"
        select id as "id: GrantId", tenant_id as "tenant_id: TenantId",
               user_id as "user_id: UserId", client_id, client_version, redirect_uri, resource,
               resource_was_sent, scope, dpop_jkt, expires_at
          from oauth_grants
         where tenant_id = $1 and id = $2
        "#,
        tenant.uuid(),
        grant.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(Grant::from))
}

/// Bind a grant to its key, for as long as it lives.
pub(super) async fn bind(tx: &mut ControlTx, grant: &Grant) -> sqlx::Result<()> {
    sqlx::query!(
        "update oauth_grants set dpop_jkt = $3 where tenant_id = $1 and id = $2",
        grant.tenant.uuid(),
        grant.id.uuid(),
        grant.dpop_jkt,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// End a grant; `false` when it had ended before, or never was.
pub(super) async fn revoke(
    tx: &mut ControlTx,
    tenant: TenantId,
    grant: GrantId,
    reason: RevokedFor,
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    let revoked = sqlx::query!(
        "
        update oauth_grants
           set revoked_at = $3, revoked_for = $4
         where tenant_id = $1 and id = $2 and revoked_at is null
        ",
        tenant.uuid(),
        grant.uuid(),
        now,
        reason.as_str(),
    )
    .execute(tx.conn())
    .await?;
    Ok(revoked.rows_affected() == 1)
}

/// Remember that these grants are in use.
pub(super) async fn touch(
    tx: &mut ControlTx,
    grants: &[Uuid],
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        update oauth_grants set last_used_at = $2
         where id in (select id from oauth_grants where id = any($1) order by id
                         for update skip locked)
        ",
        grants,
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
