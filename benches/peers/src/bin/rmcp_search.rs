//! A minimal `rmcp` server: stateless, JSON answers, one `search` tool over ten documents in
//! memory, no authentication. Listens on the address given as the first argument.

use rmcp::{
    Json, ServerHandler,
    handler::server::{router::tool::ToolRouter, wrapper::Parameters},
    tool, tool_handler, tool_router,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Deserialize, JsonSchema)]
struct Question {
    query: String,
}

#[derive(Serialize, JsonSchema)]
struct Hit {
    id: String,
    title: String,
    url: String,
}

#[derive(Serialize, JsonSchema)]
struct Answer {
    results: Vec<Hit>,
}

#[derive(Clone)]
struct Server {
    tool_router: ToolRouter<Self>,
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Server {}

#[tool_router(router = tool_router)]
impl Server {
    #[tool(description = "Find documents.")]
    async fn search(&self, Parameters(question): Parameters<Question>) -> Json<Answer> {
        let results = (0..10)
            .filter(|number| !question.query.contains(&format!("not {number}")))
            .map(|number| Hit {
                id: format!("document-{number}"),
                title: format!("A document about subject number {number}"),
                url: format!("https://example.com/documents/{number}"),
            })
            .collect();
        Json(Answer { results })
    }
}

#[tokio::main]
async fn main() {
    let address = std::env::args().nth(1).expect("an address to listen on");
    let service: StreamableHttpService<Server, LocalSessionManager> = StreamableHttpService::new(
        || Ok(Server { tool_router: Server::tool_router() }),
        Default::default(),
        StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true),
    );
    let router = axum::Router::new().nest_service("/mcp", service);
    let listener = tokio::net::TcpListener::bind(address).await.expect("a free port");
    axum::serve(listener, router).await.expect("serving");
}
