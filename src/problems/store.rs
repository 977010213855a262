//! Problems in Postgres.

use time::OffsetDateTime;

use super::{Kind, Problem, SHOWN};
use crate::db::ControlTx;

/// Add sightings. Those after a day of silence begin anew.
pub(super) async fn record(
    tx: &mut ControlTx,
    kind: Kind,
    detail: &str,
    at: OffsetDateTime,
    seen: i64,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        insert into installation_problems as old (kind, detail, first_at, last_at, seen)
        values ($1, $2, $3, $3, $4)
        on conflict (kind) do update
           set detail = excluded.detail,
               first_at = case when old.last_at < $5 then excluded.first_at else old.first_at end,
               seen = case when old.last_at < $5 then 0 else old.seen end + excluded.seen,
               last_at = greatest(old.last_at, excluded.last_at)
        ",
        kind.as_str(),
        detail,
        at,
        seen,
        at - SHOWN,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What was wrong within the last day, the latest first.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut ControlTx, now: OffsetDateTime) -> sqlx::Result<Vec<Problem>> {
    let rows = sqlx::query!(
        "
        select kind, detail, first_at, last_at, seen
          from installation_problems
         where last_at > $1
         order by last_at desc, kind
        ",
        now - SHOWN,
    )
    .fetch_all(tx.conn())
    .await?;
    // A later version's kinds are not ours to explain.
    let problems = rows.into_iter().filter_map(|row| {
        Some(Problem {
            kind: Kind::from_name(&row.kind)?,
            detail: row.detail,
            first_at: row.first_at,
            last_at: row.last_at,
            seen: row.seen,
        })
    });
    Ok(problems.collect())
}

/// Show it no more, until it is seen again. Whether it was there.
///
/// # Errors
/// When the database fails.
pub async fn dismiss(tx: &mut ControlTx, kind: Kind) -> sqlx::Result<bool> {
    let deleted = sqlx::query!("delete from installation_problems where kind = $1", kind.as_str())
        .execute(tx.conn())
        .await?;
    Ok(deleted.rows_affected() > 0)
}

/// Forget what has not been seen for a day.
///
/// # Errors
/// When the database fails.
pub async fn forget_old(tx: &mut ControlTx, now: OffsetDateTime) -> sqlx::Result<()> {
    sqlx::query!("delete from installation_problems where last_at <= $1", now - SHOWN)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The database's time.
pub(super) async fn now(tx: &mut ControlTx) -> sqlx::Result<OffsetDateTime> {
    sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#).fetch_one(tx.conn()).await
}
