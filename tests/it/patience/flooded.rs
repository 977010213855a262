//! One kind of work is flooded; the others answer as if nothing was.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use serde_json::json;
use sqlx::PgPool;
use tokio::task::JoinSet;

use super::{make_slow, on_few, until_asleep};
use crate::mcp::stage::{Stage, call};

const PROMPT: Duration = Duration::from_millis(500);

/// [FX-10] Fifty searches of a tenant whose every statement sleeps: tokens are issued within half a
/// second, and pages and another tenant's searches answer too.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_slow_tenant_keeps_nobody_from_tokens(pool: PgPool) {
    let stage = on_few(Stage::new(&pool).await, 8).await;
    let other = Stage::on(stage.app.clone()).await;
    let ticks = [("may", "search"), ("store", &other.store.to_string())];
    let bot = stage.app.back_end(&other.slug, "Billing bot", &ticks).await;
    let body = call("search", json!({ "query": "cats" }));
    make_slow(&pool, stage.tenant).await;
    let mut flood = JoinSet::new();
    for _ in 0..50 {
        let (stage, body) = (stage.clone(), body.clone());
        flood.spawn(async move { stage.post(&body).await });
    }
    until_asleep(&pool, |count| count >= 2).await;
    let mut slowest = Duration::ZERO;
    for _ in 0..40 {
        let begun = Instant::now();
        assert_eq!(bot.own_token(&[]).await.status, StatusCode::OK);
        slowest = slowest.max(begun.elapsed());
    }
    assert!(slowest <= PROMPT, "{slowest:?}");
    for _ in 0..10 {
        let begun = Instant::now();
        assert_eq!(stage.app.get("/sign-in").await.status, StatusCode::OK);
        assert_eq!(stage.app.get("/readyz").await.status, StatusCode::OK);
        assert_eq!(other.post(&body).await.status, StatusCode::OK);
        assert!(begun.elapsed() <= 2 * PROMPT, "{:?}", begun.elapsed());
    }
    until_asleep(&pool, |count| count >= 1).await;
    flood.shutdown().await;
}

/// [FX-13] Somebody holds a lock on every grant: whoever needs one is told within two seconds to
/// try again, connections stay within their bound, and everything else goes on.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_lock_is_not_waited_for(pool: PgPool) {
    const CONNECTIONS: i64 = 6;
    // Two for questions whether a token lives, one for the record.
    const OUTSIDE: i64 = 3;
    let stage = on_few(Stage::new(&pool).await, 6).await;
    let ticks = [("may", "search"), ("store", &stage.store.to_string())];
    let bot = stage.app.back_end(&stage.slug, "Billing bot", &ticks).await;
    let body = call("search", json!({ "query": "cats" }));
    let mut lock = pool.begin().await.unwrap();
    sqlx::raw_sql("lock table oauth_grants in access exclusive mode")
        .execute(&mut *lock)
        .await
        .unwrap();
    let mut asked = JoinSet::new();
    for number in 0..40 {
        let (stage, body, bot) = (stage.clone(), body.clone(), bot.clone());
        asked.spawn(async move {
            let begun = Instant::now();
            let answer = match number % 2 {
                0 => stage.post(&body).await,
                _ => bot.own_token(&[]).await,
            };
            (answer.status, answer.header("retry-after").to_owned(), begun.elapsed())
        });
    }
    let begun = Instant::now();
    for _ in 0..5 {
        assert_eq!(stage.app.get("/sign-in").await.status, StatusCode::OK);
    }
    stays_within(&pool, CONNECTIONS + OUTSIDE).await;
    assert!(begun.elapsed() <= 2 * PROMPT, "{:?}", begun.elapsed());
    for (status, retry_after, took) in asked.join_all().await {
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(!retry_after.is_empty() && took < Duration::from_secs(6), "{took:?}");
    }
    stays_within(&pool, CONNECTIONS + OUTSIDE).await;
    lock.rollback().await.unwrap();
    assert_eq!(stage.post(&body).await.status, StatusCode::OK);
    assert_eq!(bot.own_token(&[]).await.status, StatusCode::OK);
}

/// No more clients than this; besides, for a moment, those whose connection we have closed and
/// whose statement Postgres has not ended yet: it looks for its client every quarter of a second.
async fn stays_within(pool: &PgPool, bound: i64) {
    let begun = Instant::now();
    loop {
        let count = sessions(pool).await;
        if count <= bound {
            return;
        }
        assert!(begun.elapsed() < PROMPT, "{count} sessions, {bound} may be");
    }
}

/// How many clients of this database the application has: all, but for the test's own.
async fn sessions(pool: &PgPool) -> i64 {
    let all = sqlx::query_scalar!(
        r#"select count(*) as "count!" from pg_stat_activity
            where datname = current_database() and backend_type = 'client backend'"#
    );
    let all = all.fetch_one(pool).await.unwrap();
    all - i64::from(pool.size())
}
