//! Searches that led to nothing, as far as the events tell.

use time::{Duration, OffsetDateTime};

use super::Kind;
use crate::{db::TenantTx, ids::EventId};

/// Who means to read what was found does so within this time.
const OPENED_WITHIN: Duration = Duration::minutes(10);
/// How many searches are looked at: the newest ones.
const LOOKED_AT: i64 = 5_000;

/// One question, asked so many times and never answered well.
#[derive(Clone, Debug)]
pub struct Unanswered {
    /// The newest time it was asked.
    pub event: EventId,
    /// What the question is known by.
    pub fingerprint: String,
    /// How often it was asked.
    pub times: i64,
    /// Whether anything was found.
    pub found: bool,
    /// When it was last asked.
    pub last_at: OffsetDateTime,
}

/// The questions since then after which nobody opened anything that was found, or for which nothing
/// was: the latter first, and then those that were asked most often.
///
/// # Errors
/// When the database fails.
pub async fn unanswered(
    tx: &mut TenantTx,
    since: OffsetDateTime,
    limit: i64,
) -> sqlx::Result<Vec<Unanswered>> {
    sqlx::query_as!(
        Unanswered,
        r#"
        with asked as materialized (
          select id, at, grant_id, detail->>'query_fingerprint' as fingerprint,
                 detail->'documents' as documents
            from audit_events
           where at > $1 and kind = $3 and detail->>'outcome' = 'answered'
             and detail ? 'query_fingerprint'
           order by id desc
           limit $5
        ), judged as (
          select asked.*, exists (
                   select from audit_events opened
                    where opened.kind = $4 and opened.grant_id = asked.grant_id
                      and opened.at >= asked.at and opened.at < asked.at + $6::interval
                      and opened.detail->>'outcome' = 'answered'
                      and jsonb_exists_any(
                            opened.detail->'documents',
                            array(select jsonb_array_elements_text(asked.documents)))) as opened
            from asked
        )
        select (array_agg(id order by id desc))[1] as "event!: EventId",
               fingerprint as "fingerprint!", count(*) as "times!",
               bool_or(jsonb_array_length(documents) > 0) as "found!", max(at) as "last_at!"
          from judged
         group by fingerprint
        having not bool_or(opened)
         order by 4, 3 desc, 5 desc
         limit $2
        "#,
        since,
        limit,
        Kind::Search.as_str(),
        Kind::Fetch.as_str(),
        LOOKED_AT,
        sqlx::postgres::types::PgInterval {
            months: 0,
            days: 0,
            microseconds: OPENED_WITHIN.whole_seconds() * 1_000_000,
        },
    )
    .fetch_all(tx.conn())
    .await
}
