//! Signing keys in Postgres.

use time::OffsetDateTime;

use crate::db::ControlTx;

/// A key that is not retired.
pub(super) struct Row {
    pub(super) kid: String,
    pub(super) public_key: Vec<u8>,
    pub(super) sealed_key: Vec<u8>,
    pub(super) activates_at: OffsetDateTime,
}

/// What may be seen of a key.
pub(super) struct Dates {
    pub(super) kid: String,
    pub(super) created_at: OffsetDateTime,
    pub(super) activates_at: OffsetDateTime,
    pub(super) retired_at: Option<OffsetDateTime>,
}

/// The keys that are not retired, the last to sign first.
pub(super) async fn live(tx: &mut ControlTx) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        "
        select kid, public_key, sealed_key, activates_at
          from signing_keys
         where retired_at is null
         order by activates_at desc, kid
        "
    )
    .fetch_all(tx.conn())
    .await
}

/// Every key that is not retired or was not before `since`, the last to sign first.
pub(super) async fn list(tx: &mut ControlTx, since: OffsetDateTime) -> sqlx::Result<Vec<Dates>> {
    sqlx::query_as!(
        Dates,
        "
        select kid, created_at, activates_at, retired_at
          from signing_keys
         where retired_at is null or retired_at >= $1
         order by activates_at desc, kid
        ",
        since,
    )
    .fetch_all(tx.conn())
    .await
}

/// Let nobody else publish or retire a key until this transaction ends.
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
        values ($1, $2, $3, $4, $5)
        ",
        row.kid,
        row.public_key,
        row.sealed_key,
        now,
        row.activates_at,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// From now on what it signed is refused. Its private half is forgotten.
pub(super) async fn retire(tx: &mut ControlTx, kid: &str, now: OffsetDateTime) -> sqlx::Result<()> {
    sqlx::query!(
        "
        update signing_keys set retired_at = $2, sealed_key = ''
         where kid = $1 and retired_at is null
        ",
        kid,
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
