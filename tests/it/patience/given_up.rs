//! What a client that hangs up leaves behind: nothing that runs, and its record.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{ask, listen, make_quick, make_slow, on_few, until_asleep};
use crate::{
    mcp::{
        slow,
        stage::{Stage, call},
    },
    support::openai_fake::Mode,
};

const SOON: Duration = Duration::from_secs(1);

/// Wait until there are so many events, and read what came of each.
async fn outcomes(stage: &Stage, count: usize) -> Vec<String> {
    let begun = Instant::now();
    loop {
        let mut events = stage.events().await;
        events.retain(|(kind, _)| kind.starts_with("tool."));
        if events.len() >= count {
            let outcome =
                |(_, detail): &(String, Value)| detail["outcome"].as_str().unwrap().into();
            return events.iter().map(outcome).collect();
        }
        assert!(begun.elapsed() < 10 * SOON, "{events:?}");
    }
}

/// [H-10] A client that hangs up ends its statement within a second, over and over, on two
/// connections; the pool answers those who come next, and each call is on record.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn hanging_up_ends_the_statement(pool: PgPool) {
    let stage = on_few(Stage::new(&pool).await, 2).await;
    let (address, token) = (listen(&stage.app).await, stage.token().await);
    let body = call("search", json!({ "query": "cats" }));
    make_slow(&pool, stage.tenant).await;
    for _ in 0..4 {
        let socket = ask(&address, &token, &body).await;
        until_asleep(&pool, |count| count > 0).await;
        drop(socket);
        let ended = until_asleep(&pool, |count| count == 0).await;
        assert!(ended <= SOON, "the statement ran on for {ended:?}");
    }
    make_quick(&pool).await;
    for _ in 0..10 {
        let answer = stage.post(&body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    }
    let outcomes = outcomes(&stage, 14).await;
    assert_eq!(outcomes[..4], ["unanswered"; 4]);
    assert_eq!(outcomes[4..], ["answered"; 10]);
}

/// [H-10] Nor does a call to a store elsewhere go on.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn hanging_up_ends_the_call_to_a_store(pool: PgPool) {
    let (stage, fake, _) = slow::stage(&pool).await;
    let (address, token) = (listen(&stage.app).await, stage.token().await);
    fake.behave(Mode::Held);
    let socket = ask(&address, &token, &call("search", json!({ "query": "cats" }))).await;
    fake.arrived().await;
    drop(socket);
    tokio::time::timeout(SOON, fake.hung_up()).await.expect("the call goes on");
    assert_eq!(outcomes(&stage, 1).await, ["unanswered"]);
}

/// Whoever asks and hangs up, over and over, takes no more connections than whoever waits.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn hanging_up_over_and_over_leaves_the_others_theirs(pool: PgPool) {
    let stage = on_few(Stage::new(&pool).await, 4).await;
    let other = Stage::on(stage.app.clone()).await;
    let (address, token) = (listen(&stage.app).await, stage.token().await);
    let body = call("search", json!({ "query": "cats" }));
    make_slow(&pool, stage.tenant).await;
    let flood = tokio::spawn({
        let body = body.clone();
        async move {
            loop {
                let sockets =
                    [ask(&address, &token, &body).await, ask(&address, &token, &body).await];
                tokio::time::sleep(Duration::from_millis(5)).await;
                drop(sockets);
            }
        }
    });
    until_asleep(&pool, |count| count > 0).await;
    for _ in 0..20 {
        let begun = Instant::now();
        assert_eq!(other.post(&body).await.status, StatusCode::OK);
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    }
    flood.abort();
}
