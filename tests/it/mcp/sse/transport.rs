//! Opening, posting, answers; over real HTTP where that matters.

use axum::{
    body::Body,
    extract::Request,
    http::{Method, StatusCode},
};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{Line, get, listening, request};
use crate::{
    mcp::{
        stage::{Stage, call, ping},
        tools::same_twice,
    },
    support::ORIGIN,
};

/// A client of the first revision, at every spelling of the URL: initialize, list, search. And
/// Streamable HTTP on the same URL.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_client_of_the_first_revision_lists_and_searches(pool: PgPool) {
    let (stage, origin) = listening(&pool).await;
    let own = json!({ "aud": format!("{origin}/t/{}/mcp", stage.slug) });
    let http = reqwest::Client::new();
    for (base, members) in [(String::new(), json!({})), (format!("/t/{}", stage.slug), own)] {
        for path in [format!("{base}/sse"), format!("{base}/sse/")] {
            let token = stage.token_but(members.clone()).await;
            let url = format!("{origin}{path}");
            let mut line = Line::connect(&url, &token).await;
            assert_eq!(line.headers["content-type"], "text/event-stream");
            assert_eq!(line.headers["cache-control"], "no-store");
            assert_eq!(line.headers["x-accel-buffering"], "no");
            let slash = if path.ends_with('/') { "/" } else { "" };
            let below = format!("{base}/sse/messages{slash}?session_id=csl_st_");
            assert!(line.endpoint.starts_with(&below), "{}", line.endpoint);

            let post = async |to: &str, message: &Value| {
                let request = http.post(format!("{origin}{to}")).bearer_auth(&token).json(message);
                let answer = request.send().await.unwrap();
                (answer.status(), answer.text().await.unwrap())
            };
            let endpoint = line.endpoint.clone();
            let accepted = (StatusCode::ACCEPTED, String::new());
            let hello = json!({ "protocolVersion": "2025-11-25", "capabilities": {},
                                "clientInfo": { "name": "old", "version": "1" } });
            assert_eq!(post(&endpoint, &request(0, "initialize", &hello)).await, accepted);
            let hello = line.message().await;
            assert_eq!((&hello["id"], &hello["jsonrpc"]), (&json!(0), &json!("2.0")));
            assert_eq!(hello["result"]["protocolVersion"], "2024-11-05");
            assert_eq!(hello["result"]["capabilities"], json!({ "tools": {} }));
            let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
            assert_eq!(post(&endpoint, &ready).await, accepted);
            assert_eq!(post(&endpoint, &request("l", "tools/list", &json!({}))).await, accepted);
            let list = line.message().await;
            assert_eq!(
                (&list["id"], &list["result"]["tools"][0]["name"]),
                (&json!("l"), &json!("search"))
            );
            assert_eq!(
                post(&endpoint, &call("search", json!({ "query": "xyzzy" }))).await,
                accepted
            );
            let found = line.message().await;
            assert_eq!(same_twice(&found["result"]), json!({ "results": [] }));

            let (status, text) = post(&path, &ping()).await;
            assert_eq!((status, text.contains("\"result\":{}")), (StatusCode::OK, true), "{text}");
        }
    }
    // Each search left its event before it was answered.
    assert_eq!(stage.events().await.len(), 4);
}

/// A stream opens for a live token of its resource, and the challenge names the stream's metadata.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn without_a_good_token_there_is_neither_stream_nor_message(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let line = Line::open(&stage).await;
    let (slug, foreign) =
        (&stage.slug, stage.token_but(json!({ "aud": "https://x.example" })).await);
    let expired = stage.token_but(json!({ "exp": 1 })).await;
    let session = line.endpoint.split_once('?').unwrap().1;
    for (path, stream) in [
        ("/sse".to_owned(), "/sse".to_owned()),
        ("/sse/".to_owned(), "/sse/".to_owned()),
        (format!("/t/{slug}/sse/"), format!("/t/{slug}/sse/")),
        (format!("/sse/messages?{session}"), "/sse".to_owned()),
        (format!("/sse/messages/?{session}"), "/sse/".to_owned()),
        (format!("/t/{slug}/sse/messages/?{session}"), format!("/t/{slug}/sse/")),
    ] {
        let metadata = format!("{ORIGIN}/.well-known/oauth-protected-resource{stream}\"");
        for token in ["junk", &foreign, &expired] {
            let mut request = get(&path, token);
            if path.contains("messages") {
                *request.method_mut() = Method::POST;
                *request.body_mut() = Body::from(ping().to_string());
            }
            let answer = stage.app.send(request).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
            let challenge = answer.header("www-authenticate");
            assert!(
                challenge.contains(&metadata) && challenge.contains("invalid_token"),
                "{challenge}"
            );
        }
        let document =
            stage.app.get(&format!("/.well-known/oauth-protected-resource{stream}")).await;
        assert_eq!(document.json()["resource"], format!("{ORIGIN}{stream}"));
    }
    let evil = Request::get("/sse/").header("origin", "https://evil.example");
    let answer = stage.app.send(evil.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
}

/// [H-04] What is neither a stream of this revision nor a message is 405, and never 200.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn other_methods_and_later_revisions_streams_are_405(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let token = stage.token().await;
    let send = async |method: Method, path: &str, version: &str| {
        let mut request = get(path, &token);
        *request.method_mut() = method;
        if !version.is_empty() {
            request.headers_mut().insert("mcp-protocol-version", version.parse().unwrap());
        }
        stage.app.send(request).await
    };
    for path in ["/sse", "/sse/", &format!("/t/{}/sse/", stage.slug)] {
        for method in [Method::PUT, Method::DELETE, Method::PATCH] {
            let answer = send(method, path, "").await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(answer.header("allow"), "GET, POST");
        }
    }
    // Streamable HTTP's other stream, which we do not offer.
    for version in ["2025-03-26", "2025-11-25", "2026-07-28"] {
        let answer = send(Method::GET, "/sse/", version).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{version}");
    }
    assert_eq!(send(Method::HEAD, "/sse/", "").await.status, StatusCode::METHOD_NOT_ALLOWED);
    for path in ["/mcp", "/mcp/", "/sse/messages", "/sse/messages/"] {
        let answer = send(Method::GET, path, "").await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(answer.header("allow"), "POST");
    }
    let mut again = get("/sse/", &token);
    again.headers_mut().insert("mcp-protocol-version", "2024-11-05".parse().unwrap());
    again.headers_mut().insert("last-event-id", "7".parse().unwrap());
    let line = Line::try_open(&stage, again).await.map_err(|answer| answer.text()).unwrap();
    assert!(!line.headers.contains_key("mcp-session-id"));
}

/// [H-14] A browser's script may be told of the stream's methods.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_browser_client_may_open_a_stream(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    for (path, methods) in [("/sse/", "GET, POST"), ("/sse/messages/", "POST"), ("/mcp", "POST")] {
        let ask = Request::options(path).header("origin", ORIGIN).body(Body::empty()).unwrap();
        let answer = stage.app.send(ask).await;
        assert_eq!(answer.header("access-control-allow-methods"), methods);
    }
    let mut request = get("/sse/", &stage.token().await);
    request.headers_mut().insert("origin", ORIGIN.parse().unwrap());
    let line = Line::try_open(&stage, request).await.map_err(|answer| answer.text()).unwrap();
    assert_eq!(line.headers["access-control-allow-origin"], ORIGIN);
}

/// What is not a message is refused where it was posted; what cannot be done, on the stream.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn errors_come_back_where_they_belong(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let mut line = Line::open(&stage).await;
    for (body, code) in [("{", -32700), ("[]", -32600), (r#"{"jsonrpc":"2.0","id":null}"#, -32600)]
    {
        let answer = stage.send_raw(stage.request(&line.endpoint).await, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(answer.json()["error"]["code"], code, "{body}");
    }
    let huge = format!("\"{}\"", "x".repeat(1 << 20));
    let answer = stage.send_raw(stage.request(&line.endpoint).await, &huge).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);

    let modern = json!({ "_meta": { "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                                    "io.modelcontextprotocol/clientCapabilities": {} } });
    for (method, params, code) in [
        ("server/discover", &modern, -32601),
        ("tools/list", &modern, -32601),
        ("subscriptions/listen", &json!({}), -32601),
        ("resources/list", &json!({}), -32601),
        ("initialize", &json!({}), -32602),
        ("tools/call", &json!({ "name": "unknown" }), -32602),
    ] {
        let answer = line.ask(&stage, &request(method, method, params)).await;
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(method), &json!(code)));
    }

    // A token without the scope may list, and is told what a call needs.
    let narrow = stage.token_but(json!({ "scope": "offline_access" })).await;
    let body = call("search", json!({ "query": "x" }));
    let posted = stage.send(stage.request_with(&line.endpoint, &narrow), &body).await;
    assert_eq!(posted.status, StatusCode::ACCEPTED);
    let answer = line.message().await;
    assert_eq!(answer["result"]["isError"], true);
    let challenge = answer["result"]["_meta"]["mcp/www_authenticate"][0].as_str().unwrap();
    assert!(
        challenge.contains("insufficient_scope") && challenge.contains("/sse/\""),
        "{challenge}"
    );
}

/// Requests run beside each other, and each is answered under its own id.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn each_request_is_answered_under_its_own_id(pool: PgPool) {
    let (stage, origin) = listening(&pool).await;
    let token = stage.token().await;
    let mut line = Line::connect(&format!("{origin}/sse/"), &token).await;
    let url = format!("{origin}{}", line.endpoint);
    let http = reqwest::Client::new();
    for round in 0..4 {
        let mut wanted: Vec<i64> = (0..20).map(|n| round * 20 + n).collect();
        let posts = wanted.iter().map(|id| {
            let method = if id % 2 == 0 { "ping" } else { "tools/list" };
            http.post(&url).bearer_auth(&token).json(&request(*id, method, &json!({}))).send()
        });
        for answer in futures_util::future::join_all(posts).await {
            assert_eq!(answer.unwrap().status(), 202);
        }
        for _ in 0..20 {
            let answer = line.message().await;
            let id = answer["id"].as_i64().unwrap();
            assert_eq!(answer["result"].get("tools").is_some(), id % 2 == 1);
            wanted.retain(|other| *other != id);
        }
        assert!(wanted.is_empty(), "{wanted:?}");
    }
}
