//! Signing keys in Postgres.

use time::OffsetDateTime;

use crate::db::ControlTx;

pub(super) struct Row {
    pub(super) kid: String,
    pub(super) public_key: Vec<u8>,
    pub(super) sealed_key: Vec<u8>,
}

/// The keys that tokens may be signed with, newest first.
pub(super) async fn list(tx: &mut ControlTx) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        "
        select kid, public_key, sealed_key
          from signing_keys
         where retired_at is null
         order by created_at desc, kid
        "
    )
    .fetch_all(tx.conn())
    .await
}

/// Let nobody else create a key until this transaction ends.
pub(super) async fn lock(tx: &mut ControlTx) -> sqlx::Result<()> {
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended('signing_keys', 0)) as locked")
        .fetch_one(tx.conn())
        .await?;
    Ok(())
}

pub(super) async fn create(tx: &mut ControlTx, row: &Row, now: OffsetDateTime) -> sqlx::Result<()> {
    sqlx::query!(
        "
        insert into signing_keys (kid, public_key, sealed_key, created_at, activates_at)
        values ($1, $2, $3, $4, $4)
        ",
        row.kid,
        row.public_key,
        row.sealed_key,
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
