use axum::{body::Body, extract::Request, http::header};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::{Bench, EVERYTHING, back_end};

/// [I-06] [I-37] Every route of the API, with a good token of one tenant and every id of another
/// that a path or a body can name, at one's own address and at theirs: the answer is the one for an
/// id that nothing has, and nothing of theirs has changed.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_back_end_knows_its_own_tenant_alone(pool: PgPool) {
    let bench = Bench::set(&pool).await;
    let app = &bench.app;
    let theirs = app.store("zeta", "Zanary").await;
    app.document("zeta", theirs, "zanary.txt", "The zanary pelican keeps a ledger.").await;
    let (_, token) = back_end(app, "zeta", "Zanary bot", &EVERYTHING, theirs).await;
    let document: Uuid = sqlx::query_scalar("select id from documents where vector_store_id = $1")
        .bind(theirs.uuid())
        .fetch_one(&pool)
        .await
        .unwrap();
    // They themselves are answered.
    let own = format!("/t/zeta/api/v1/documents/{document}");
    assert!(super::call(app, &token, "GET", &own).await.text().contains("zanary"));

    let routes = app.app.table.iter().filter(|entry| entry.path.contains("/api/v1/"));
    let mut tried = 0;
    for entry in routes {
        for (slug, nothing) in [("acme", "acme"), ("zeta", "nope")] {
            for id in [document, theirs.uuid()] {
                let mut answers = Vec::new();
                for (slug, id) in [(slug, id), (nothing, Uuid::now_v7())] {
                    let path: Vec<String> = entry
                        .path
                        .split('/')
                        .map(|part| match part {
                            "{tenant}" => slug.to_owned(),
                            part if part.starts_with('{') => id.to_string(),
                            part => part.to_owned(),
                        })
                        .collect();
                    let body = json!({ "query": "zanary pelican", "vector_store_ids": [id] });
                    let request = Request::builder()
                        .method(entry.method)
                        .uri(path.join("/"))
                        .header(header::AUTHORIZATION, format!("Bearer {}", bench.token))
                        .header(header::CONTENT_TYPE, "application/json")
                        .body(Body::from(body.to_string()))
                        .unwrap();
                    let answer = app.send(request).await;
                    assert!(!answer.text().contains("zanary"), "{} {}", entry.method, entry.path);
                    answers.push((answer.status, answer.text().replace(slug, "")));
                    tried += 1;
                }
                assert_eq!(answers[0], answers[1], "{} {} {id}", entry.method, entry.path);
            }
        }
    }
    assert!(tried > 30, "{tried}");
    assert_eq!(app.count("documents").await, 1);
    assert_eq!(super::call(app, &token, "GET", &own).await.status, 200);
}
