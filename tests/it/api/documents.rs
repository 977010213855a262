use serde_json::{Value, json};
use sqlx::PgPool;

use super::{Bench, assert_problem};

/// A page at a time, newest first, to the end and no further.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_list_is_read_page_by_page(pool: PgPool) {
    let bench = Bench::set(&pool).await;
    let list = format!("/vector-stores/{}/documents", bench.store);
    assert_eq!(bench.call("GET", &list).await.json(), json!({ "documents": [] }));
    for number in 0..5 {
        let text = format!("Heron {number} waits.");
        bench.document(bench.store, &format!("{number}.txt"), &text).await;
    }
    bench.document(bench.closed, "secret.txt", "Forty herrings.").await;
    let (mut titles, mut cursor) = (Vec::new(), String::new());
    let mut pages = 0;
    loop {
        let page = bench.call("GET", &format!("{list}?limit=2{cursor}")).await;
        assert_eq!(page.status, 200, "{}", page.text());
        let page = page.json();
        for document in page["documents"].as_array().unwrap() {
            titles.push(document["title"].as_str().unwrap().to_owned());
        }
        pages += 1;
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let expected: Vec<_> = (0..5).rev().map(|number| format!("Heron {number} waits.")).collect();
    assert_eq!((titles, pages), (expected, 3));
    for bad in ["limit=0", "limit=1001", "limit=x", "cursor=x", "limit=1&limit=2"] {
        let answer = bench.call("GET", &format!("{list}?{bad}")).await;
        assert_problem(&answer, 400, "bad-request");
    }
    let closed = format!("/vector-stores/{}/documents", bench.closed);
    assert_problem(&bench.call("GET", &closed).await, 404, "not-found");
}

#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_document_is_described_and_deleted(pool: PgPool) {
    let bench = Bench::set(&pool).await;
    let id = bench.document(bench.store, "heron.md", "# The heron\n\nIt waits.").await;
    let closed = bench.document(bench.closed, "secret.txt", "Forty herrings.").await;
    let one = format!("/documents/{id}");
    let said = bench.call("GET", &one).await.json();
    assert_eq!(said["id"], id.to_string());
    assert_eq!(said["title"], "The heron");
    assert_eq!(said["source_key"], "upload:heron.md");
    assert_eq!(said["media_type"], "text/markdown");
    assert_eq!(said["byte_size"], 22);
    let page = said["page_url"].as_str().unwrap();
    assert!(page.starts_with("https://callslip.example/d/"), "{page}");
    assert!(!said.as_object().unwrap().values().any(Value::is_null), "{said}");

    assert_eq!(bench.call("DELETE", &one).await.status, 204);
    assert_problem(&bench.call("DELETE", &one).await, 404, "not-found");
    assert_problem(&bench.call("GET", &one).await, 404, "not-found");
    let closed = format!("/documents/{closed}");
    for method in ["GET", "DELETE"] {
        assert_problem(&bench.call(method, &closed).await, 404, "not-found");
    }
    let event = sqlx::query!(
        "select client_id, user_id, grant_id is not null as \"granted!\", detail
           from audit_events where kind = 'document.deleted'"
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(event.client_id.as_deref(), Some(bench.bot.client_id.as_str()));
    assert_eq!((event.user_id, event.granted), (None, true));
    assert_eq!(event.detail["document"], id.to_string());
}
