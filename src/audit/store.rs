//! Events in and out of Postgres.

use serde_json::Value;
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime, Time};
use uuid::Uuid;

use super::{Event, Kind};
use crate::{
    db::{Control, ControlTx, TenantTx},
    ids::{EventId, UserId},
};

/// Append one of the tenant's own events, as part of the act.
///
/// # Errors
/// When the database refuses it: another tenant's event is refused by row-level security.
pub async fn append(tx: &mut TenantTx, event: &Event) -> sqlx::Result<()> {
    append_all(tx.conn(), std::slice::from_ref(event)).await
}

/// Append an event of any tenant, or of none, as part of the act.
///
/// # Errors
/// When the database refuses it.
pub async fn append_control(tx: &mut ControlTx, event: &Event) -> sqlx::Result<()> {
    if event.tenant.is_some() {
        append_all(tx.conn(), std::slice::from_ref(event)).await
    } else {
        append_to_installation(tx.conn(), event).await
    }
}

/// Append a batch of tenants' events in one statement. Those that are there already, since nobody
/// heard that they had been written, stay as they are.
///
/// # Errors
/// When the database refuses one of them.
pub async fn append_batch(control: &mut impl Control, events: &[Event]) -> sqlx::Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    append_all(control.control(), events).await
}

async fn append_all(conn: &mut PgConnection, events: &[Event]) -> sqlx::Result<()> {
    let tenants: Vec<Option<Uuid>> =
        events.iter().map(|event| event.tenant.map(|tenant| tenant.uuid())).collect();
    let ids: Vec<Uuid> = events.iter().map(|event| event.id.uuid()).collect();
    let times: Vec<OffsetDateTime> = events.iter().map(|event| event.at).collect();
    let kinds: Vec<String> = events.iter().map(|event| event.kind.as_str().to_owned()).collect();
    let users: Vec<Option<Uuid>> =
        events.iter().map(|event| event.user.map(|user| user.uuid())).collect();
    let clients: Vec<Option<String>> = events.iter().map(|event| event.client.clone()).collect();
    let grants: Vec<Option<Uuid>> =
        events.iter().map(|event| event.grant.map(|grant| grant.uuid())).collect();
    let requests: Vec<Option<String>> =
        events.iter().map(|event| event.request.map(|id| id.to_string())).collect();
    let addresses: Vec<Option<String>> = events.iter().map(|event| event.address.clone()).collect();
    let details: Vec<Value> =
        events.iter().map(|event| Value::Object(event.detail.clone())).collect();
    sqlx::query!(
        "insert into audit_events
           (tenant_id, id, at, kind, user_id, client_id, grant_id, request_id, address, detail)
         select * from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[], $5::uuid[],
                              $6::text[], $7::uuid[], $8::text[], $9::text[], $10::jsonb[])
         on conflict do nothing",
        &tenants as &[Option<Uuid>],
        &ids,
        &times,
        &kinds,
        &users as &[Option<Uuid>],
        &clients as &[Option<String>],
        &grants as &[Option<Uuid>],
        &requests as &[Option<String>],
        &addresses as &[Option<String>],
        &details,
    )
    .execute(conn)
    .await?;
    Ok(())
}

async fn append_to_installation(conn: &mut PgConnection, event: &Event) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into installation_events
           (id, at, kind, user_id, client_id, request_id, address, detail)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
        event.id.uuid(),
        event.at,
        event.kind.as_str(),
        event.user.map(|user| user.uuid()),
        event.client,
        event.request.map(|id| id.to_string()),
        event.address,
        Value::Object(event.detail.clone()),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forget what happened outside any tenant more than 90 days ago; how much that was.
///
/// # Errors
/// When the database fails.
pub async fn forget_old(tx: &mut ControlTx) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"select forget_installation_events() as "forgotten!""#)
        .fetch_one(tx.conn())
        .await
}

/// An event as the activity page lists it.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its id; pages are continued after it.
    pub id: EventId,
    /// When.
    pub at: OffsetDateTime,
    /// What: [`super::Kind::as_str`].
    pub kind: String,
    /// The user's name, where there is one and they still exist.
    pub user_id: Option<Uuid>,
    /// The OAuth client.
    pub client_id: Option<String>,
    /// Network prefix.
    pub address: Option<String>,
    /// The rest.
    pub detail: Value,
}

/// How often something was called.
#[derive(Clone, Debug)]
pub struct Calls {
    /// What: [`super::Kind::as_str`].
    pub kind: String,
    /// In the last minute.
    pub minute: i64,
    /// Today.
    pub today: i64,
    /// In the last seven days, today among them.
    pub week: i64,
}

/// How often assistants called the tenant's tools lately.
///
/// # Errors
/// When the database fails.
pub async fn calls(tx: &mut TenantTx, now: OffsetDateTime) -> sqlx::Result<Vec<Calls>> {
    let today = now.replace_time(Time::MIDNIGHT);
    let kinds = [Kind::Search, Kind::Fetch, Kind::UnknownTool].map(|kind| kind.as_str().to_owned());
    sqlx::query_as!(
        Calls,
        r#"
        select kind, count(*) filter (where at > $1) as "minute!",
               count(*) filter (where at >= $2) as "today!", count(*) as "week!"
          from audit_events
         where at >= $3 and kind = any($4)
         group by kind
        "#,
        now - Duration::MINUTE,
        today,
        today - Duration::days(6),
        &kinds[..],
    )
    .fetch_all(tx.conn())
    .await
}

/// A document that a user's fetch gave out.
#[derive(Clone, Debug)]
pub struct Read {
    /// In which hour before the end of the span.
    pub hours_ago: i64,
    /// Its id, as it was answered.
    pub id: String,
}

/// What a user's fetches gave out in a span of time: each id once an hour.
///
/// # Errors
/// When the database fails.
pub async fn read_by(
    tx: &mut TenantTx,
    user: UserId,
    (from, to): (OffsetDateTime, OffsetDateTime),
) -> sqlx::Result<Vec<Read>> {
    sqlx::query_as!(
        Read,
        r#"
        select distinct floor(extract(epoch from $4 - at) / 3600)::bigint as "hours_ago!",
               given.id as "id!"
          from audit_events
         cross join lateral jsonb_array_elements_text(detail -> 'documents') as given (id)
         where kind = $1 and user_id = $2 and at > $3 and at <= $4
           and jsonb_typeof(detail -> 'documents') = 'array'
        "#,
        Kind::Fetch.as_str(),
        user.uuid(),
        from,
        to,
    )
    .fetch_all(tx.conn())
    .await
}

/// Whether something has happened to a user since then.
///
/// # Errors
/// When the database fails.
pub async fn has_happened(
    tx: &mut TenantTx,
    kind: Kind,
    user: UserId,
    since: OffsetDateTime,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from audit_events
                           where kind = $1 and user_id = $2 and at > $3) as "has_happened!""#,
        kind.as_str(),
        user.uuid(),
        since,
    )
    .fetch_one(tx.conn())
    .await
}

/// Take a user's turn: of nodes that look at what they read, one does at a time.
///
/// # Errors
/// When the database fails.
pub async fn hold_reader(tx: &mut TenantTx, user: UserId) -> sqlx::Result<()> {
    sqlx::query!(
        r#"select pg_advisory_xact_lock(hashtextextended('reading/' || $1::text, 0)) as "held: ()""#,
        user.to_string(),
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(())
}

/// The tenant's newest events, at most `limit`, older than `before`, of one kind or of all.
///
/// # Errors
/// When the database fails.
pub async fn list(
    tx: &mut TenantTx,
    kind: Option<&str>,
    before: Option<EventId>,
    limit: i64,
) -> sqlx::Result<Vec<Row>> {
    sqlx::query_as!(
        Row,
        r#"
        select id as "id: EventId", at, kind, user_id, client_id, address, detail
          from audit_events
         where ($1::text is null or kind = $1) and ($2::uuid is null or id < $2)
         order by id desc
         limit $3
        "#,
        kind,
        before.map(EventId::uuid),
        limit,
    )
    .fetch_all(tx.conn())
    .await
}
