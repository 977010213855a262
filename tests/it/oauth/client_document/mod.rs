//! Clients that a document at their `client_id` describes.

mod cache;
mod documents;
mod limits;

use callslip::tenants::Role;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{Answer, Assistant, Browser, CHALLENGE, TestApp, document_host::DocumentHost};

/// Hosts of the tests' documents.
const HOSTS: &[&str] = &[
    "app.example",
    "other.example",
    "chatgpt.com",
    "claude.ai",
    "vscode.dev",
    "zed.dev",
    "opencode.ai",
];
const URL: &str = "https://app.example/oauth/client.json";
const CALLBACK: &str = "https://app.example/callback";

/// An application, the internet around it, and somebody who is signed in.
struct Scene {
    app: TestApp,
    host: DocumentHost,
    browser: Browser,
}

impl Scene {
    async fn new(pool: &PgPool) -> Self {
        Self::with(pool, &[]).await
    }

    async fn with(pool: &PgPool, variables: &[(&str, &str)]) -> Self {
        let host = DocumentHost::start(HOSTS).await;
        let app = TestApp::over(pool, variables, Some(host.outbound())).await;
        let browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
        Self { app, host, browser }
    }

    /// Ask for consent: the page, or what stands in its way.
    async fn ask(&mut self, client_id: &str) -> Answer {
        let assistant = public(&self.app, client_id);
        let sent = assistant.authorize(&mut self.browser, &[]).await;
        if sent.status == 303 { self.browser.get(sent.location()).await } else { sent }
    }

    /// Whether consent could be given.
    async fn is_usable(&mut self, client_id: &str) -> bool {
        let page = self.ask(client_id).await;
        let asks = page.status == 200 && !page.csrf_token().is_empty();
        assert!(asks || page.status == 400, "{} {}", page.status, page.text());
        asks
    }

    /// How often the client's consents have been voided, and one.
    async fn version(&self, client_id: &str) -> i32 {
        sqlx::query_scalar("select version from oauth_clients where client_id = $1")
            .bind(client_id)
            .fetch_one(&self.app.pool)
            .await
            .unwrap()
    }
}

/// A public client that a document describes.
fn public(app: &TestApp, client_id: &str) -> Assistant {
    Assistant {
        app: app.clone(),
        client_id: client_id.to_owned(),
        client_secret: None,
        method: "none".to_owned(),
        redirect_uri: CALLBACK.to_owned(),
    }
}

/// Push a request, as somebody whom nobody knows.
async fn push(app: &TestApp, client_id: &str) -> Answer {
    let usual = [
        ("response_type", "code"),
        ("redirect_uri", CALLBACK),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    public(app, client_id).call("/oauth/par", &usual, &[]).await
}

/// A document with these members besides the usual ones; null leaves one out.
fn document(changes: &Value) -> Value {
    let mut document = json!({
        "client_id": URL,
        "client_name": "Example App",
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    });
    let members = document.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    document
}
