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
    pub(super) user: UserId,
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) resource: String,
    pub(super) scope: Scope,
    pub(super) expires_at: OffsetDateTime,
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
               (tenant_id, id, user_id, client_id, redirect_uri, resource, scope, created_at, expires_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        ",
        grant.tenant.uuid(),
        grant.id.uuid(),
        grant.user.uuid(),
        grant.client_id,
        grant.redirect_uri,
        grant.resource,
        &scope,
        now,
        grant.expires_at,
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
    let row = sqlx::query!(
        r#"
        select id as "id: GrantId", tenant_id as "tenant_id: TenantId",
               user_id as "user_id: UserId", client_id, redirect_uri, resource, scope, expires_at
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
    Ok(row.map(|row| Grant {
        id: row.id,
        tenant: row.tenant_id,
        user: row.user_id,
        client_id: row.client_id,
        redirect_uri: row.redirect_uri,
        resource: row.resource,
        scope: Scope::from_names(&row.scope),
        expires_at: row.expires_at,
    }))
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
