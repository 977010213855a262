//! What the sweep deletes: one statement for each kind of row.

use time::OffsetDateTime;

use crate::db::ControlTx;

/// Authorization requests that expired before this.
pub(super) async fn requests(tx: &mut ControlTx, before: OffsetDateTime) -> sqlx::Result<()> {
    sqlx::query!("delete from oauth_authorization_requests where expires_at < $1", before)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Codes that expired before this.
pub(super) async fn codes(tx: &mut ControlTx, before: OffsetDateTime) -> sqlx::Result<()> {
    sqlx::query!("delete from oauth_authorization_codes where expires_at < $1", before)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Refresh tokens that expired before this. The newest of each grant stays: the line goes on from
/// its number.
pub(super) async fn refresh_tokens(tx: &mut ControlTx, before: OffsetDateTime) -> sqlx::Result<()> {
    sqlx::query!(
        "
        delete from oauth_refresh_tokens old
         where old.expires_at < $1
           and exists (select 1 from oauth_refresh_tokens newer
                        where newer.tenant_id = old.tenant_id and newer.grant_id = old.grant_id
                          and newer.generation > old.generation)
        ",
        before,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Revocations of access tokens that expired before this.
pub(super) async fn revoked_access_tokens(
    tx: &mut ControlTx,
    before: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!("delete from oauth_revoked_access_tokens where expires_at < $1", before)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Grants that ended before this, with their codes, tokens and ticks.
pub(super) async fn grants(tx: &mut ControlTx, before: OffsetDateTime) -> sqlx::Result<()> {
    sqlx::query!("delete from oauth_grants where least(revoked_at, expires_at) < $1", before)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Clients that nobody connected until `unused`, or that nobody has used since `idle`, and back ends
/// that their admin deleted. One with a grant stays, dead or alive, and so does one that somebody is
/// about to connect. A back end is its admin's to delete.
pub(super) async fn clients(
    tx: &mut ControlTx,
    (unused, idle): (OffsetDateTime, OffsetDateTime),
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        delete from oauth_clients c
         where c.client_id in (
               select client_id from oauth_clients
                where (last_used_at is null and created_at < $1) or last_used_at < $2
                   or source = 'tenant'
                  for update skip locked)
           and not exists (select 1 from oauth_grants g where g.client_id = c.client_id)
           and not exists (select 1 from oauth_service_clients s where s.client_id = c.client_id)
           and not exists (select 1 from oauth_authorization_requests r
                            where r.client_id = c.client_id and r.expires_at > $3)
        ",
        unused,
        idle,
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
