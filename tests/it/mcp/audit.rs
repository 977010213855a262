//! No answer without its audit event.

use axum::http::StatusCode;
use callslip::tenants::Role;
use serde_json::json;
use sqlx::PgPool;

use super::stage::{Stage, call};

/// When the answer is there, so is the event: who, through which client, what came of it; not what
/// was asked.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_answered_call_is_on_record(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let secret = "a question that nobody keeps";
    let answer = stage.call("search", json!({ "query": secret })).await;
    assert_eq!(answer.status, StatusCode::OK);
    let row = sqlx::query!(
        "select kind, user_id, client_id, grant_id, request_id, address, detail, detail::text as t
           from audit_events where tenant_id = $1",
        stage.tenant.uuid(),
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(row.kind, "tool.search");
    assert_eq!(row.user_id, Some(stage.user.uuid()));
    assert_eq!(row.client_id.as_deref(), Some(stage.client_id.as_str()));
    assert_eq!(row.grant_id, Some(stage.grant.uuid()));
    assert_eq!(row.request_id.as_deref(), Some(answer.header("x-request-id")));
    assert_eq!(row.address.as_deref(), Some("192.0.2.0/24"));
    assert_eq!(row.detail["tool"], "search");
    assert_eq!(row.detail["outcome"], "answered");
    assert_eq!(row.detail["results"], 0);
    assert_eq!(row.detail["documents"], json!([]));
    assert!(row.detail["latency_ms"].is_u64());
    assert!(!row.t.unwrap().contains("question"));

    stage.call("fetch", json!({ "id": "nonsense" })).await;
    stage.call("fetch", json!({ "wrong": secret })).await;
    let outcomes: Vec<_> = stage
        .events()
        .await
        .into_iter()
        .map(|(kind, detail)| (kind, detail["outcome"].clone()))
        .collect();
    let expected =
        [("tool.search", "answered"), ("tool.fetch", "not_found"), ("tool.fetch", "bad_arguments")];
    assert_eq!(outcomes, expected.map(|(kind, outcome)| (kind.to_owned(), json!(outcome))));
}

/// Where the event cannot be written there is no answer, only word that it is worth trying again.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_call_that_cannot_be_recorded_is_not_answered(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    refuse_events(&pool).await;
    let answer = stage.call("search", json!({ "query": "x" })).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!answer.header("retry-after").is_empty());
    let body = answer.json();
    assert_eq!((body["id"].as_i64(), body["error"]["code"].as_i64()), (Some(1), Some(-32603)));
    assert!(body.get("result").is_none() && !answer.text().contains("disk"));
    // What needs no record goes on.
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    assert_eq!(stage.post(&list).await.status, StatusCode::OK);
    sqlx::raw_sql("drop trigger refuse on audit_events").execute(&pool).await.unwrap();
    assert_eq!(stage.call("search", json!({ "query": "x" })).await.status, StatusCode::OK);
}

/// Many at once share commits, and each is recorded once, in its own tenant.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn each_of_many_calls_at_once_is_recorded_once(pool: PgPool) {
    let stages = {
        let first = Stage::new(&pool).await;
        let second = Stage::on(first.app.clone()).await;
        [first, second]
    };
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..40 {
        let stage = stages[number % 2].clone();
        calls.spawn(async move {
            let answer = stage.call("search", json!({ "query": "x" })).await;
            (stage.tenant.uuid(), answer.header("x-request-id").to_owned(), answer.status)
        });
    }
    let mut answered = calls.join_all().await;
    assert!(answered.iter().all(|(.., status)| *status == StatusCode::OK));
    let rows = sqlx::query!("select tenant_id, request_id from audit_events")
        .fetch_all(&pool)
        .await
        .unwrap();
    let mut recorded: Vec<_> = rows
        .into_iter()
        .map(|row| (row.tenant_id, row.request_id.unwrap(), StatusCode::OK))
        .collect();
    let key = |one: &(uuid::Uuid, String, StatusCode)| (one.0, one.1.clone());
    answered.sort_by_key(key);
    recorded.sort_by_key(key);
    assert_eq!(answered, recorded);
}

/// The tenant's admin reads what came of each call, and how much was found.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_activity_page_says_what_came_of_each_call(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    stage.call("search", json!({ "query": "x" })).await;
    stage.call("search", json!({ "wrong": "x" })).await;
    stage.call("fetch", json!({ "id": "nonsense" })).await;
    let mut admin = stage.app.member(&stage.slug, "grace", Role::Admin).await.sign_in().await;
    let page = admin.get(&format!("/t/{}/activity", stage.slug)).await;
    let told: Vec<_> =
        page.select("tbody th").into_iter().zip(page.select("tbody .badge")).collect();
    for line in
        [("Searched: 0 hits", "Answered"), ("Searched", "Refused"), ("Document read", "Not found")]
    {
        let line = (line.0.to_owned(), line.1.to_owned());
        assert!(told.contains(&line), "{line:?} is not in {told:?}");
    }
}

/// A call that is turned away before its tool runs is on record too, before its answer leaves.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_refused_call_is_on_record(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let token = stage.token_but(json!({ "scope": "offline_access" })).await;
    let request = stage.request_with("/mcp", &token);
    let answer = stage.send(request, &call("search", json!({ "query": "x" }))).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let unknown = "whatever\0somebody says";
    assert_eq!(stage.call(unknown, json!({})).await.json()["error"]["code"], -32602);
    let expected = [
        ("tool.search".to_owned(), json!({ "tool": "search", "outcome": "refused" })),
        ("tool.unknown".to_owned(), json!({ "outcome": "unknown_tool" })),
    ];
    assert_eq!(stage.events().await, expected);
    let row =
        sqlx::query!("select user_id, grant_id, request_id from audit_events order by id desc")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!((row.user_id, row.grant_id), (Some(stage.user.uuid()), Some(stage.grant.uuid())));
    assert!(row.request_id.is_some());

    refuse_events(&pool).await;
    let request = stage.request_with("/mcp", &token);
    let answer = stage.send(request, &call("search", json!({ "query": "x" }))).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(stage.call(unknown, json!({})).await.status, StatusCode::SERVICE_UNAVAILABLE);
}

/// [G-05] Of a question there is its length on record and what it is known again by in its tenant;
/// its text only where an admin says so, sealed, for seven days, or until they say otherwise.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_question_is_kept_only_where_an_admin_says_so(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let other = Stage::on(stage.app.clone()).await;
    let question = "who feeds the zyzzyva";
    let ask = async |stage: &Stage| {
        stage.call("search", json!({ "query": question })).await;
        stage.events().await.pop().unwrap().1["query_fingerprint"].as_str().unwrap().to_owned()
    };
    let known_by = ask(&stage).await;
    assert_eq!((ask(&stage).await, known_by.len()), (known_by.clone(), 32));
    assert_ne!(ask(&other).await, known_by);
    assert_eq!(stage.events().await[0].1["query_characters"], 21);
    assert_eq!(stage.app.count("questions").await, 0);

    let admin = stage.app.member(&stage.slug, "grace", Role::Admin).await;
    let mut browser = admin.sign_in().await;
    let (page, activity) =
        (format!("/t/{}/settings", stage.slug), format!("/t/{}/activity", stage.slug));
    let action = format!("{page}/questions");
    browser.submit(&page, &action, &[("keep", "on")]).await;
    assert_eq!(browser.get(&page).await.attribute("input[name=keep][checked]", "name").len(), 1);
    ask(&stage).await;
    ask(&other).await;
    let kept = sqlx::query!("select tenant_id, text_sealed from questions").fetch_all(&pool).await;
    let kept = kept.unwrap();
    assert_eq!(kept.iter().map(|row| row.tenant_id).collect::<Vec<_>>(), [stage.tenant.uuid()]);
    assert!(!String::from_utf8_lossy(&kept[0].text_sealed).contains("zyzzyva"));
    let whole: String = sqlx::query_scalar("select string_agg(e::text, '') from audit_events e")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert!(!whole.contains("zyzzyva"));
    assert_eq!(browser.get(&activity).await.text().matches("zyzzyva").count(), 1);

    browser.submit(&page, &action, &[]).await;
    assert_eq!(stage.app.count("questions").await, 0);
    browser.submit(&page, &action, &[("keep", "on")]).await;
    ask(&stage).await;
    stage.app.clock.advance(time::Duration::days(7));
    assert!(!browser.get(&activity).await.text().contains("zyzzyva"));
    stage.app.app.forget(stage.app.db(), &stage.app.clock).await.unwrap();
    assert_eq!(stage.app.count("questions").await, 0);
}

/// From here on no event can be written.
async fn refuse_events(pool: &PgPool) {
    sqlx::raw_sql(
        "create function refuse() returns trigger language plpgsql as
           $$ begin raise exception 'the disk is full' using errcode = '53100'; end $$;
         create trigger refuse before insert on audit_events
           for each statement execute function refuse()",
    )
    .execute(pool)
    .await
    .unwrap();
}
