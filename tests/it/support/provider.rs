//! An OpenID provider on loopback: signs in whoever it is told to, and lies where it is told to.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::StatusCode,
    response::Response,
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;
use uuid::Uuid;

use super::{ClientKey, TestApp};

/// What it calls us.
pub const CLIENT: &str = "callslip-at-the-provider";
/// What we prove it with.
pub const CLIENT_SECRET: &str = "a-provider-secret-0123456789";

/// Somebody whom it has signed in.
#[derive(Clone)]
struct Granted {
    challenge: String,
    redirect_uri: String,
    claims: Value,
}

/// How it behaves.
struct State {
    /// Takes the place of members of its own document; null leaves one out.
    document: Value,
    /// The same for the ID token's header and claims.
    header: Value,
    claims: Value,
    /// In the place of the ID token.
    token: Option<String>,
    /// Signs in the place of its own key.
    forger: Option<ClientKey>,
    granted: HashMap<String, Granted>,
    exchanged: Vec<bool>,
}

/// The provider. Clones share.
#[derive(Clone)]
pub struct Provider {
    pub issuer: String,
    key: Arc<ClientKey>,
    state: Arc<Mutex<State>>,
}

/// `usual` with the members of `changes` in it; null leaves one out.
fn merged(mut usual: Value, changes: &Value) -> Value {
    for (name, value) in changes.as_object().unwrap() {
        usual[name] = value.clone();
        if value.is_null() {
            usual.as_object_mut().unwrap().remove(name);
        }
    }
    usual
}

impl Provider {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = State {
            document: json!({}),
            header: json!({}),
            claims: json!({}),
            token: None,
            forger: None,
            granted: HashMap::new(),
            exchanged: Vec::new(),
        };
        let provider = Self {
            issuer: format!("http://{}", listener.local_addr().unwrap()),
            key: Arc::new(ClientKey::rsa(jsonwebtoken::Algorithm::RS256)),
            state: Arc::new(Mutex::new(state)),
        };
        let shared = provider.clone();
        let router = Router::new().fallback(move |request: Request| {
            let provider = shared.clone();
            async move { provider.answer(request).await }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        provider
    }

    /// Describe itself with these changes from now on.
    pub fn describe(&self, changes: Value) {
        self.state.lock().unwrap().document = changes;
    }

    /// Change the ID token's header and claims from now on.
    pub fn lie(&self, header: Value, claims: Value) {
        let mut state = self.state.lock().unwrap();
        (state.header, state.claims) = (header, claims);
        (state.token, state.forger) = (None, None);
    }

    /// Have another key sign from now on.
    pub fn forge(&self, key: ClientKey) {
        self.state.lock().unwrap().forger = Some(key);
    }

    /// Say this in the place of an ID token from now on.
    pub fn say(&self, token: &str) {
        self.state.lock().unwrap().token = Some(token.to_owned());
    }

    /// How often a code was presented, and how often rightly.
    pub fn exchanges(&self) -> (usize, usize) {
        let state = self.state.lock().unwrap();
        (state.exchanged.len(), state.exchanged.iter().filter(|good| **good).count())
    }

    /// Its authorization endpoint: the person signs in with these claims. Where they are sent next,
    /// as a path.
    #[expect(clippy::needless_pass_by_value, reason = "reads better where it is made on the spot")]
    pub fn authorize(&self, app: &TestApp, url: &str, claims: Value) -> String {
        let url = Url::parse(url).unwrap();
        assert_eq!(url.origin().ascii_serialization(), self.issuer);
        self.authorize_anywhere(app, &url, &claims)
    }

    /// The same wherever the request was meant to go.
    pub fn authorize_anywhere(&self, app: &TestApp, url: &Url, claims: &Value) -> String {
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!(asked["client_id"], CLIENT);
        assert_eq!(asked["response_type"], "code");
        assert_eq!(asked["code_challenge_method"], "S256");
        assert!(asked["scope"].split(' ').any(|scope| scope == "openid"), "{asked:?}");
        let now = app.clock.now().unix_timestamp();
        let usual = json!({
            "iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300,
            "nonce": asked["nonce"],
        });
        let granted = Granted {
            challenge: asked["code_challenge"].clone(),
            redirect_uri: asked["redirect_uri"].clone(),
            claims: merged(usual, claims),
        };
        let code = Uuid::new_v4().to_string();
        self.state.lock().unwrap().granted.insert(code.clone(), granted);
        let mut back = Url::parse(&asked["redirect_uri"]).unwrap();
        back.query_pairs_mut().append_pair("code", &code).append_pair("state", &asked["state"]);
        format!("{}?{}", back.path(), back.query().unwrap())
    }

    async fn answer(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        let (status, answer) = match (parts.method.as_str(), parts.uri.path()) {
            ("GET", "/.well-known/openid-configuration") => (200, self.document()),
            ("GET", "/jwks") => {
                let mut jwk = self.key.jwk.clone();
                jwk["kid"] = "first".into();
                (200, json!({ "keys": [jwk] }))
            }
            ("POST", "/token") => {
                let basic = STANDARD.encode(format!("{CLIENT}:{CLIENT_SECRET}"));
                let proven = parts.headers.get("authorization").and_then(|v| v.to_str().ok())
                    == Some(&format!("Basic {basic}"));
                let token = self.redeem(&body).filter(|_| proven);
                self.state.lock().unwrap().exchanged.push(token.is_some());
                match token {
                    Some(token) => (
                        200,
                        json!({ "access_token": "upstream-access-token", "token_type": "Bearer",
                                "id_token": token }),
                    ),
                    None => (400, json!({ "error": "invalid_grant" })),
                }
            }
            _ => (404, json!({})),
        };
        Response::builder()
            .status(StatusCode::from_u16(status).unwrap())
            .header("content-type", "application/json")
            .body(Body::from(answer.to_string()))
            .unwrap()
    }

    fn document(&self) -> Value {
        let usual = json!({
            "issuer": self.issuer,
            "authorization_endpoint": format!("{}/authorize", self.issuer),
            "token_endpoint": format!("{}/token", self.issuer),
            "jwks_uri": format!("{}/jwks", self.issuer),
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "subject_types_supported": ["public"],
        });
        merged(usual, &self.state.lock().unwrap().document)
    }

    /// OpenID Connect Core §3.1.3.2 with RFC 7636 §4.6: each code once.
    fn redeem(&self, body: &[u8]) -> Option<String> {
        let form: HashMap<String, String> =
            url::form_urlencoded::parse(body).into_owned().collect();
        let mut state = self.state.lock().unwrap();
        let granted = state.granted.remove(form.get("code")?)?;
        let digest = Sha256::digest(form.get("code_verifier")?);
        if URL_SAFE_NO_PAD.encode(digest) != granted.challenge
            || form.get("redirect_uri")? != &granted.redirect_uri
        {
            return None;
        }
        if let Some(token) = &state.token {
            return Some(token.clone());
        }
        let header = json!({ "alg": "RS256", "kid": "first", "typ": "JWT" });
        let header = merged(header, &state.header);
        let claims = merged(granted.claims, &state.claims);
        let key = state.forger.as_ref().unwrap_or(&self.key);
        Some(key.sign(&header.to_string(), &claims.to_string()))
    }
}
