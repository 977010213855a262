//! Codes, refresh tokens and revoked access tokens in Postgres: by hash, never in clear.

use time::OffsetDateTime;
use uuid::Uuid;

use super::store_grants::Grant;
use crate::{db::ControlTx, ids::TenantId, secret::SecretHash};

/// A code, as far as redeeming it goes.
#[derive(Clone, Debug)]
pub(super) struct Code {
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) code_challenge: String,
    /// The key that the authorization request named.
    pub(super) dpop_jkt: Option<String>,
    pub(super) expires_at: OffsetDateTime,
    pub(super) redeemed_at: Option<OffsetDateTime>,
    pub(super) wrong_attempts: i16,
    /// Whether the session that it was given in is still there.
    pub(super) session_lasts: bool,
}

pub(super) async fn create_code(
    tx: &mut ControlTx,
    secret: &SecretHash,
    grant: &Grant,
    (code_challenge, session): (&str, &SecretHash),
    (now, expires_at): (OffsetDateTime, OffsetDateTime),
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        insert into oauth_authorization_codes
               (secret_hash, tenant_id, grant_id, client_id, redirect_uri, code_challenge,
                created_at, expires_at, dpop_jkt, session_hash)
        values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        ",
        secret.as_bytes(),
        grant.tenant.uuid(),
        grant.id.uuid(),
        grant.client_id,
        grant.redirect_uri,
        code_challenge,
        now,
        expires_at,
        grant.dpop_jkt,
        session.as_bytes(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A code whose grant the caller has locked.
pub(super) async fn find_code(
    tx: &mut ControlTx,
    secret: &SecretHash,
) -> sqlx::Result<Option<Code>> {
    sqlx::query_as!(
        Code,
        r#"
        select client_id, redirect_uri, code_challenge, dpop_jkt, expires_at, redeemed_at,
               wrong_attempts,
               session_hash is null
                 or exists (select from sessions s where s.secret_hash = session_hash)
                 as "session_lasts!"
          from oauth_authorization_codes
         where secret_hash = $1
        "#,
        secret.as_bytes(),
    )
    .fetch_optional(tx.conn())
    .await
}

/// Spend a code; `false` when it was spent before.
pub(super) async fn redeem_code(
    tx: &mut ControlTx,
    secret: &SecretHash,
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    let redeemed = sqlx::query!(
        "
        update oauth_authorization_codes
           set redeemed_at = $2
         where secret_hash = $1 and redeemed_at is null
        ",
        secret.as_bytes(),
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(redeemed.rows_affected() == 1)
}

/// Count a wrong verifier, up to the most that matters.
pub(super) async fn count_wrong_attempt(
    tx: &mut ControlTx,
    secret: &SecretHash,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        update oauth_authorization_codes set wrong_attempts = wrong_attempts + 1
         where secret_hash = $1 and wrong_attempts < 5
        ",
        secret.as_bytes(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A refresh token and where its grant's line has got to.
#[derive(Clone, Debug)]
pub(super) struct RefreshToken {
    pub(super) generation: i32,
    pub(super) expires_at: OffsetDateTime,
    /// When its successor was first issued.
    pub(super) rotated_at: Option<OffsetDateTime>,
    /// How often it was accepted after that.
    pub(super) retries: i16,
    /// The newest generation that was issued.
    pub(super) newest: i32,
}

/// The first of a grant's line.
pub(super) async fn create_refresh_token(
    tx: &mut ControlTx,
    secret: &SecretHash,
    grant: &Grant,
    (now, expires_at): (OffsetDateTime, OffsetDateTime),
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        insert into oauth_refresh_tokens
               (secret_hash, tenant_id, grant_id, generation, created_at, expires_at)
        values ($1, $2, $3, 1, $4, $5)
        ",
        secret.as_bytes(),
        grant.tenant.uuid(),
        grant.id.uuid(),
        now,
        expires_at,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A refresh token whose grant the caller has locked.
pub(super) async fn find_refresh_token(
    tx: &mut ControlTx,
    secret: &SecretHash,
) -> sqlx::Result<Option<RefreshToken>> {
    sqlx::query_as!(
        RefreshToken,
        r#"
        select presented.generation, presented.expires_at, presented.rotated_at, presented.retries,
               (select max(line.generation) from oauth_refresh_tokens line
                 where line.tenant_id = presented.tenant_id
                   and line.grant_id = presented.grant_id) as "newest!"
          from oauth_refresh_tokens presented
         where presented.secret_hash = $1
        "#,
        secret.as_bytes(),
    )
    .fetch_optional(tx.conn())
    .await
}

/// Mark a refresh token as used, and keep its successor as the grant's newest generation.
pub(super) async fn rotate(
    tx: &mut ControlTx,
    secret: &SecretHash,
    successor: &SecretHash,
    (now, expires_at): (OffsetDateTime, OffsetDateTime),
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        with rotated as (
             update oauth_refresh_tokens set rotated_at = $3
              where secret_hash = $1
          returning tenant_id, grant_id, generation)
        insert into oauth_refresh_tokens
               (secret_hash, tenant_id, grant_id, generation, created_at, expires_at)
        select $2, tenant_id, grant_id, generation + 1, $3, $4 from rotated
        ",
        secret.as_bytes(),
        successor.as_bytes(),
        now,
        expires_at,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Count a retry: its successor is there already.
pub(super) async fn count_retry(tx: &mut ControlTx, secret: &SecretHash) -> sqlx::Result<()> {
    sqlx::query!(
        "update oauth_refresh_tokens set retries = retries + 1 where secret_hash = $1",
        secret.as_bytes(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// End one access token before its time.
pub(super) async fn revoke_access_token(
    tx: &mut ControlTx,
    tenant: TenantId,
    jti: Uuid,
    expires_at: OffsetDateTime,
) -> sqlx::Result<bool> {
    let revoked = sqlx::query!(
        "
        insert into oauth_revoked_access_tokens (tenant_id, jti, expires_at)
        values ($1, $2, $3)
            on conflict (tenant_id, jti) do nothing
        ",
        tenant.uuid(),
        jti,
        expires_at,
    )
    .execute(tx.conn())
    .await?;
    Ok(revoked.rows_affected() == 1)
}
