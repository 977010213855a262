//! Runs in Postgres: one at a time for a tenant, by one node at a time.

use std::collections::HashMap;

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{Measured, Progress, Rank, Report, Score, store};
use crate::{
    db::{ControlTx, TenantTx},
    ids::{GoldenQuestionId, GoldenRunId, TenantId},
};

/// After this long without a word from who has a run, it is anybody's.
const SILENT: Duration = Duration::minutes(1);
/// How long a new question waits for others, and a run that broke off for its second try.
const SETTLES: Duration = Duration::seconds(30);
const AGAIN: Duration = Duration::minutes(10);
/// How many runs are kept, besides the newest of each fingerprint.
const KEPT: i64 = 20;

/// A run that a node has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) tenant: TenantId,
    pub(super) run: GoldenRunId,
    pub(super) by: Uuid,
}

/// Ask for a run, unless one is under way.
pub(super) async fn want(
    tx: &mut TenantTx,
    fingerprint: &str,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        insert into golden_runs (tenant_id, id, fingerprint, created_at, state)
        select current_tenant_id(), $1, $2, $3, 'waiting'
         where exists (select from golden_questions)
            on conflict do nothing
        ",
        GoldenRunId::new().uuid(),
        fingerprint,
        now,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The tenants that have questions.
pub(super) async fn tenants(tx: &mut ControlTx) -> sqlx::Result<Vec<TenantId>> {
    sqlx::query_scalar!(
        r#"select distinct tenant_id as "id: TenantId" from golden_questions order by tenant_id"#
    )
    .fetch_all(tx.conn())
    .await
}

/// Whether something ranks that has not been measured, or a question was never asked.
pub(super) async fn is_due(
    tx: &mut TenantTx,
    fingerprint: &str,
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        with newest as (
          select fingerprint, created_at, state from golden_runs
           order by created_at desc, id desc limit 1
        ), fresh as (
          select max(created_at) as at, max(created_at) < $2 as is_settled from golden_questions)
        select coalesce(
                 (select case when state in ('waiting', 'running') then false
                              when fingerprint <> $1 then true
                              when state = 'failed' then created_at < $3
                              else fresh.at > created_at and fresh.is_settled end
                    from newest, fresh),
                 (select is_settled from fresh),
                 false) as "is_due!"
        "#,
        fingerprint,
        now - SETTLES,
        now - AGAIN,
    )
    .fetch_one(tx.conn())
    .await
}

/// Runs that nobody is at.
pub(super) async fn free(
    tx: &mut ControlTx,
    now: OffsetDateTime,
) -> sqlx::Result<Vec<(TenantId, GoldenRunId)>> {
    let rows = sqlx::query!(
        r#"
        select tenant_id as "tenant: TenantId", id as "run: GoldenRunId"
          from golden_runs
         where state = 'waiting' or (state = 'running' and seen_at < $1)
         order by created_at
        "#,
        now - SILENT,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (row.tenant, row.run)).collect())
}

/// Take a run, from its beginning; `false` when somebody else was first.
pub(super) async fn take(
    tx: &mut TenantTx,
    held: Held,
    (of, fingerprint): (usize, &str),
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    let taken = sqlx::query!(
        "
        with taken as (
          update golden_runs
             set state = 'running', held_by = $2, seen_at = $3, asked = 0, of_asked = $5,
                 fingerprint = $6
           where id = $1 and (state = 'waiting' or (state = 'running' and seen_at < $4))
          returning id
        ), again as (
          delete from golden_ranks where run_id in (select id from taken))
        select id from taken
        ",
        held.run.uuid(),
        held.by,
        now,
        now - SILENT,
        i32::try_from(of).unwrap_or(i32::MAX),
        fingerprint,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(taken.is_some())
}

/// Note a rank; `false` when the run is somebody else's by now. A question that was deleted
/// meanwhile is passed over.
pub(super) async fn note(
    tx: &mut TenantTx,
    held: Held,
    (question, rank): (GoldenQuestionId, Option<i32>),
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"
        with mine as (
          update golden_runs set asked = asked + 1, seen_at = $3
           where id = $1 and held_by = $2 and state = 'running'
          returning id
        ), noted as (
          insert into golden_ranks (tenant_id, run_id, question_id, rank)
          select question.tenant_id, mine.id, question.id, $5
            from mine, golden_questions question where question.id = $4
              on conflict do nothing)
        select exists (select from mine) as "mine!"
        "#,
        held.run.uuid(),
        held.by,
        now,
        question.uuid(),
        rank,
    )
    .fetch_one(tx.conn())
    .await
}

/// The run is over, well or not; older ones go.
pub(super) async fn finish(
    tx: &mut TenantTx,
    held: Held,
    is_well: bool,
    now: OffsetDateTime,
) -> sqlx::Result<()> {
    sqlx::query!(
        "
        update golden_runs set state = case when $3 then 'done' else 'failed' end, finished_at = $4
         where id = $1 and held_by = $2 and state = 'running'
        ",
        held.run.uuid(),
        held.by,
        is_well,
        now,
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        "
        delete from golden_runs
         where state in ('done', 'failed')
           and id not in (select distinct on (fingerprint) id from golden_runs where state = 'done'
                           order by fingerprint, created_at desc, id desc)
           and id not in (select id from golden_runs order by created_at desc, id desc limit $1)
        ",
        KEPT,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

struct Run {
    id: GoldenRunId,
    fingerprint: String,
    created_at: OffsetDateTime,
}

/// Everything there is to show.
///
/// # Errors
/// When the database fails.
pub async fn report(tx: &mut TenantTx) -> sqlx::Result<Report> {
    let newest = newest(tx, None).await?;
    let before = match &newest {
        Some(newest) => self::newest(tx, Some(&newest.fingerprint)).await?,
        None => None,
    };
    let last = sqlx::query!(
        "select state, asked, of_asked from golden_runs order by created_at desc, id desc limit 1"
    )
    .fetch_optional(tx.conn())
    .await?;
    let now_ranks = ranks(tx, newest.as_ref()).await?;
    let before_ranks = ranks(tx, before.as_ref()).await?;
    let of = |ranks: &HashMap<GoldenQuestionId, Rank>, id| {
        ranks.get(&id).copied().unwrap_or(Rank::Unasked)
    };
    let mut questions: Vec<_> = store::list(tx)
        .await?
        .into_iter()
        .map(|question| {
            let ranks = (of(&now_ranks, question.id), of(&before_ranks, question.id));
            (question, ranks.0, ranks.1)
        })
        .collect();
    questions.sort_by_key(|(_, now, _)| match now {
        Rank::Missed => (0, 0),
        Rank::At(rank) => (1, -rank),
        Rank::Unasked => (2, 0),
    });
    let measured = |run: Run, ranks: &HashMap<_, _>| Measured {
        at: run.created_at,
        fingerprint: run.fingerprint,
        score: Score::of(ranks.values().copied()),
    };
    let both =
        |(id, rank): (&GoldenQuestionId, &Rank)| before_ranks.contains_key(id).then_some(*rank);
    Ok(Report {
        now_of_before: Score::of(now_ranks.iter().filter_map(both)),
        now: newest.map(|run| measured(run, &now_ranks)),
        before: before.map(|run| measured(run, &before_ranks)),
        under_way: last
            .as_ref()
            .filter(|last| matches!(last.state.as_str(), "waiting" | "running"))
            .map(|last| Progress { asked: last.asked, of: last.of_asked }),
        broke_off: last.is_some_and(|last| last.state == "failed"),
        questions,
    })
}

/// The newest run that went well; of another fingerprint than this.
async fn newest(tx: &mut TenantTx, but: Option<&str>) -> sqlx::Result<Option<Run>> {
    sqlx::query_as!(
        Run,
        r#"
        select id as "id: GoldenRunId", fingerprint, created_at
          from golden_runs
         where state = 'done' and ($1::text is null or fingerprint <> $1)
         order by created_at desc, id desc
         limit 1
        "#,
        but,
    )
    .fetch_optional(tx.conn())
    .await
}

async fn ranks(
    tx: &mut TenantTx,
    run: Option<&Run>,
) -> sqlx::Result<HashMap<GoldenQuestionId, Rank>> {
    let Some(run) = run else { return Ok(HashMap::new()) };
    let rows = sqlx::query!(
        r#"select question_id as "question: GoldenQuestionId", rank
             from golden_ranks where run_id = $1"#,
        run.id.uuid(),
    )
    .fetch_all(tx.conn())
    .await?;
    let rank = |rank: Option<i32>| rank.map_or(Rank::Missed, Rank::At);
    Ok(rows.into_iter().map(|row| (row.question, rank(row.rank))).collect())
}
