use serde_json::json;
use sqlx::PgPool;

use super::{Bench, assert_problem};

/// What the tool finds, in the stores that the back end may use, on record before it is told.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_question_is_answered_from_the_callers_stores(pool: PgPool) {
    let bench = Bench::set(&pool).await;
    bench.document(bench.store, "open.txt", "The pelican keeps a ledger of herrings.").await;
    bench.document(bench.store, "gulls.md", "# Gulls\n\nGulls envy the pelican.").await;
    bench.document(bench.closed, "closed.txt", "The pelican earns forty herrings a week.").await;
    let found = bench.post("/search", &json!({ "query": "pelican" })).await;
    assert_eq!(found.status, 200, "{}", found.text());
    assert!(!found.text().contains("forty"), "{}", found.text());
    let results = found.json()["results"].as_array().unwrap().clone();
    assert_eq!(results.len(), 2);
    assert_eq!(results[0]["vector_store_id"], bench.store.to_string());
    let kept =
        sqlx::query!("select client_id, detail from audit_events where kind = 'tool.search'")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(kept.client_id.as_deref(), Some(bench.bot.client_id.as_str()));
    assert_eq!((&kept.detail["results"], &kept.detail["outcome"]), (&json!(2), &json!("answered")));
    assert!(!kept.detail.to_string().contains("pelican"), "the question is not kept");

    let filters = json!({ "type": "eq", "key": "media_type", "value": "text/markdown" });
    let found = bench.post("/search", &json!({ "query": "pelican", "filters": filters })).await;
    let found = found.json();
    assert_eq!(found["results"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found["results"][0]["title"], "Gulls");

    let named = json!({ "query": "pelican", "limit": 1, "vector_store_ids": [bench.store] });
    assert_eq!(bench.post("/search", &named).await.json()["results"].as_array().unwrap().len(), 1);
    let foreign = json!({ "query": "pelican", "vector_store_ids": [bench.store, bench.closed] });
    assert_problem(&bench.post("/search", &foreign).await, 404, "not-found");
}

#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_question_that_is_none_is_refused(pool: PgPool) {
    let bench = Bench::set(&pool).await;
    for bad in [
        json!({}),
        json!({ "query": 7 }),
        json!({ "query": " " }),
        json!({ "query": "x".repeat(2_001) }),
        json!({ "query": "x", "limit": 0 }),
        json!({ "query": "x", "limit": 21 }),
        json!({ "query": "x", "vector_store_ids": ["x"] }),
        json!({ "query": "x", "filters": { "type": "like" } }),
        json!({ "query": "x", "unknown": 1 }),
        json!(["x"]),
    ] {
        assert_problem(&bench.post("/search", &bad).await, 400, "bad-request");
    }
    let long = json!({ "query": "x", "filters": "x".repeat(70_000) });
    assert_problem(&bench.post("/search", &long).await, 413, "too-large");
    let form = axum::extract::Request::post("/t/acme/api/v1/search")
        .header("authorization", format!("Bearer {}", bench.token))
        .header("content-type", "text/plain")
        .body("{\"query\":\"x\"}".into())
        .unwrap();
    assert_problem(&bench.app.send(form).await, 415, "unsupported-media-type");
}
