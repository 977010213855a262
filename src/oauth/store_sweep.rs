//! What the sweep takes away: one statement for a part of each kind of row. Each says how many rows
//! went.
//!
//! Rows that somebody is working with are left for the next time.

use time::OffsetDateTime;

use super::grants::RevokedFor;
use crate::{
    db::ControlTx,
    ids::{GrantId, TenantId, UserId},
};

/// The most rows that one statement takes.
pub(super) const PART: u64 = LIMIT.unsigned_abs();
const LIMIT: i64 = 5_000;

/// Authorization requests that expired before this.
pub(super) async fn requests(tx: &mut ControlTx, before: OffsetDateTime) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        "
        delete from oauth_authorization_requests
         where ctid = any(array(
               select ctid from oauth_authorization_requests where expires_at < $1
                limit $2
                for update skip locked))
        ",
        before,
        LIMIT,
    )
    .execute(tx.conn())
    .await?;
    Ok(deleted.rows_affected())
}

/// The same of clients that nobody had read about yet.
pub(super) async fn unresolved_requests(
    tx: &mut ControlTx,
    before: OffsetDateTime,
) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        "
        delete from oauth_unresolved_requests
         where ctid = any(array(
               select ctid from oauth_unresolved_requests where expires_at < $1
                limit $2))
        ",
        before,
        LIMIT,
    )
    .execute(tx.conn())
    .await?;
    Ok(deleted.rows_affected())
}

/// The same of those that were pushed.
pub(super) async fn pushed_requests(
    tx: &mut ControlTx,
    before: OffsetDateTime,
) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        "
        delete from oauth_pushed_requests
         where ctid = any(array(
               select ctid from oauth_pushed_requests where expires_at < $1
                limit $2
                for update skip locked))
        ",
        before,
        LIMIT,
    )
    .execute(tx.conn())
    .await?;
    Ok(deleted.rows_affected())
}

/// Proofs that nobody took for fresh any more before this.
pub(super) async fn used_proofs(tx: &mut ControlTx, before: OffsetDateTime) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        "
        delete from oauth_used_proofs
         where ctid = any(array(
               select ctid from oauth_used_proofs where expires_at < $1
                limit $2))
        ",
        before,
        LIMIT,
    )
    .execute(tx.conn())
    .await?;
    Ok(deleted.rows_affected())
}

/// Codes that expired before this.
pub(super) async fn codes(tx: &mut ControlTx, before: OffsetDateTime) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        "
        delete from oauth_authorization_codes
         where ctid = any(array(
               select ctid from oauth_authorization_codes where expires_at < $1
                limit $2
                for update skip locked))
        ",
        before,
        LIMIT,
    )
    .execute(tx.conn())
    .await?;
    Ok(deleted.rows_affected())
}

/// Refresh tokens that expired before this. The newest of each grant stays: the line goes on from
/// its number.
pub(super) async fn refresh_tokens(
    tx: &mut ControlTx,
    before: OffsetDateTime,
) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        "
        delete from oauth_refresh_tokens
         where ctid = any(array(
               select old.ctid
                 from oauth_refresh_tokens old
                where old.expires_at < $1
                  and exists (select 1 from oauth_refresh_tokens newer
                               where newer.tenant_id = old.tenant_id
                                 and newer.grant_id = old.grant_id
                                 and newer.generation > old.generation)
                limit $2
                  for update of old skip locked))
        ",
        before,
        LIMIT,
    )
    .execute(tx.conn())
    .await?;
    Ok(deleted.rows_affected())
}

/// Revocations of access tokens that expired before this.
pub(super) async fn revoked_access_tokens(
    tx: &mut ControlTx,
    before: OffsetDateTime,
) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        "
        delete from oauth_revoked_access_tokens
         where ctid = any(array(
               select ctid from oauth_revoked_access_tokens where expires_at < $1
                limit $2))
        ",
        before,
        LIMIT,
    )
    .execute(tx.conn())
    .await?;
    Ok(deleted.rows_affected())
}

/// A grant that nobody can use any more.
pub(super) struct Lost {
    pub(super) tenant: TenantId,
    pub(super) id: GrantId,
    pub(super) user: Option<UserId>,
    pub(super) client_id: String,
    pub(super) client_name: String,
}

/// End grants whose client is disabled, or is not any more what was consented to.
pub(super) async fn end_lost_grants(
    tx: &mut ControlTx,
    reason: RevokedFor,
    now: OffsetDateTime,
) -> sqlx::Result<Vec<Lost>> {
    sqlx::query_as!(
        Lost,
        r#"
        with lost as (
          select g.tenant_id, g.id, c.client_name
            from oauth_grants g
            join oauth_clients c on c.client_id = g.client_id
           where g.revoked_at is null and g.expires_at > $1::timestamptz
             and (c.disabled_at is not null or c.version <> g.client_version)
           order by g.tenant_id, g.id
           limit $3
             for update of g skip locked)
        update oauth_grants g
           set revoked_at = $1, revoked_for = $2
          from lost
         where g.tenant_id = lost.tenant_id and g.id = lost.id
        returning g.tenant_id as "tenant: TenantId", g.id as "id: GrantId",
                  g.user_id as "user: UserId", g.client_id, lost.client_name as "client_name!"
        "#,
        now,
        reason.as_str(),
        LIMIT,
    )
    .fetch_all(tx.conn())
    .await
}

/// Grants that ended before this, with their codes, tokens and ticks.
pub(super) async fn grants(tx: &mut ControlTx, before: OffsetDateTime) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        "
        delete from oauth_grants
         where ctid = any(array(
               select ctid from oauth_grants where least(revoked_at, expires_at) < $1
                limit $2
                  for update skip locked))
        ",
        before,
        LIMIT,
    )
    .execute(tx.conn())
    .await?;
    Ok(deleted.rows_affected())
}

/// Clients that nobody connected until `unused`, or that nobody has used since `idle`, and back ends
/// that their admin deleted. One with a grant stays, dead or alive, and so does one that somebody is
/// about to connect. A back end is its admin's to delete.
pub(super) async fn clients(
    tx: &mut ControlTx,
    (unused, idle): (OffsetDateTime, OffsetDateTime),
    now: OffsetDateTime,
) -> sqlx::Result<u64> {
    let deleted = sqlx::query!(
        "
        delete from oauth_clients
         where ctid = any(array(
               select c.ctid
                 from oauth_clients c
                where ((c.last_used_at is null and c.created_at < $1) or c.last_used_at < $2
                       or c.source = 'tenant')
                  and not exists (select 1 from oauth_grants g where g.client_id = c.client_id)
                  and not exists (select 1 from oauth_service_clients s
                                   where s.client_id = c.client_id)
                  and not exists (select 1 from oauth_authorization_requests r
                                   where r.client_id = c.client_id and r.expires_at > $3)
                limit $4
                  for update of c skip locked))
        ",
        unused,
        idle,
        now,
        LIMIT,
    )
    .execute(tx.conn())
    .await?;
    Ok(deleted.rows_affected())
}
