//! Jobs in Postgres over all tenants: whose turn it is, and how many there are. Nothing here sees
//! what a job is about.

use time::OffsetDateTime;
use uuid::Uuid;

use super::Stage;
use crate::{
    db::ControlTx,
    ids::{IngestId, TenantId},
};

/// A job that was claimed.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) tenant: TenantId,
    pub(super) job: IngestId,
    pub(super) fence: i64,
}

/// Claims are made one after the other, in all nodes, so that tenants' shares are counted right.
pub(super) async fn take_turn(tx: &mut ControlTx) -> sqlx::Result<()> {
    sqlx::query!(r#"select pg_advisory_xact_lock(hashtextextended('ingest', 2)) as "turn: ()""#)
        .fetch_one(tx.conn())
        .await?;
    Ok(())
}

/// Claim the job whose turn it is: of the tenants that have the fewest at work, and not as many as
/// they may, the one that was served longest ago; and of its jobs the oldest, but none before an
/// earlier one of the same source. `None` when nothing waits.
pub(super) async fn claim(
    tx: &mut ControlTx,
    owner: Uuid,
    most_of_one_tenant: i64,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> sqlx::Result<Option<Claimed>> {
    sqlx::query_as!(
        Claimed,
        r#"
        with busy as (
          select tenant_id, count(*) as jobs
            from ingest_jobs
           where leased_until > $3
           group by tenant_id
        ), waits as (
          select distinct tenant_id
            from ingest_jobs
           where stage in ('received', 'extracted', 'chunked', 'embedded')
        ), next as (
          select waits.tenant_id, job.id, coalesce(busy.jobs, 0) as jobs, job.run_after,
                 (select max(claimed_at) from ingest_jobs served
                   where served.tenant_id = waits.tenant_id) as served_at
            from waits
            left join busy using (tenant_id)
           cross join lateral (
             select id, run_after
               from ingest_jobs job
              where job.tenant_id = waits.tenant_id
                and stage in ('received', 'extracted', 'chunked', 'embedded')
                and run_after <= $3
                and (leased_until is null or leased_until <= $3)
                and not exists (
                  select from ingest_jobs earlier
                   where earlier.tenant_id = job.tenant_id
                     and earlier.vector_store_id = job.vector_store_id
                     and earlier.source_number = job.source_number
                     and earlier.id < job.id
                     and earlier.stage in ('received', 'extracted', 'chunked', 'embedded'))
              order by id
              limit 3
           ) job
           where coalesce(busy.jobs, 0) < $2
        ), chosen as (
          select job.tenant_id, job.id
            from ingest_jobs job
            join next on (next.tenant_id, next.id) = (job.tenant_id, job.id)
           order by next.jobs, next.served_at nulls first, next.run_after, next.id
           limit 1
             for update of job skip locked
        )
        update ingest_jobs job
           set lease_owner = $1, leased_until = $4, claimed_at = $3, fence = fence + 1,
               lost = lost + (lease_owner is not null)::integer
          from chosen
         where (job.tenant_id, job.id) = (chosen.tenant_id, chosen.id)
        returning job.tenant_id as "tenant: TenantId", job.id as "job: IngestId", fence
        "#,
        owner,
        most_of_one_tenant,
        now,
        until,
    )
    .fetch_optional(tx.conn())
    .await
}

/// Give back what a process had claimed that stops.
pub(super) async fn give_back(tx: &mut ControlTx, owner: Uuid) -> sqlx::Result<()> {
    sqlx::query!(
        "update ingest_jobs set lease_owner = null, leased_until = null where lease_owner = $1",
        owner,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// How many jobs there are in each stage, and when the oldest came that is not over.
pub(super) async fn counts(
    tx: &mut ControlTx,
) -> sqlx::Result<Vec<(Stage, i64, Option<OffsetDateTime>)>> {
    let rows = sqlx::query!(
        r#"
        select stage, count(*) as "jobs!", min(created_at) as oldest
          from ingest_jobs
         group by stage
        "#
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (Stage::named(&row.stage), row.jobs, row.oldest)).collect())
}
