//! How clients prove who they are.

mod failures;
mod keys;
mod private_key_jwt;

use axum::http::header;
use callslip::tenants::Role;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{
    Answer, Assistant, Browser, ClientKey, ORIGIN, TestApp,
    document_host::{DocumentHost, Reply},
};

const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const JWKS_URI: &str = "https://keys.example/jwks.json";

/// An application, the host of clients' keys, and somebody who is signed in.
struct Scene {
    app: TestApp,
    host: DocumentHost,
    browser: Browser,
}

impl Scene {
    async fn new(pool: &PgPool) -> Self {
        let host = DocumentHost::start(&["keys.example", "app.example", "chatgpt.com"]).await;
        let app = TestApp::over(pool, &[], Some(host.outbound())).await;
        let browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
        Self { app, host, browser }
    }

    /// Publish these keys, by these names, to be kept for so many seconds.
    fn publish(&self, keys: &[(&ClientKey, &str)], max_age: u32) {
        let cache_control = format!("max-age={max_age}");
        let headers = [("content-type", "application/json"), ("cache-control", &*cache_control)];
        self.host.say(JWKS_URI, Reply::new(200, &headers, &set(keys).to_string()));
    }
}

/// A JWK Set.
fn set(keys: &[(&ClientKey, &str)]) -> Value {
    let keys: Vec<Value> = keys
        .iter()
        .map(|(key, kid)| {
            let mut jwk = key.jwk.clone();
            jwk["use"] = "sig".into();
            if !kid.is_empty() {
                jwk["kid"] = (*kid).into();
            }
            jwk
        })
        .collect();
    json!({ "keys": keys })
}

/// A client that signs: what it is besides an assistant.
struct Signer<'a> {
    assistant: Assistant,
    key: &'a ClientKey,
    kid: &'a str,
}

impl TestApp {
    /// Registered with a key of its own.
    async fn signer<'a>(&self, key: &'a ClientKey) -> Signer<'a> {
        let metadata = json!({
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": set(&[(key, "k1")]),
        });
        Signer { assistant: self.assistant_with(&metadata).await, key, kid: "k1" }
    }

    /// Registered with the address of its keys.
    async fn publisher<'a>(&self, key: &'a ClientKey, kid: &'a str) -> Signer<'a> {
        let metadata = json!({
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks_uri": JWKS_URI,
        });
        Signer { assistant: self.assistant_with(&metadata).await, key, kid }
    }
}

impl Signer<'_> {
    /// An assertion with these members besides the usual ones; null leaves one out.
    fn assertion(&self, header: &Value, claims: &Value) -> String {
        let now = self.assistant.app.clock.now().unix_timestamp();
        let mut usual_header = json!({ "alg": self.key.header()["alg"], "typ": "JWT" });
        if !self.kid.is_empty() {
            usual_header["kid"] = self.kid.into();
        }
        let usual_claims = json!({
            "iss": self.assistant.client_id,
            "sub": self.assistant.client_id,
            "aud": ORIGIN,
            "iat": now,
            "exp": now + 60,
            "jti": Uuid::new_v4(),
        });
        self.key.sign(&changed(usual_header, header), &changed(usual_claims, claims))
    }

    /// A good one.
    fn good(&self) -> String {
        self.assertion(&json!({}), &json!({}))
    }

    /// Authenticate by this assertion, where nothing else can go wrong.
    async fn knock(&self, assertion: &str) -> Answer {
        knock(&self.assistant.app, assertion).await
    }
}

/// The revocation endpoint says 200 to whoever authenticates.
async fn knock(app: &TestApp, assertion: &str) -> Answer {
    let fields =
        [("token", "nothing"), ("client_assertion_type", TYPE), ("client_assertion", assertion)];
    app.post_form("/oauth/revoke", None, &fields).await
}

fn changed(mut usual: Value, changes: &Value) -> String {
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            usual.as_object_mut().unwrap().remove(name);
        } else {
            usual[name] = value.clone();
        }
    }
    usual.to_string()
}

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, error: &str) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    assert_eq!(answer.json()["error"], error, "{}", answer.text());
    let description = answer.json()["error_description"].as_str().unwrap().to_owned();
    assert!(description.is_ascii() && !description.contains(['"', '\\']), "{description}");
    assert!(answer.headers.get(header::WWW_AUTHENTICATE).is_none());
}
