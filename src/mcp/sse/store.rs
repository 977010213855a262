//! Who holds which stream, and messages on their way there.
//!
//! Times here are the database's: they compare what different nodes did.

use sqlx::types::Uuid;
use time::OffsetDateTime;

use super::session::Principal;
use crate::{
    db::{ControlTx, TenantTx},
    ids::UserId,
    secret::SecretHash,
};

/// A stream that wants to be open.
pub(super) struct New<'a> {
    pub(super) node: Uuid,
    pub(super) session: &'a SecretHash,
    pub(super) principal: &'a Principal,
    pub(super) at: OffsetDateTime,
}

/// How many streams there were before.
pub(super) struct Open {
    pub(super) of_grant: i64,
    pub(super) of_tenant: i64,
}

/// How many there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caps {
    pub(super) of_grant: i64,
    pub(super) of_tenant: i64,
}

impl Open {
    pub(super) const fn is_within(&self, caps: Caps) -> bool {
        self.of_grant < caps.of_grant && self.of_tenant < caps.of_tenant
    }
}

/// Take the tenant's turn: of streams that open at once, one counts at a time.
pub(super) async fn hold(tx: &mut ControlTx, principal: &Principal) -> sqlx::Result<()> {
    sqlx::query!(
        r#"select pg_advisory_xact_lock(hashtextextended('sse/' || $1::text, 0)) as "held: ()""#,
        principal.tenant.to_string(),
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(())
}

/// Note an open stream where the caps leave room for it; says how many there were before.
pub(super) async fn open(tx: &mut ControlTx, new: &New<'_>, caps: Caps) -> sqlx::Result<Open> {
    sqlx::query_as!(
        Open,
        r#"
        with open as (
          select count(*) filter (where s.grant_id = $4) as of_grant, count(*) as of_tenant
            from sse_sessions s
            join sse_nodes n on n.id = s.node_id and n.seen_at > now() - interval '60 seconds'
           where s.tenant_id = $1
        ), opened as (
          insert into sse_sessions
                 (tenant_id, secret_hash, node_id, grant_id, user_id, client_id, opened_at)
          select $1, $2, $3, $4, $5, $6, $7
            from open
           where of_grant < $8 and of_tenant < $9
        )
        select of_grant as "of_grant!", of_tenant as "of_tenant!" from open
        "#,
        new.principal.tenant.uuid(),
        new.session.as_bytes(),
        new.node,
        new.principal.grant.uuid(),
        new.principal.user.map(UserId::uuid),
        new.principal.client_id,
        new.at,
        caps.of_grant,
        caps.of_tenant,
    )
    .fetch_one(tx.conn())
    .await
}

/// The node is there.
pub(super) async fn beat(tx: &mut ControlTx, node: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into sse_nodes (id, seen_at) values ($1, now())
             on conflict (id) do update set seen_at = now()",
        node,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Forget the streams that a node does not hold any more, except those that are just opening.
pub(super) async fn keep_only(
    tx: &mut ControlTx,
    node: Uuid,
    held: &[Vec<u8>],
    opened_before: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from sse_sessions
          where node_id = $1 and opened_at < $2 and secret_hash <> all($3)",
        node,
        opened_before,
        held,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Forget nodes that are gone, with their streams, and messages that nobody came for.
pub(super) async fn sweep(tx: &mut ControlTx) -> sqlx::Result<()> {
    sqlx::query!("delete from sse_nodes where seen_at < now() - interval '60 seconds'")
        .execute(tx.conn())
        .await?;
    sqlx::query!("delete from sse_messages where posted_at < now() - interval '60 seconds'")
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The streams of a node for which messages wait.
pub(super) async fn waited_for(tx: &mut ControlTx, node: Uuid) -> sqlx::Result<Vec<Vec<u8>>> {
    sqlx::query_scalar!(
        "select distinct m.secret_hash
           from sse_messages m
           join sse_sessions s on s.tenant_id = m.tenant_id and s.secret_hash = m.secret_hash
          where s.node_id = $1",
        node,
    )
    .fetch_all(tx.conn())
    .await
}

/// Where a stream is held.
pub(super) struct Held {
    pub(super) node: Uuid,
    /// How many messages wait for it already.
    pub(super) waiting: i64,
}

/// Find this caller's stream, and keep it from ending for the rest of the transaction. Anybody
/// else's is not there.
pub(super) async fn find(
    tx: &mut TenantTx,
    session: &SecretHash,
    principal: &Principal,
) -> sqlx::Result<Option<Held>> {
    sqlx::query_as!(
        Held,
        r#"
        select node_id as node,
               (select count(*) from sse_messages m
                 where m.secret_hash = s.secret_hash) as "waiting!"
          from sse_sessions s
         where secret_hash = $1 and grant_id = $2 and client_id = $3
           and user_id is not distinct from $4
           for key share
        "#,
        session.as_bytes(),
        principal.grant.uuid(),
        principal.client_id,
        principal.user.map(UserId::uuid),
    )
    .fetch_optional(tx.conn())
    .await
}

/// Leave a message for a stream, and wake the node that holds it when this is committed.
pub(super) async fn post(
    tx: &mut TenantTx,
    session: &SecretHash,
    sealed: &[u8],
    channel: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        r#"
        with message as (
          insert into sse_messages (tenant_id, id, secret_hash, sealed)
          values (current_tenant_id(), $1, $2, $3)
        )
        select pg_notify($4, encode($2, 'hex')) as "told: ()"
        "#,
        Uuid::now_v7(),
        session.as_bytes(),
        sealed,
        channel,
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(())
}

/// Take the oldest messages for a stream.
pub(super) async fn take(
    tx: &mut TenantTx,
    session: &SecretHash,
    most: i64,
) -> sqlx::Result<Vec<Vec<u8>>> {
    let mut taken = sqlx::query!(
        "delete from sse_messages
          where id in (select id from sse_messages where secret_hash = $1 order by id limit $2)
         returning id, sealed",
        session.as_bytes(),
        most,
    )
    .fetch_all(tx.conn())
    .await?;
    taken.sort_by_key(|message| message.id);
    Ok(taken.into_iter().map(|message| message.sealed).collect())
}

/// Keep further messages from coming: whoever is posting one is waited for.
pub(super) async fn hold_session(tx: &mut TenantTx, session: &SecretHash) -> sqlx::Result<()> {
    sqlx::query!(
        "select secret_hash from sse_sessions where secret_hash = $1 for update",
        session.as_bytes(),
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(())
}

/// The stream is over.
pub(super) async fn close(tx: &mut TenantTx, session: &SecretHash) -> sqlx::Result<()> {
    sqlx::query!("delete from sse_sessions where secret_hash = $1", session.as_bytes())
        .execute(tx.conn())
        .await?;
    Ok(())
}
