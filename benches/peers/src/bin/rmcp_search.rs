//! A minimal `rmcp` server: stateless, JSON answers, `search` and `fetch` over ten documents in
//! memory. Listens on the address given as the first argument. With a second one, the `x` of an
//! Ed25519 key, it verifies the bearer token of every call, and asks nobody whether it still lives.

use axum::{
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
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

#[derive(Deserialize, JsonSchema)]
struct Name {
    id: String,
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

#[derive(Serialize, JsonSchema)]
struct Document {
    id: String,
    title: String,
    text: String,
    url: String,
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

    #[tool(description = "Read a document.")]
    async fn fetch(&self, Parameters(name): Parameters<Name>) -> Result<Json<Document>, String> {
        let number: usize = name
            .id
            .strip_prefix("document-")
            .and_then(|number| number.parse().ok())
            .filter(|number| *number < 10)
            .ok_or_else(|| "Document not found: check the id returned by search.".to_owned())?;
        Ok(Json(Document {
            title: format!("A document about subject number {number}"),
            text: "Cats are attached to their homes.".to_owned(),
            url: format!("https://example.com/documents/{number}"),
            id: name.id,
        }))
    }
}

#[derive(Deserialize)]
struct Claims {
    #[serde(rename = "sub")]
    _sub: String,
}

/// What a careful guide would have one write.
async fn require_token(State(key): State<DecodingKey>, request: Request, next: Next) -> Response {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.validate_aud = false;
    let token = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    match token.map(|token| decode::<Claims>(token, &key, &validation)) {
        Some(Ok(_)) => next.run(request).await,
        _ => StatusCode::UNAUTHORIZED.into_response(),
    }
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().expect("an address to listen on");
    let service: StreamableHttpService<Server, LocalSessionManager> = StreamableHttpService::new(
        || Ok(Server { tool_router: Server::tool_router() }),
        Default::default(),
        StreamableHttpServerConfig::default()
            .with_legacy_session_mode(false)
            .with_json_response(true),
    );
    let mut router = axum::Router::new().nest_service("/mcp", service);
    if let Some(x) = arguments.next() {
        let key = DecodingKey::from_ed_components(&x).expect("an Ed25519 key");
        router = router.layer(from_fn_with_state(key, require_token));
    }
    let listener = tokio::net::TcpListener::bind(address).await.expect("a free port");
    axum::serve(listener, router).await.expect("serving");
}
