//! The server card, for those who have not connected.

use axum::{body::Body, extract::Request, http::StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::PgPool;

use super::stage::Stage;
use crate::support::{Answer, ORIGIN};

fn error_free(answer: &Answer) -> Value {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/mcp-server-card+json");
    assert_eq!(answer.header("cache-control"), "public, max-age=3600");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(answer.header("access-control-allow-methods"), "GET");
    assert!(answer.headers.get("access-control-allow-credentials").is_none());
    answer.json()
}

/// SEP-2127: says what discovery says, and pins the tools without naming them.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_card_says_what_discovery_says(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let discover = json!({ "jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {} });
    let discovered = stage.post_modern(discover).await.json()["result"].clone();
    let server = &discovered["_meta"]["io.modelcontextprotocol/serverInfo"];
    let list = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" });
    let tools = stage.post(&list).await.json()["result"].to_string();
    let digest: String = Sha256::digest(tools).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        error_free(&stage.app.get("/mcp/server-card").await),
        json!({
            "$schema": "https://static.modelcontextprotocol.io/schemas/v2/server-card.schema.json",
            "name": "example.callslip/callslip",
            "title": server["title"],
            "version": server["version"],
            "description": "Search and read the documents that you have connected.",
            "websiteUrl": format!("{ORIGIN}/"),
            "remotes": [{
                "type": "streamable-http",
                "url": format!("{ORIGIN}/mcp"),
                "supportedProtocolVersions": discovered["supportedVersions"],
            }, {
                "type": "sse",
                "url": format!("{ORIGIN}/sse/"),
                "supportedProtocolVersions": ["2024-11-05"],
            }],
            "_meta": { "callslip/tools": { "sha256": digest } },
        })
    );
}

/// A tenant's card names its URL, whether there is such a tenant or not, and nothing of the tenant's.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_tenants_card_says_nothing_of_the_tenant(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let card = async |slug: &str| {
        let card = error_free(&stage.app.get(&format!("/t/{slug}/mcp/server-card")).await);
        assert_eq!(card["remotes"][0]["url"], format!("{ORIGIN}/t/{slug}/mcp"));
        assert_eq!(card["remotes"][1]["url"], format!("{ORIGIN}/t/{slug}/sse/"));
        card.to_string().replace(slug, "?")
    };
    assert_eq!(card(&stage.slug).await, card("nobody").await);
    for wrong in ["/t/No-Slug/mcp/server-card", "/t/-/mcp/server-card", "/t/a%2Fb/mcp/server-card"]
    {
        assert_eq!(stage.app.get(wrong).await.status, StatusCode::NOT_FOUND, "{wrong}");
    }
    let ask = Request::options("/mcp/server-card")
        .header("origin", "https://anywhere.example")
        .header("access-control-request-method", "GET")
        .body(Body::empty())
        .unwrap();
    let answer = stage.app.send(ask).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
}
