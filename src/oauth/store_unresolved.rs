//! Requests of clients that are not known yet, in Postgres.

use time::OffsetDateTime;

use super::store_requests::Found;
use crate::{
    db::ControlTx,
    secret::{Plaintext, SecretHash},
};

/// Keep a request as it came: the query.
pub(super) async fn create(
    tx: &mut ControlTx,
    secret: &SecretHash,
    browser: &Plaintext,
    parameters: &str,
    (now, expires_at): (OffsetDateTime, OffsetDateTime),
) -> sqlx::Result<()> {
    let browser = browser.hash();
    sqlx::query!(
        "
        insert into oauth_unresolved_requests
               (secret_hash, browser_hash, parameters, created_at, expires_at)
        values ($1, $2, $3, $4, $5)
        ",
        secret.as_bytes(),
        browser.as_bytes(),
        parameters,
        now,
        expires_at,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Look one up.
pub(super) async fn find(
    tx: &mut ControlTx,
    secret: &SecretHash,
    browser: &Plaintext,
    now: OffsetDateTime,
) -> sqlx::Result<Found<String>> {
    let row = sqlx::query!(
        "
        select browser_hash, parameters, expires_at
          from oauth_unresolved_requests
         where secret_hash = $1
        ",
        secret.as_bytes(),
    )
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = row else { return Ok(Found::Unknown) };
    let shut = Found::shut(&row.browser_hash, browser, false, row.expires_at <= now);
    Ok(shut.unwrap_or(Found::Waiting(row.parameters)))
}

/// Take one out, and until when it would have waited. Of any number of racing tabs, one gets it.
pub(super) async fn take(
    tx: &mut ControlTx,
    secret: &SecretHash,
) -> sqlx::Result<Option<OffsetDateTime>> {
    sqlx::query_scalar!(
        "delete from oauth_unresolved_requests where secret_hash = $1 returning expires_at",
        secret.as_bytes(),
    )
    .fetch_optional(tx.conn())
    .await
}
