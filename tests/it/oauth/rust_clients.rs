//! Other people's Rust clients over a real socket: `rmcp`, which does the whole dance from the bare
//! URL, and `oauth2`, which knows the RFCs and nothing of MCP.

use callslip::tenants::Role;
use oauth2::{
    AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, HttpRequest, HttpResponse,
    PkceCodeChallenge, RedirectUrl, Scope, TokenResponse, TokenUrl, basic::BasicClient, http,
};
use rmcp::{
    ClientHandler, ClientLifecycleMode, ClientServiceExt, RoleClient, ServiceExt,
    model::{CallToolRequestParams, ProtocolVersion},
    service::RunningService,
    transport::{
        StreamableHttpClientTransport,
        auth::{AuthClient, AuthorizationRequest, OAuthState},
        streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::net::TcpListener;

use crate::support::{Browser, TestApp};

const REDIRECT_URI: &str = "http://127.0.0.1:9/callback";

/// An application that listens on a socket under its public URL, and a browser that is signed in.
async fn listening(pool: &PgPool) -> (TestApp, String, Browser) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let app = TestApp::with(pool, &[("CALLSLIP_PUBLIC_URL", &origin)]).await;
    app.serve(listener);
    let store = app.store("acme", "Handbook").await;
    app.document("acme", store, "ponds.md", "# Ponds\n\nThe heron is fed at noon.\n").await;
    let browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    (app, origin, browser)
}

/// Where the browser is sent after the user approved.
async fn approve(browser: &mut Browser, origin: &str, url: &str) -> String {
    let sent = browser.get(url.strip_prefix(origin).unwrap()).await;
    assert_eq!(sent.status, 303, "{}", sent.text());
    let answer = browser.consent(sent.location(), &[("decision", "approve")]).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    answer.location().to_owned()
}

#[derive(Clone, Default)]
struct Assistant;

impl ClientHandler for Assistant {}

/// List the tools, search, and fetch what was found.
async fn use_both_tools(client: &RunningService<RoleClient, Assistant>) {
    let names: Vec<_> =
        client.list_all_tools().await.unwrap().into_iter().map(|tool| tool.name).collect();
    assert_eq!(names, ["search", "fetch"]);
    let call = async |name: &'static str, arguments: Value| {
        let arguments = arguments.as_object().unwrap().clone();
        let params = CallToolRequestParams::new(name).with_arguments(arguments);
        let result = client.call_tool(params).await.unwrap();
        serde_json::to_value(result).unwrap()["structuredContent"].clone()
    };
    let found = call("search", json!({ "query": "When is the heron fed?" })).await;
    let hit = &found["results"][0];
    let document = call("fetch", json!({ "id": hit["id"] })).await;
    assert_eq!(document["title"], hit["title"]);
    assert!(document["text"].as_str().unwrap().contains("The heron is fed at noon."), "{document}");
}

/// From the bare URL: discovery, registration, authorization with `state` and `iss`, the code, a
/// refresh, and both tools in both eras.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn rmcp_connects_from_the_bare_url(pool: PgPool) {
    let (app, origin, mut browser) = listening(&pool).await;
    let url = format!("{origin}/t/acme/mcp");
    let mut state = OAuthState::new(&url, None).await.unwrap();
    let request = AuthorizationRequest::new(REDIRECT_URI).with_client_name("rmcp");
    state.start_authorization(request).await.unwrap();
    let authorization_url = state.get_authorization_url().await.unwrap();
    let back = approve(&mut browser, &origin, &authorization_url).await;
    state.handle_callback_url(&back).await.unwrap();
    let manager = state.into_authorization_manager().unwrap();
    let first = manager.get_access_token().await.unwrap();
    assert!(app.accepts(&first).await);

    manager.refresh_token().await.unwrap();
    assert_ne!(manager.get_access_token().await.unwrap(), first);
    let http = AuthClient::new(reqwest::Client::new(), manager);
    let transport = || {
        let config = StreamableHttpClientTransportConfig::with_uri(url.as_str());
        StreamableHttpClientTransport::with_client(http.clone(), config)
    };
    let legacy = Assistant.serve(transport()).await.unwrap();
    use_both_tools(&legacy).await;
    legacy.cancel().await.unwrap();
    let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
    let modern = ClientLifecycleMode::Discover { preferred_versions };
    let modern = Assistant.serve_with_lifecycle(transport(), modern).await.unwrap();
    use_both_tools(&modern).await;
    modern.cancel().await.unwrap();
}

/// How `oauth2` sends its requests.
async fn send(request: HttpRequest) -> Result<HttpResponse, reqwest::Error> {
    let (parts, body) = request.into_parts();
    let answer = reqwest::Client::new()
        .request(parts.method, parts.uri.to_string())
        .headers(parts.headers)
        .body(body)
        .send()
        .await?;
    let mut response = http::Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        response = response.header(name, value);
    }
    Ok(response.body(answer.bytes().await?.to_vec()).unwrap())
}

/// A confidential client with its secret by Basic: code with PKCE, and a refresh.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn oauth2_does_the_whole_dance(pool: PgPool) {
    let (app, origin, mut browser) = listening(&pool).await;
    let registered = app
        .register(&json!({
            "client_name": "oauth2",
            "redirect_uris": [REDIRECT_URI],
            "token_endpoint_auth_method": "client_secret_basic",
        }))
        .await
        .json();
    let text = |name: &str| registered[name].as_str().unwrap().to_owned();
    let client = BasicClient::new(ClientId::new(text("client_id")))
        .set_client_secret(ClientSecret::new(text("client_secret")))
        .set_auth_uri(AuthUrl::new(format!("{origin}/oauth/authorize")).unwrap())
        .set_token_uri(TokenUrl::new(format!("{origin}/oauth/token")).unwrap())
        .set_redirect_uri(RedirectUrl::new(REDIRECT_URI.to_owned()).unwrap());
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let (url, state) = client
        .authorize_url(CsrfToken::new_random)
        .add_scope(Scope::new("search:read".to_owned()))
        .add_extra_param("resource", format!("{origin}/mcp"))
        .set_pkce_challenge(challenge)
        .url();
    let back = url::Url::parse(&approve(&mut browser, &origin, url.as_str()).await).unwrap();
    let returned = |name: &str| {
        back.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    assert_eq!(returned("state").as_ref(), Some(state.secret()));
    assert_eq!(returned("iss"), Some(origin.clone()));

    let tokens = client
        .exchange_code(AuthorizationCode::new(returned("code").unwrap()))
        .set_pkce_verifier(verifier)
        .add_extra_param("resource", format!("{origin}/mcp"))
        .request_async(&send)
        .await
        .unwrap();
    assert!(app.accepts(tokens.access_token().secret()).await);
    assert_eq!(tokens.scopes().unwrap(), &[Scope::new("search:read".to_owned())]);
    let refresh_token = tokens.refresh_token().unwrap();
    let renewed = client.exchange_refresh_token(refresh_token).request_async(&send).await.unwrap();
    assert!(app.accepts(renewed.access_token().secret()).await);
    assert_ne!(renewed.refresh_token().unwrap().secret(), refresh_token.secret());
}
