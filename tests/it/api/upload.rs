use axum::{body::Body, extract::Request, http::header};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::task::JoinSet;

use super::{Bench, assert_problem};
use crate::support::{Answer, TestApp};

/// A file, as the body.
async fn send(
    app: &TestApp,
    token: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Answer {
    let mut request = Request::post(format!("/t/acme/api/v1{path}"))
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/octet-stream");
    for (name, value) in headers {
        if *name == "content-type" {
            request.headers_mut().unwrap().remove(header::CONTENT_TYPE);
        }
        request = request.header(*name, *value);
    }
    app.send(request.body(body.into()).unwrap()).await
}

impl Bench {
    fn documents(&self) -> String {
        format!("/vector-stores/{}/documents", self.store)
    }

    async fn send(&self, name: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let path = format!("{}?filename={name}", self.documents());
        send(&self.app, &self.token, &path, headers, body.to_owned()).await
    }
}

/// From the first byte to the search: kept at once, a document when it has been read.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_file_becomes_a_document(pool: PgPool) {
    let bench = Bench::set(&pool).await;
    let sent = bench.send("guide.md", &[], "# The heron\n\nIt waits.").await;
    assert_eq!(sent.status, 202, "{}", sent.text());
    let job = sent.json();
    assert_eq!((&job["stage"], &job["file_name"]), (&json!("received"), &json!("guide.md")));
    assert_eq!(sent.location(), format!("/t/acme/api/v1/jobs/{}", job["id"].as_str().unwrap()));
    bench.app.drain_ingest().await;
    let path = sent.location()["/t/acme/api/v1".len()..].to_owned();
    let done = bench.call("GET", &path).await.json();
    assert_eq!((&done["stage"], &done["is_over"]), (&json!("published"), &json!(true)), "{done}");
    assert_eq!(done["added"], 1);
    assert!(!done.as_object().unwrap().values().any(Value::is_null), "{done}");
    let document = done["document_id"].as_str().unwrap();
    let said = bench.call("GET", &format!("/documents/{document}")).await.json();
    assert_eq!(said["title"], "The heron");
    let found = bench.post("/search", &json!({ "query": "heron" })).await.json();
    assert_eq!(found["results"][0]["title"], "The heron");
    let kept =
        sqlx::query!("select client_id, detail from audit_events where kind = 'document.received'")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(kept.client_id.as_deref(), Some(bench.bot.client_id.as_str()));
    assert_eq!(kept.detail["name"], "guide.md");

    let form = "--cut\r\ncontent-disposition: form-data; name=\"file\"; filename=\"b.txt\"\r\n\r\n\
        The stork has come.\r\n--cut--\r\n";
    let multipart = [("content-type", "multipart/form-data; boundary=cut")];
    let sent =
        send(&bench.app, &bench.token, &bench.documents(), &multipart, form.to_owned()).await;
    assert_eq!((sent.status.as_u16(), &sent.json()["file_name"]), (202, &json!("b.txt")));
    bench.app.drain_ingest().await;
    assert_eq!(bench.app.count("documents").await, 2);
}

/// [U-08] Of any number of attempts under one key there is one job, and the key means one file.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_attempt_that_is_repeated_is_the_same(pool: PgPool) {
    let bench = Bench::set(&pool).await;
    let key = [("idempotency-key", "nightly-1")];
    let twin = bench.app.twin().await;
    let mut race = JoinSet::new();
    for number in 0..4 {
        let app = if number % 2 == 0 { bench.app.clone() } else { twin.clone() };
        let path = format!("{}?filename=a.txt", bench.documents());
        let token = bench.token.clone();
        race.spawn(async move {
            send(&app, &token, &path, &[("idempotency-key", "nightly-1")], "A heron.").await
        });
    }
    let mut jobs: Vec<String> = Vec::new();
    for answer in race.join_all().await {
        assert_eq!(answer.status, 202, "{}", answer.text());
        jobs.push(answer.json()["id"].to_string());
    }
    jobs.dedup();
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    assert_eq!(bench.app.count("ingest_jobs").await, 1);
    let other = bench.send("a.txt", &key, "A stork.").await;
    assert_problem(&other, 422, "idempotency-key-reused");
    let again = bench.send("a.txt", &key, "A heron.").await;
    assert_eq!(again.json()["id"].to_string(), jobs[0]);
    assert_eq!(bench.send("a.txt", &[("idempotency-key", "2")], "A stork.").await.status, 202);
    for bad in [&[("idempotency-key", "")][..], &[("idempotency-key", "a b")], &[key[0], key[0]]] {
        assert_problem(&bench.send("a.txt", bad, "x").await, 400, "bad-request");
    }
}

#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_is_no_document_is_refused(pool: PgPool) {
    let bench = Bench::set(&pool).await;
    let unnamed = send(&bench.app, &bench.token, &bench.documents(), &[], "text").await;
    assert_problem(&unnamed, 400, "bad-request");
    assert_problem(&bench.send("a.exe", &[], "MZ").await, 415, "file-refused");
    assert_problem(&bench.send("a.pdf", &[], "no pdf").await, 415, "file-refused");
    let large = "x".repeat(25 * 1024 * 1024 + 1);
    assert_problem(&bench.send("a.txt", &[], &large).await, 413, "too-large");
    let closed = format!("/vector-stores/{}/documents?filename=a.txt", bench.closed);
    let closed = send(&bench.app, &bench.token, &closed, &[], "text").await;
    assert_problem(&closed, 404, "not-found");
    assert_eq!(bench.app.count("ingest_jobs").await, 0);
    assert_eq!(bench.app.count("originals").await, 0);
}
