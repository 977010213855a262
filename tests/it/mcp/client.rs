//! Somebody else's client, over a real socket: `rmcp`, in both eras.

use rmcp::{
    ClientHandler, ClientLifecycleMode, ClientServiceExt, RoleClient, ServiceExt,
    model::{CallToolRequestParams, ProtocolVersion},
    service::RunningService,
    transport::{
        StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{stage::Stage, tools::same_twice};

#[derive(Clone, Default)]
struct Assistant;

impl ClientHandler for Assistant {}

/// A stage that listens on a socket under its public URL.
async fn listening(pool: &PgPool) -> (Stage, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let stage = Stage::with(pool, &[("CALLSLIP_PUBLIC_URL", &origin)]).await;
    stage.app.serve(listener);
    (stage, format!("{origin}/mcp"))
}

async fn use_both_tools(client: &RunningService<RoleClient, Assistant>) {
    let names: Vec<_> =
        client.list_all_tools().await.unwrap().into_iter().map(|tool| tool.name).collect();
    assert_eq!(names, ["search", "fetch"]);
    let call = async |name: &'static str, arguments: Value| {
        let params =
            CallToolRequestParams::new(name).with_arguments(arguments.as_object().unwrap().clone());
        serde_json::to_value(client.call_tool(params).await.unwrap()).unwrap()
    };
    let found = call("search", json!({ "query": "xyzzy" })).await;
    assert_eq!(same_twice(&found), json!({ "results": [] }));
    let missing = call("fetch", json!({ "id": "nonsense" })).await;
    assert_eq!(missing["isError"], true);
}

fn transport(url: &str, token: &str) -> StreamableHttpClientTransport<reqwest::Client> {
    let config = StreamableHttpClientTransportConfig::with_uri(url).auth_header(token);
    StreamableHttpClientTransport::from_config(config)
}

#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn rmcp_lists_searches_and_fetches_in_the_legacy_era(pool: PgPool) {
    let (stage, url) = listening(&pool).await;
    let client = Assistant.serve(transport(&url, &stage.token().await)).await.unwrap();
    use_both_tools(&client).await;
    client.cancel().await.unwrap();
}

#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn rmcp_lists_searches_and_fetches_in_the_modern_era(pool: PgPool) {
    let (stage, url) = listening(&pool).await;
    let modern =
        ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] };
    let transport = transport(&url, &stage.token().await);
    let client = Assistant.serve_with_lifecycle(transport, modern).await.unwrap();
    use_both_tools(&client).await;
    client.cancel().await.unwrap();
}

#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn rmcp_is_turned_away_without_a_good_token(pool: PgPool) {
    let (_stage, url) = listening(&pool).await;
    assert!(Assistant.serve(transport(&url, "junk")).await.is_err());
}

/// Many clients send head and body apart. A refusal that is ready in between must neither cut the
/// connection nor be the last answer on it.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_connection_outlives_a_refusal_that_was_quicker_than_the_request(pool: PgPool) {
    let (_stage, url) = listening(&pool).await;
    let authority = url.split('/').nth(2).unwrap();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\n\
         Content-Length: 2\r\n\r\n"
    );
    let mut slow = TcpStream::connect(authority).await.unwrap();
    for _ in 0..2 {
        slow.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..5 {
            // Time for the refusal to be ready.
            assert_eq!(reqwest::get(&url).await.unwrap().status(), 405);
        }
        slow.write_all(b"{}").await.unwrap();
        let mut status = [0; 12];
        slow.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 401");
        let mut rest = Vec::new();
        while !rest.ends_with(b"}") {
            rest.push(slow.read_u8().await.unwrap());
        }
    }
}
