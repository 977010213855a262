//! Authorization requests that clients pushed (RFC 9126), in Postgres.

use time::OffsetDateTime;

use crate::{db::ControlTx, secret::SecretHash};

/// Keep what was pushed, url-encoded.
pub(super) async fn create(
    tx: &mut ControlTx,
    secret: &SecretHash,
    client_id: &str,
    parameters: &str,
    (now, expires_at): (OffsetDateTime, OffsetDateTime),
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        insert into oauth_pushed_requests
               (secret_hash, client_id, parameters, created_at, expires_at)
        values ($1, $2, $3, $4, $5)
        ",
        secret.as_bytes(),
        client_id,
        parameters,
        now,
        expires_at,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Use what this client pushed. Of any number of racing browsers, one gets it.
pub(super) async fn use_once(
    tx: &mut ControlTx,
    secret: &SecretHash,
    client_id: &str,
    now: OffsetDateTime,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "
        update oauth_pushed_requests
           set used_at = $3
         where secret_hash = $1 and client_id = $2 and used_at is null and expires_at > $3
        returning parameters
        ",
        secret.as_bytes(),
        client_id,
        now,
    )
    .fetch_optional(tx.conn())
    .await
}
