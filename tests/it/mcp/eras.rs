//! Both eras on one URL, told apart by each request alone.

use axum::http::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::stage::{Stage, ping};
use crate::support::Answer;

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn error(answer: &Answer) -> (u16, i64) {
    let body = answer.json();
    assert_no_null(&body);
    (answer.status.as_u16(), body["error"]["code"].as_i64().unwrap_or(0))
}

/// Clients refuse a null where a member could be absent.
pub(super) fn assert_no_null(value: &Value) {
    match value {
        Value::Null => panic!("a null"),
        Value::Array(items) => items.iter().for_each(assert_no_null),
        Value::Object(members) => members.values().for_each(assert_no_null),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn instructions(result: &Value) -> Value {
    assert!(result["instructions"].as_str().unwrap().contains("`search`"));
    result["instructions"].clone()
}

/// Appendix A1: how claude.ai, Cursor and the Inspector open.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_legacy_client_opens_with_initialize(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let initialize = json!({
        "jsonrpc": "2.0", "id": 0, "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": { "name": "x", "version": "1" },
        },
    });
    let answer = stage.post(&initialize).await;
    assert_eq!(answer.status, StatusCode::OK);
    let instructions = instructions(&answer.json()["result"]);
    assert_eq!(
        answer.json(),
        json!({
            "jsonrpc": "2.0", "id": 0,
            "result": {
                "protocolVersion": "2025-11-25",
                "capabilities": { "tools": {} },
                "serverInfo": { "name": "callslip", "title": "Callslip", "version": VERSION },
                "instructions": instructions,
            },
        })
    );
    assert!(answer.headers.get("mcp-session-id").is_none());

    let header = ("mcp-protocol-version", "2025-11-25");
    let legacy = async |body: Value| {
        stage.send(stage.request("/mcp").await.header(header.0, header.1), &body).await
    };
    let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    let answer = legacy(initialized).await;
    assert_eq!((answer.status, answer.body.len()), (StatusCode::ACCEPTED, 0));
    let answer = legacy(json!({ "jsonrpc": "2.0", "id": "p", "method": "ping" })).await;
    assert_eq!(answer.json(), json!({ "jsonrpc": "2.0", "id": "p", "result": {} }));
    let answer = legacy(json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" })).await;
    let result = &answer.json()["result"];
    assert_eq!(result.as_object().unwrap().keys().collect::<Vec<_>>(), ["tools"]);
    let cancelled = json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 },
    });
    assert_eq!(legacy(cancelled).await.status, StatusCode::ACCEPTED);
    let response = json!({ "jsonrpc": "2.0", "id": 9, "result": {} });
    assert_eq!(legacy(response).await.status, StatusCode::ACCEPTED);
}

/// Versions that are known are echoed; anything else gets the newest that has `initialize`.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn initialize_settles_on_a_legacy_version(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    for (asked, settled) in [
        ("2025-11-25", "2025-11-25"),
        ("2025-06-18", "2025-06-18"),
        ("2025-03-26", "2025-03-26"),
        ("2024-11-05", "2024-11-05"),
        ("2026-07-28", "2025-11-25"),
        ("2099-01-01", "2025-11-25"),
        ("1.0", "2025-11-25"),
    ] {
        let body = json!({
            "jsonrpc": "2.0", "id": 1, "method": "initialize",
            "params": { "protocolVersion": asked, "capabilities": {} },
        });
        let answer = stage.post(&body).await;
        assert_eq!(answer.json()["result"]["protocolVersion"], settled, "{asked}");
        // Whatever the header says, this method is of the legacy era: only the body can make it
        // modern, which has no such method.
        let request = stage.request("/mcp").await.header("mcp-protocol-version", "2026-07-28");
        let answer = stage.send(request, &body).await;
        assert_eq!(answer.json()["result"]["protocolVersion"], settled, "{asked}");
    }
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {} });
    assert_eq!(error(&stage.post(&body).await), (200, -32602));
}

/// Appendix A2: how ChatGPT opens.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn chatgpt_discovers(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let body = json!({
        "jsonrpc": "2.0", "id": "openai-mcp-discover", "method": "server/discover",
        "params": { "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": { "name": "openai-mcp", "version": "1.0.0" },
            "io.modelcontextprotocol/clientCapabilities": {
                "experimental": { "openai/visibility": { "enabled": true } },
                "extensions": { "io.modelcontextprotocol/ui": {
                    "mimeTypes": ["text/html;profile=mcp-app"] } },
            },
        } },
    });
    let request = stage
        .request("/mcp")
        .await
        .header("Mcp-Protocol-Version", "2026-07-28")
        .header("Mcp-Method", "server/discover");
    let answer = stage.send(request, &body).await;
    assert_eq!(answer.status, StatusCode::OK);
    let instructions = instructions(&answer.json()["result"]);
    assert_eq!(
        answer.json(),
        json!({
            "jsonrpc": "2.0", "id": "openai-mcp-discover",
            "result": {
                "resultType": "complete",
                "supportedVersions": ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"],
                "capabilities": { "tools": {} },
                "instructions": instructions,
                "ttlMs": 300_000, "cacheScope": "public",
                "_meta": { "io.modelcontextprotocol/serverInfo":
                    { "name": "callslip", "title": "Callslip", "version": VERSION } },
            },
        })
    );
}

/// [H-02] Appendix A3: an unknown version is told which ones there are.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_unknown_version_is_told_which_there_are(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    for asked in ["1900-01-01", "2099-01-01", "2025-11-25"] {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {} });
        let (_, mut body) = stage.modern(body).await;
        body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = asked.into();
        let request = stage
            .request("/mcp")
            .await
            .header("mcp-protocol-version", asked)
            .header("mcp-method", "tools/list");
        let answer = stage.send(request, &body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        let supported = ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"];
        assert_eq!(
            answer.json(),
            json!({ "jsonrpc": "2.0", "id": 1, "error": {
                "code": -32022, "message": "Unsupported protocol version",
                "data": { "supported": supported, "requested": asked },
            } })
        );
    }
    // In the header alone: a modern one lacks its `_meta`, an unknown old one is refused too.
    for (version, expected) in [("2099-01-01", -32602), ("2020-01-01", -32022), ("junk", -32022)] {
        let request = stage.request("/mcp").await.header("mcp-protocol-version", version);
        assert_eq!(error(&stage.send(request, &ping()).await), (400, expected), "{version}");
    }
    for version in ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"] {
        let request = stage.request("/mcp").await.header("mcp-protocol-version", version);
        assert_eq!(stage.send(request, &ping()).await.status, StatusCode::OK, "{version}");
    }
}

/// Each of the two required members of `_meta`.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_modern_request_carries_its_meta(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    for name in ["protocolVersion", "clientCapabilities"] {
        let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {} });
        let (request, mut body) = stage.modern(list).await;
        let meta = body["params"]["_meta"].as_object_mut().unwrap();
        meta.remove(&format!("io.modelcontextprotocol/{name}")).unwrap();
        let answer = stage.send(request, &body).await;
        assert_eq!(error(&answer), (400, -32602), "{name}");
        assert!(answer.json()["error"]["message"].as_str().unwrap().contains(name));
        assert_eq!(answer.json()["id"], 1);
    }
    let bare = json!({ "jsonrpc": "2.0", "id": 1, "method": "server/discover" });
    assert_eq!(error(&stage.post(&bare).await), (400, -32602));
}

/// [H-02] [H-03] Appendix A4: headers that are missing, twice, malformed or not what the body says.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn headers_must_say_what_the_body_says(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let body = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": "bar", "arguments": {} },
    });
    let (request, body) = stage.modern(body).await;
    let good = request.body(()).unwrap().into_parts().0.headers;
    let send = async |headers: &axum::http::HeaderMap| {
        let mut request = axum::extract::Request::post("/mcp");
        *request.headers_mut().unwrap() = headers.clone();
        stage.send(request, &body).await
    };
    assert_eq!(error(&send(&good).await), (200, -32602), "an unknown tool, and nothing else");
    for name in ["mcp-protocol-version", "mcp-method", "mcp-name"] {
        let mut headers = good.clone();
        headers.remove(name);
        assert_eq!(error(&send(&headers).await), (400, -32020), "{name} missing");
        let mut headers = good.clone();
        headers.append(name, good[name].clone());
        assert_eq!(error(&send(&headers).await), (400, -32020), "{name} twice");
        for value in ["BAR", "=?base64?%%?=", "=?base64?/w==?=", "foo"] {
            let mut headers = good.clone();
            headers.insert(name, value.parse().unwrap());
            assert_eq!(error(&send(&headers).await), (400, -32020), "{name}: {value}");
        }
    }
    let mut headers = good.clone();
    headers.insert("mcp-name", "foo".parse().unwrap());
    assert_eq!(
        send(&headers).await.json(),
        json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": -32020, "message":
            "Header mismatch: Mcp-Name header value 'foo' does not match body value 'bar'" } })
    );
    // A version that nobody knows in the body alone is a mismatch first.
    let mut unknown = body.clone();
    unknown["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = "v999".into();
    let mut request = axum::extract::Request::post("/mcp");
    *request.headers_mut().unwrap() = good.clone();
    assert_eq!(error(&stage.send(request, &unknown).await), (400, -32020));
    // "bar" in base64 is "bar" all the same.
    let mut headers = good.clone();
    headers.insert("mcp-name", "=?base64?YmFy?=".parse().unwrap());
    assert_eq!(error(&send(&headers).await), (200, -32602));
}

/// [H-02] What is not there: 404 for modern clients, 200 for legacy ones.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_unknown_method_is_not_found(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    for method in
        ["initialize", "ping", "resources/list", "prompts/get", "subscriptions/listen", "nonsense"]
    {
        let body = json!({ "jsonrpc": "2.0", "id": "x", "method": method, "params": {} });
        let answer = stage.post_modern(body.clone()).await;
        assert_eq!(error(&answer), (404, -32601), "{method}");
        assert_eq!(answer.json()["id"], "x");
        if !matches!(method, "initialize" | "ping") {
            assert_eq!(error(&stage.post(&body).await), (200, -32601), "{method}");
        }
    }
}

/// [H-05] One plain message in each POST; the id is echoed as soon as it is known, and never null.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_is_not_one_message_is_400(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let many = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"a":[{}0]}}}}"#,
        "0,".repeat(10_000)
    );
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for (body, code) in [
        ("", -32700),
        ("junk", -32700),
        ("{", -32700),
        ("[]", -32600),
        ("{}", -32600),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"id":1,"method":"ping"}"#, -32600),
        (&many, -32600),
        (&deep, -32600),
    ] {
        let answer = stage.send_raw(stage.request("/mcp").await, body).await;
        assert_eq!(error(&answer), (400, code), "{body:.80}");
        assert!(answer.json().get("id").is_none());
    }
    let answer = stage.post(&json!({ "jsonrpc": "1.0", "id": 7, "method": "ping" })).await;
    assert_eq!((error(&answer), answer.json()["id"].as_i64()), ((400, -32600), Some(7)));
    // A modern client never sends a response.
    let request = stage.request("/mcp").await.header("mcp-protocol-version", "2026-07-28");
    let response = json!({ "jsonrpc": "2.0", "id": 9, "result": {} });
    assert_eq!(error(&stage.send(request, &response).await), (400, -32600));
}

/// Callers that never introduce themselves are answered: nothing is kept between requests.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn no_introduction_is_needed(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    assert_eq!(stage.post(&list).await.json()["result"]["tools"].as_array().unwrap().len(), 2);
    let answer = stage.call("search", json!({ "query": "x" })).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.json()["result"].get("resultType").is_none());
}
