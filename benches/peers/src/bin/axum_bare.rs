//! The floor: bare axum that reads a JSON-RPC message and answers ten results with its id. Listens on
//! the address given as the first argument.

use axum::{Json, Router, routing::post};
use serde_json::{Value, json};

async fn answer(Json(message): Json<Value>) -> Json<Value> {
    let results: Vec<Value> = (0..10)
        .map(|number| {
            json!({
                "id": format!("document-{number}"),
                "title": format!("A document about subject number {number}"),
                "url": format!("https://example.com/documents/{number}"),
            })
        })
        .collect();
    let structured = json!({ "results": results });
    let content = json!([{ "type": "text", "text": structured.to_string() }]);
    let result = json!({ "content": content, "structuredContent": structured });
    Json(json!({ "jsonrpc": "2.0", "id": message["id"], "result": result }))
}

#[tokio::main]
async fn main() {
    let address = std::env::args().nth(1).expect("an address to listen on");
    let listener = tokio::net::TcpListener::bind(address).await.expect("a free port");
    axum::serve(listener, Router::new().route("/mcp", post(answer))).await.expect("serving");
}
