//! Stores that answer over the network: what goes there, and what comes of their failures.

use std::{
    io::Write,
    sync::{Arc, LazyLock, Mutex},
};

use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use callslip::{
    audit::Actor,
    config::LogFormat,
    db::TenantScope,
    ids::VectorStoreId,
    outbound::{Outbound, Policy},
    secret::Secret,
    telemetry,
    vector_stores::{Context, Created, NewOpenAi, create_openai},
};
use serde_json::json;
use sqlx::PgPool;
use tokio::net::TcpListener;

use super::{
    stage::{Stage, call},
    tools::same_twice,
};

const KEY: &str = "sk-the-tenants-own-key";

/// Answers as the vector store API does and keeps every byte that it was sent.
#[derive(Clone, Default)]
struct Upstream {
    heard: Arc<Mutex<Vec<String>>>,
    broken: Arc<std::sync::atomic::AtomicBool>,
}

impl Upstream {
    async fn listen(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let upstream = self.clone();
        let router =
            Router::new().fallback(async move |request: Request| upstream.hear(request).await);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        address
    }

    async fn hear(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        let path = parts.uri.path().to_owned();
        self.heard.lock().unwrap().push(format!("{parts:?} {body}"));
        if self.broken.load(std::sync::atomic::Ordering::Relaxed) {
            let canary = "a stack trace with secrets-of-the-backend";
            return (StatusCode::UNAUTHORIZED, canary).into_response();
        }
        let answer = if path.ends_with("/search") {
            json!({ "object": "vector_store.search_results.page", "data": [{
                "file_id": "file-1", "filename": "homes.txt", "score": 0.9, "attributes": {},
                "content": [{ "type": "text", "text": "Cats are attached to their homes." }],
            }], "has_more": false, "next_page": null })
        } else if path.ends_with("/content") {
            json!({ "object": "vector_store.file_content.page",
                    "data": [{ "type": "text", "text": "The whole file about cats." }],
                    "has_more": false, "next_page": null })
        } else {
            json!({ "id": "file-1", "filename": "homes.txt", "attributes": {} })
        };
        ([("content-type", "application/json")], answer.to_string()).into_response()
    }
}

/// A stage whose grant names a store behind `upstream` too.
async fn connected(pool: &PgPool, upstream: &Upstream) -> Stage {
    let address = upstream.listen().await;
    let stage = Stage::with(pool, &[("CALLSLIP_OUTBOUND_ALLOW", &address)]).await;
    let parts = &stage.app.parts;
    let context = Context {
        db: parts.db.clone(),
        clock: parts.clock.clone(),
        outbound: Outbound::new(Policy { allowed: vec![address.clone()], ..Policy::default() }),
        master_key: parts.master_key.clone(),
    };
    let new = NewOpenAi {
        name: "Outside".to_owned(),
        external_id: "vs_outside".to_owned(),
        base_url: Some(format!("http://{address}/v1")),
        api_key: Secret::new(KEY.to_owned()),
    };
    let created = create_openai(&context, scope(&stage), &Actor::default(), new).await.unwrap();
    let Created::Created(store) = created else { panic!("{created:?}") };
    grant(&stage, store.id).await;
    stage
}

fn scope(stage: &Stage) -> TenantScope {
    #[expect(clippy::disallowed_methods, reason = "the test made the tenant")]
    TenantScope::proven(stage.tenant)
}

async fn grant(stage: &Stage, store: VectorStoreId) {
    sqlx::query!(
        "insert into oauth_grant_vector_stores (tenant_id, grant_id, vector_store_id)
         values ($1, $2, $3)",
        stage.tenant.uuid(),
        stage.grant.uuid(),
        store.uuid(),
    )
    .execute(&stage.app.pool)
    .await
    .unwrap();
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What all tests of this binary log from the moment that somebody looks.
static LOG: LazyLock<Sink> = LazyLock::new(|| {
    let (sink, filter) = (Sink::default(), "info,callslip=trace");
    let writer = sink.clone();
    let log = telemetry::subscriber(filter, LogFormat::Json, move || writer.clone()).unwrap();
    tracing::subscriber::set_global_default(log).unwrap();
    sink
});

/// [S-06] The client's token goes to no store and into no log; nor does the store's key come back.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_clients_token_goes_no_further(pool: PgPool) {
    LazyLock::force(&LOG);
    let upstream = Upstream::default();
    let stage = connected(&pool, &upstream).await;
    let token = stage.token().await;
    let question = "are cats zyzzyva attached to their homes";
    let body = call("search", json!({ "query": question }));
    let path = format!("/mcp?access_token={token}");
    let answer = stage.send(stage.request_with(&path, &token), &body).await;
    let found = same_twice(&answer.json()["result"]);
    let id = found["results"][0]["id"].as_str().unwrap().to_owned();
    let body = call("fetch", json!({ "id": id }));
    let fetched = stage.send(stage.request_with("/mcp", &token), &body).await;
    assert_eq!(fetched.status, StatusCode::OK, "{}", fetched.text());
    assert!(fetched.text().contains("The whole file about cats."), "{}", fetched.text());

    let signature = token.rsplit_once('.').unwrap().1;
    let heard = upstream.heard.lock().unwrap().join("\n");
    assert!(heard.contains("vs_outside") && heard.contains(question));
    let logged = String::from_utf8(LOG.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("answered") && logged.contains(answer.header("x-request-id")));
    for (place, text) in [("upstream", &heard), ("log", &logged)] {
        assert!(!text.contains(signature), "the token is in the {place}");
    }
    for (place, text) in [("log", &logged), ("answer", &answer.text()), ("answer", &fetched.text())]
    {
        assert!(!text.contains(KEY), "the key is in the {place}");
    }
    assert!(!logged.contains("zyzzyva"), "the question is in the log");
}

/// A store that fails does not fail the others, and is named; when all fail, that is an error.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_store_that_fails_is_named(pool: PgPool) {
    let upstream = Upstream::default();
    let stage = connected(&pool, &upstream).await;
    upstream.broken.store(true, std::sync::atomic::Ordering::Relaxed);
    let answer = stage.call("search", json!({ "query": "cats" })).await;
    let result = &answer.json()["result"];
    assert_eq!(same_twice(result), json!({ "results": [] }));
    assert_eq!(result["_meta"]["callslip/failedStores"][0]["store"], "Outside");
    assert!(!answer.text().contains("secrets-of-the-backend"));
    assert_eq!(stage.events().await.last().unwrap().1["failed_stores"], 1);

    sqlx::query!("delete from vector_stores where id = $1", stage.store.uuid())
        .execute(&pool)
        .await
        .unwrap();
    let answer = stage.call("search", json!({ "query": "cats" })).await;
    let result = &answer.json()["result"];
    assert_eq!(result["isError"], true, "{result}");
    let sentence = result["content"][0]["text"].as_str().unwrap();
    assert!(sentence.contains("Outside") && sentence.contains("key"), "{sentence}");
    assert_eq!(stage.events().await.last().unwrap().1["outcome"], "failed");
}
