//! How many streams there may be.

use std::time::Duration;

use axum::http::StatusCode;
use callslip::{ids::GrantId, mcp::StreamRules};
use serde_json::json;
use sqlx::PgPool;

use super::{Line, elsewhere, get, noted, race, under, until};
use crate::{
    mcp::stage::{Stage, ping},
    support::Answer,
};

/// A refusal in JSON-RPC's form that says when to come back.
fn is_full(answer: &Answer, status: StatusCode, limit: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    let body = answer.json();
    assert!(wait >= 1 && body["jsonrpc"] == "2.0");
    assert_eq!(
        body["error"]["data"],
        json!({ "limit": limit, "retryable": true, "retryAfterSeconds": wait })
    );
}

/// Five streams of one token, however many nodes they are asked of at once; a sixth when one
/// of them has ended.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn of_racing_streams_of_one_token_five_open(pool: PgPool) {
    let here = Stage::new(&pool).await;
    let there = elsewhere(&here).await;
    let token = here.token().await;
    let racers = (0..16).map(|n| (if n % 2 == 0 { &here } else { &there }).clone());
    let (mut won, lost) = race(racers.map(|stage| (stage, token.clone())).collect()).await;
    assert_eq!((won.len(), lost.len()), (5, 11));
    for answer in &lost {
        is_full(answer, StatusCode::TOO_MANY_REQUESTS, "token");
    }
    // Another grant of the same tenant has its own, and a plain call needs no stream.
    let other = another_grant(&here).await;
    let (others, _) = race(vec![(there.clone(), other)]).await;
    assert_eq!(others.len(), 1);
    assert_eq!(here.post(&ping()).await.status, StatusCode::OK);

    won.pop();
    until("one may open again", async || {
        Line::try_open(&there, get("/sse/", &token)).await.is_ok()
    })
    .await;
}

/// A hundred streams of one tenant, on all nodes together.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn of_racing_streams_of_one_tenant_a_hundred_open(pool: PgPool) {
    let here = Stage::new(&pool).await;
    let there = elsewhere(&here).await;
    let mut racers = Vec::new();
    for n in 0..24 {
        let token = another_grant(&here).await;
        for _ in 0..5 {
            let node = if n % 2 == 0 { &here } else { &there };
            racers.push((node.clone(), token.clone()));
        }
    }
    let (won, lost) = race(racers).await;
    assert_eq!((won.len(), lost.len()), (100, 20));
    for answer in &lost {
        is_full(answer, StatusCode::TOO_MANY_REQUESTS, "tenant");
    }
    assert_eq!(noted(&pool).await, 100);
    // The next tenant has its own.
    let other = Stage::on(there.app.clone()).await;
    drop(Line::open(&other).await);

    // What a node held that is gone holds nothing up.
    sqlx::query!("update sse_nodes set seen_at = now() - interval '61 seconds'")
        .execute(&pool)
        .await
        .unwrap();
    let third = elsewhere(&here).await;
    drop(Line::open(&third).await);
    third.app.app.forget(third.app.db(), &third.app.clock).await.unwrap();
    assert!(noted(&pool).await <= 1);
}

/// As many streams on one node as it may hold; the next node has room.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_node_holds_so_many_streams_and_no_more(pool: PgPool) {
    let here = under(Stage::new(&pool).await, |rules| rules.per_node = 3).await;
    let there = elsewhere(&here).await;
    let mut racers = Vec::new();
    for _ in 0..8 {
        racers.push((here.clone(), another_grant(&here).await));
    }
    let (won, lost) = race(racers).await;
    assert_eq!((won.len(), lost.len()), (3, 5));
    for answer in &lost {
        is_full(answer, StatusCode::SERVICE_UNAVAILABLE, "server");
    }
    drop(Line::open(&there).await);
}

/// The numbers that hold unless a test says otherwise.
#[test]
fn the_rules_are_those_of_the_specification() {
    let rules = StreamRules::default();
    assert_eq!((rules.per_grant, rules.per_tenant, rules.per_node), (5, 100, 1000));
    assert_eq!(rules.keep_alive, Duration::from_secs(15));
    assert_eq!(rules.lifetime, Duration::from_secs(900));
    assert_eq!(rules.patience, Duration::from_secs(30));
    assert!(rules.recheck <= Duration::from_secs(5));
}

/// A token of another grant of the same user.
async fn another_grant(stage: &Stage) -> String {
    let grant = GrantId::new();
    sqlx::query!(
        "insert into oauth_grants (tenant_id, id, user_id, client_id, redirect_uri, resource,
                                   scope, created_at, expires_at)
         select tenant_id, $2, user_id, client_id, redirect_uri, resource, scope, created_at,
                expires_at
           from oauth_grants where id = $1",
        stage.grant.uuid(),
        grant.uuid(),
    )
    .execute(&stage.app.pool)
    .await
    .unwrap();
    stage.token_but(json!({ "grant": grant })).await
}

/// [L-01] Opening streams is counted like a call, so nobody opens and closes them without end.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn opening_streams_is_counted(pool: PgPool) {
    let stage = Stage::with(&pool, &[("CALLSLIP_RATE_LIMIT_SCALE", "0.1")]).await;
    let token = stage.token().await;
    for tries in 0.. {
        assert!(tries < 500, "it is not counted");
        if let Err(answer) = Line::try_open(&stage, get("/sse/", &token)).await {
            assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
            // The cap on streams has no rate.
            if !answer.header("ratelimit").is_empty() {
                break;
            }
        }
    }
}
