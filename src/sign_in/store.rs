//! Sessions and one-time links in Postgres.

use time::OffsetDateTime;

use super::session::Session;
use crate::{
    db::ControlTx,
    ids::{TenantId, UserId},
    secret::SecretHash,
    users::User,
};

/// A session with what decides whether it is alive.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) session: Session,
    pub(super) user: User,
    /// Whether the user manages anything.
    pub(super) is_privileged: bool,
}

/// The session with this hash and its user, unless the user is disabled, or has left the only tenant
/// that it opens. Whether it is over is for the caller's clock to say. Where it opens one tenant, it
/// gives no operator's rights.
pub(super) async fn find(tx: &mut ControlTx, hash: &SecretHash) -> sqlx::Result<Option<Found>> {
    let row = sqlx::query!(
        r#"
        select s.created_at, s.last_seen_at, s.sso_tenant_id as "only_in: TenantId",
               u.id as "id: UserId", u.email, u.name,
               u.is_operator and s.sso_tenant_id is null as "is_operator!",
               u.is_operator or exists (
                 select from memberships m
                   join tenants t on t.id = m.tenant_id and t.suspended_at is null
                  where m.user_id = u.id and m.role in ('owner', 'admin')
               ) as "is_privileged!"
          from sessions s
          join users u on u.id = s.user_id and u.disabled_at is null
         where s.secret_hash = $1
           and (s.sso_tenant_id is null or exists (
                 select from memberships m
                   join tenants t on t.id = m.tenant_id and t.suspended_at is null
                  where m.user_id = u.id and m.tenant_id = s.sso_tenant_id))
        "#,
        hash.as_bytes(),
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| Found {
        session: Session {
            hash: *hash,
            user: row.id,
            created_at: row.created_at,
            last_seen_at: row.last_seen_at,
            only_in: row.only_in,
        },
        user: User { id: row.id, email: row.email, name: row.name, is_operator: row.is_operator },
        is_privileged: row.is_privileged,
    }))
}

/// Begin a session, of all the user's tenants or of `only_in`; `None` when the user was disabled
/// meanwhile, else whether they manage anything.
pub(super) async fn create(
    tx: &mut ControlTx,
    hash: &SecretHash,
    (user, only_in): (UserId, Option<TenantId>),
    user_agent: &str,
    now: OffsetDateTime,
) -> sqlx::Result<Option<bool>> {
    sqlx::query_scalar!(
        r#"
        insert into sessions
               (secret_hash, user_id, created_at, last_seen_at, user_agent, sso_tenant_id)
        select $1, u.id, $3, $3, left($4, 256), $5
          from users u
         where u.id = $2 and u.disabled_at is null
           for share
        returning (select is_operator from users where id = user_id)
               or exists (select from memberships m
                           where m.user_id = sessions.user_id and m.role in ('owner', 'admin'))
               as "is_privileged!"
        "#,
        hash.as_bytes(),
        user.uuid(),
        now,
        user_agent,
        only_in.map(TenantId::uuid),
    )
    .fetch_optional(tx.conn())
    .await
}

/// Note that a session was used.
pub(super) async fn touch(
    tx: &mut ControlTx,
    hash: &SecretHash,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update sessions set last_seen_at = $2 where secret_hash = $1 and last_seen_at < $2",
        hash.as_bytes(),
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// End a session; whose it was.
pub(super) async fn delete(tx: &mut ControlTx, hash: &SecretHash) -> sqlx::Result<Option<UserId>> {
    sqlx::query_scalar!(
        r#"delete from sessions where secret_hash = $1 returning user_id as "user_id: UserId""#,
        hash.as_bytes(),
    )
    .fetch_optional(tx.conn())
    .await
}

/// End every session of a user; how many.
pub(super) async fn delete_all(tx: &mut ControlTx, user: UserId) -> sqlx::Result<u64> {
    Ok(sqlx::query!("delete from sessions where user_id = $1", user.uuid())
        .execute(tx.conn())
        .await?
        .rows_affected())
}

/// Forget what is surely over.
pub(super) async fn purge(
    tx: &mut ControlTx,
    now: OffsetDateTime,
    created_before: OffsetDateTime,
    unused_since: OffsetDateTime,
) -> sqlx::Result<u64> {
    let sessions = sqlx::query!(
        "delete from sessions where created_at <= $1 or last_seen_at <= $2",
        created_before,
        unused_since,
    )
    .execute(tx.conn())
    .await?
    .rows_affected();
    sqlx::query!("delete from one_time_links where expires_at <= $1", now)
        .execute(tx.conn())
        .await?;
    Ok(sessions)
}

/// Make the link for the first operator. Earlier ones that nobody used are void from here on.
pub(super) async fn create_operator_link(
    tx: &mut ControlTx,
    hash: &SecretHash,
    now: OffsetDateTime,
    expires_at: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!("delete from one_time_links where purpose = 'first_operator' and used_at is null")
        .execute(tx.conn())
        .await?;
    sqlx::query!(
        "insert into one_time_links (secret_hash, purpose, created_at, expires_at)
         values ($1, 'first_operator', $2, $3)",
        hash.as_bytes(),
        now,
        expires_at,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Whether the link still works. Changes nothing.
pub(super) async fn operator_link_works(
    tx: &mut ControlTx,
    hash: &SecretHash,
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        select exists (
          select from one_time_links
           where secret_hash = $1 and purpose = 'first_operator'
             and used_at is null and expires_at > $2
        ) as "works!"
        "#,
        hash.as_bytes(),
        now,
    )
    .fetch_one(tx.conn())
    .await
}

/// Use the link up. Of any number of racing callers, one gets `true`.
pub(super) async fn redeem_operator_link(
    tx: &mut ControlTx,
    hash: &SecretHash,
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    let redeemed = sqlx::query!(
        "update one_time_links
            set used_at = $2
          where secret_hash = $1 and purpose = 'first_operator'
            and used_at is null and expires_at > $2",
        hash.as_bytes(),
        now,
    )
    .execute(tx.conn())
    .await?
    .rows_affected();
    Ok(redeemed == 1)
}
