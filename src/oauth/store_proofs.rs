//! What may be shown once, in Postgres: `jti` of client assertions and of DPoP proofs.

use time::OffsetDateTime;

use crate::db::ControlTx;

/// Spend a proof until it expires. Of any number of racing callers, on any node, one gets `true`;
/// the others wait for what becomes of the winner's transaction.
pub(super) async fn use_once(
    tx: &mut ControlTx,
    digest: &[u8; 32],
    expires_at: OffsetDateTime,
) -> sqlx::Result<bool> {
    let spent = sqlx::query!(
        "
        insert into oauth_used_proofs (digest, expires_at) values ($1, $2)
        on conflict (digest) do nothing
        ",
        digest.as_slice(),
        expires_at,
    )
    .execute(tx.conn())
    .await?;
    Ok(spent.rows_affected() == 1)
}
