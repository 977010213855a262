//! A stream on one node, its messages on another.

use std::{collections::BTreeSet, time::Duration};

use axum::http::StatusCode;
use serde_json::json;
use sqlx::PgPool;

use super::{Line, elsewhere, noted, request, under};
use crate::mcp::stage::{Stage, call, ping};

/// Whichever node a message is posted to, the answer comes on the stream, once, and after its
/// event; nothing stays behind.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_message_finds_its_stream_from_any_node(pool: PgPool) {
    let here = Stage::new(&pool).await;
    let there = elsewhere(&here).await;
    let mut line = Line::open(&here).await;
    let hello = request("first", "initialize", &json!({ "protocolVersion": "2024-11-05" }));
    let hello = line.ask(&there, &hello).await;
    assert_eq!(
        (&hello["id"], &hello["result"]["protocolVersion"]),
        (&json!("first"), &json!("2024-11-05"))
    );
    let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    assert_eq!(line.post(&there, &ready).await.status, StatusCode::ACCEPTED);
    let found = line.ask(&there, &call("search", json!({ "query": "xyzzy" }))).await;
    assert_eq!(found["result"]["structuredContent"], json!({ "results": [] }));
    let events = here.events().await;
    assert_eq!((events.len(), &events[0].1["outcome"]), (1, &json!("answered")), "{events:?}");

    let mut wanted: BTreeSet<i64> = (0..20).collect();
    for id in wanted.clone() {
        let node = if id % 3 == 0 { &here } else { &there };
        let posted = line.post(node, &request(id, "ping", &json!({}))).await;
        assert_eq!(posted.status, StatusCode::ACCEPTED, "{}", posted.text());
        if id % 7 == 6 {
            assert!(wanted.remove(&line.message().await["id"].as_i64().unwrap()));
        }
    }
    while !wanted.is_empty() {
        assert!(wanted.remove(&line.message().await["id"].as_i64().unwrap()));
    }
    let left = sqlx::query_scalar!(r#"select count(*) as "count!" from sse_messages"#);
    assert_eq!(left.fetch_one(&pool).await.unwrap(), 0);
}

/// On its way a message can be read by nobody: neither the question nor who asks.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_message_on_its_way_is_sealed(pool: PgPool) {
    let here = Stage::new(&pool).await;
    let there = elsewhere(&here).await;
    let line = Line::open(&here).await;
    // A node that hears nothing seems to hold the stream, and so the message stays where it is.
    sqlx::query!(
        "with deaf as (
           insert into sse_nodes (id, seen_at) values (gen_random_uuid(), now()) returning id)
         update sse_sessions set node_id = deaf.id from deaf"
    )
    .execute(&pool)
    .await
    .unwrap();
    let body = call("search", json!({ "query": "a very private question" }));
    assert_eq!(line.post(&there, &body).await.status, StatusCode::ACCEPTED);
    let row = sqlx::query!("select sealed, m::text as \"whole!\" from sse_messages m");
    let row = row.fetch_one(&pool).await.unwrap();
    let session = line.endpoint.split_once("session_id=").unwrap().1;
    let raw = String::from_utf8_lossy(&row.sealed);
    for secret in ["private", "search", "client_id", &here.client_id, session] {
        assert!(!raw.contains(secret) && !row.whole.contains(secret), "{secret}");
    }
    // Nor is the name of a session kept.
    let kept = sqlx::query_scalar!(r#"select s::text as "row!" from sse_sessions s"#);
    assert!(!kept.fetch_one(&pool).await.unwrap().contains(session));
}

/// What was changed, or belongs to another session, is not run: the stream ends instead.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_message_that_was_tampered_with_is_not_run(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let here = under(stage, |rules| rules.look = Duration::from_millis(50)).await;
    let mut line = Line::open(&here).await;
    sqlx::query!(
        "insert into sse_messages (tenant_id, id, secret_hash, sealed)
         select tenant_id, gen_random_uuid(), secret_hash, decode(repeat('5a', 100), 'hex')
           from sse_sessions"
    )
    .execute(&pool)
    .await
    .unwrap();
    assert_eq!(line.rest().await.0, Vec::<String>::new());
    assert!(here.events().await.is_empty());
}

/// A connection that hears nothing any more, or never did, costs time and no message.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_notification_that_is_lost_costs_no_message(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let here = under(stage, |rules| rules.look = Duration::from_millis(50)).await;
    let there = elsewhere(&here).await;
    let mut line = Line::open(&here).await;
    for id in 0..3 {
        let deafened = sqlx::query_scalar!(
            r#"select count(*) filter (where pg_terminate_backend(pid)) as "count!"
                 from pg_stat_activity
                where datname = current_database() and query like 'LISTEN %'"#
        );
        assert!(deafened.fetch_one(&pool).await.unwrap() >= 1);
        let answer = line.ask(&there, &request(id, "ping", &json!({}))).await;
        assert_eq!(answer["id"], id);
    }
}

/// When a stream has ended, no node knows its session.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_session_ends_with_its_stream_on_every_node(pool: PgPool) {
    let here = Stage::new(&pool).await;
    let there = elsewhere(&here).await;
    let line = Line::open(&here).await;
    let endpoint = line.endpoint.clone();
    assert_eq!(line.post(&there, &ping()).await.status, StatusCode::ACCEPTED);
    drop(line);
    super::until("the stream is forgotten", async || noted(&pool).await == 0).await;
    for node in [&here, &there] {
        let answer = node.send(node.request(&endpoint).await, &ping()).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_eq!(
            (&answer.json()["id"], &answer.json()["error"]["code"]),
            (&json!(1), &json!(-32600))
        );
    }
}
