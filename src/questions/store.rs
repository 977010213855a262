//! Kept questions in Postgres.

use std::collections::HashSet;

use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    db::{ControlTx, TenantTx},
    ids::{EventId, TenantId},
};

pub(super) async fn insert(
    tx: &mut TenantTx,
    event: EventId,
    at: OffsetDateTime,
    sealed: &[u8],
) -> sqlx::Result<()> {
    let tenant = tx.scope().tenant_id();
    sqlx::query!(
        "insert into questions (tenant_id, event_id, at, text_sealed) values ($1, $2, $3, $4)",
        tenant.uuid(),
        event.uuid(),
        at,
        sealed,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(super) async fn list(
    tx: &mut TenantTx,
    events: &[EventId],
    since: OffsetDateTime,
) -> sqlx::Result<Vec<(EventId, Vec<u8>)>> {
    let events: Vec<Uuid> = events.iter().map(|event| event.uuid()).collect();
    let rows = sqlx::query!(
        r#"select event_id as "event_id: EventId", text_sealed from questions
            where event_id = any($1) and at > $2"#,
        &events,
        since,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.event_id, row.text_sealed)).collect())
}

pub(super) async fn are_kept(tx: &mut ControlTx, tenant: TenantId) -> sqlx::Result<bool> {
    sqlx::query_scalar!("select keeps_questions from tenants where id = $1", tenant.uuid())
        .fetch_one(tx.conn())
        .await
}

/// Whether that was another decision than the one before.
pub(super) async fn decide(tx: &mut ControlTx, tenant: TenantId, keep: bool) -> sqlx::Result<bool> {
    let changed = sqlx::query!(
        "update tenants set keeps_questions = $2 where id = $1 and keeps_questions <> $2",
        tenant.uuid(),
        keep,
    )
    .execute(tx.conn())
    .await?;
    Ok(changed.rows_affected() > 0)
}

pub(super) async fn forget_all(tx: &mut ControlTx, tenant: TenantId) -> sqlx::Result<()> {
    sqlx::query!("delete from questions where tenant_id = $1", tenant.uuid())
        .execute(tx.conn())
        .await?;
    Ok(())
}

pub(super) async fn forget_old(tx: &mut ControlTx, before: OffsetDateTime) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from questions using tenants
          where tenants.id = questions.tenant_id
            and (questions.at < $1 or not tenants.keeps_questions)",
        before,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(super) async fn dismissed(tx: &mut TenantTx) -> sqlx::Result<HashSet<String>> {
    let all = sqlx::query_scalar!("select fingerprint from dismissed_questions")
        .fetch_all(tx.conn())
        .await?;
    Ok(all.into_iter().collect())
}

pub(super) async fn dismiss(
    tx: &mut TenantTx,
    fingerprint: &str,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        insert into dismissed_questions (tenant_id, fingerprint, at)
        values (current_tenant_id(), $1, $2)
            on conflict (tenant_id, fingerprint) do update set at = excluded.at
        ",
        fingerprint,
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(super) async fn forget_dismissed(
    tx: &mut ControlTx,
    before: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!("delete from dismissed_questions where at < $1", before)
        .execute(tx.conn())
        .await?;
    Ok(())
}
