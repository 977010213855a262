//! Requests that are taken back.

use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::time::timeout;

use super::{Line, elsewhere, outcomes, request, until};
use crate::{
    mcp::{
        slow,
        stage::{Stage, ping},
    },
    support::openai_fake::{Mode, OpenAi},
};

const SOON: Duration = Duration::from_secs(1);

fn search(id: impl Into<Value>) -> Value {
    let params = json!({ "name": "search", "arguments": { "query": "cats" } });
    request(id, "tools/call", &params)
}

fn cancelled(id: impl Into<Value>) -> Value {
    let params = json!({ "requestId": id.into(), "reason": "the user changed their mind" });
    json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params })
}

async fn accepted(line: &Line, node: &Stage, message: &Value) {
    let answer = line.post(node, message).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
}

/// Post searches that a store holds up.
async fn hold(line: &Line, stage: &Stage, fake: &OpenAi, ids: impl Iterator<Item = i64>) {
    fake.behave(Mode::Held);
    for id in ids {
        accepted(line, stage, &search(id)).await;
        fake.arrived().await;
    }
}

/// Whichever node hears of it, the call ends, its record says that nobody was answered, and the
/// stream goes on without it.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_running_call_is_taken_back(pool: PgPool) {
    let (here, fake, _) = slow::stage(&pool).await;
    let there = elsewhere(&here).await;
    for (node, count) in [(&here, 1), (&there, 3)] {
        let mut line = Line::open(&here).await;
        hold(&line, &here, &fake, 7..8).await;
        // Names of other kinds and of nothing are none of it.
        for other in [json!("7"), json!(8)] {
            accepted(&line, node, &cancelled(other)).await;
        }
        assert_eq!(line.ask(node, &ping()).await["id"], 1);
        accepted(&line, node, &cancelled(7)).await;
        timeout(10 * SOON, fake.hung_up()).await.expect("the call goes on");
        until("it is on record", async || outcomes(&here).await.len() == count).await;
        assert_eq!(outcomes(&here).await.pop().unwrap(), "unanswered");
        fake.release();
        assert_eq!(line.ask(node, &ping()).await["id"], 1);
        assert_eq!(line.ask(&here, &search(9)).await["id"], 9);
        // It is over: that it is taken back once more changes nothing.
        accepted(&line, &here, &cancelled(9)).await;
        assert_eq!(line.ask(&here, &ping()).await["id"], 1);
    }
}

/// With as many calls as may run, one is stopped nevertheless, and one that waits is never begun.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_full_stream_hears_of_it_too(pool: PgPool) {
    let (stage, fake, _) = slow::stage(&pool).await;
    let mut line = Line::open(&stage).await;
    hold(&line, &stage, &fake, 1..9).await;
    for id in 9..13 {
        accepted(&line, &stage, &search(id)).await;
    }
    for id in [11, 10, 3] {
        accepted(&line, &stage, &cancelled(id)).await;
    }
    timeout(SOON, fake.hung_up()).await.expect("the call goes on");
    fake.arrived().await; // the ninth has the place
    fake.release();
    let mut answered = Vec::new();
    for _ in 0..9 {
        answered.push(line.message().await["id"].as_i64().unwrap());
    }
    answered.sort_unstable();
    assert_eq!(answered, [1, 2, 4, 5, 6, 7, 8, 9, 12]);
    assert_eq!(line.ask(&stage, &request("end", "ping", &json!({}))).await["id"], "end");
    // Ten calls began: two never did.
    assert_eq!(outcomes(&stage).await.len(), 10);
}

/// Nobody takes back what another asked.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn only_who_asked_takes_back(pool: PgPool) {
    let (stage, fake, _) = slow::stage(&pool).await;
    let stranger = Stage::on(stage.app.clone()).await;
    let there = elsewhere(&stranger).await;
    let (mut line, other) = (Line::open(&stage).await, Line::open(&stage).await);
    hold(&line, &stage, &fake, 7..8).await;
    for node in [&stranger, &there] {
        let answer = line.post(node, &cancelled(7)).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
    }
    // Nor on another stream of the same.
    accepted(&other, &stage, &cancelled(7)).await;
    fake.release();
    let answer = line.message().await;
    assert_eq!(answer["id"], 7);
    assert!(answer.to_string().contains("Cats"));
}

/// Streams too carry how far a call is, before its answer.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_slow_search_says_how_far_it_is(pool: PgPool) {
    let (stage, fake, _) = slow::stage(&pool).await;
    let mut line = Line::open(&stage).await;
    fake.behave(Mode::Held);
    let mut body = search("slow");
    body["params"]["_meta"] = json!({ "progressToken": 0 });
    accepted(&line, &stage, &body).await;
    let said = line.message().await;
    assert_eq!(said["method"], "notifications/progress");
    let of = &said["params"];
    assert_eq!((&of["progressToken"], &of["progress"]), (&json!(0), &json!(1)));
    fake.release();
    assert_eq!(line.message().await["id"], "slow");
}
