//! The real clients, replayed: each file in `tests/fixtures/clients` is one of them.
//!
//! A file says how a client behaves on the wire: what it probes and with which user agent, which
//! metadata it insists on, its registration or its document, where its answers go, what it sends
//! beside the standard parameters, and the messages that it opens with. Texts may name `{origin}`,
//! `{mcp}` and `{token_endpoint}`. Another client is another file.

use std::{collections::BTreeMap, fs, path::Path};

use axum::{
    body::Body,
    extract::Request,
    http::{Method, header},
};
use callslip::tenants::Role;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::PgPool;
use url::{Url, form_urlencoded};
use uuid::Uuid;

use crate::support::{
    Answer, CHALLENGE, ClientKey, ORIGIN, PASSWORD, Person, TestApp, VERIFIER,
    document_host::{DocumentHost, Reply},
};

/// A client, as its file describes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    /// For people who read the file.
    #[serde(rename = "client")]
    _client: String,
    #[serde(rename = "what")]
    _what: String,
    user_agent: String,
    /// What it sends before it has a token.
    probes: Vec<Message>,
    /// Where it looks for metadata.
    discovery: Vec<Probe>,
    /// Without these members of the metadata it does not go on: a list must hold them all.
    needs: BTreeMap<String, Value>,
    /// RFC 7591, as it sends it …
    registration: Option<Value>,
    /// … or what is at its `client_id`.
    document: Option<Value>,
    /// How it authenticates; as registered, where that is not said.
    authenticates_with: Option<String>,
    /// Whom its assertions are for.
    assertion_audience: Option<String>,
    /// Where its answers go this time.
    redirect_uri: String,
    /// Parameters beside those that every client sends.
    authorize: BTreeMap<String, String>,
    resource: Resource,
    /// What it sends with its token; the last one is a search.
    messages: Vec<Message>,
    /// Whether it gives its token back in the end.
    #[serde(default)]
    revokes: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Probe {
    path: String,
    status: u16,
}

/// A request to the MCP endpoint.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Message {
    method: Option<String>,
    headers: BTreeMap<String, String>,
    body: Option<Value>,
    status: u16,
}

/// Where it sends `resource`, and which.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resource {
    authorize: Option<String>,
    token: Option<String>,
    refresh: Option<String>,
}

/// Every client connects with no step by an admin, from its first probe to a tool call with a
/// refreshed token.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn every_known_client_connects(pool: PgPool) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/clients");
    let mut replays = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let fixture: Fixture = serde_json::from_str(&fs::read_to_string(&path).unwrap())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        replays.push((name, fixture));
    }
    let places = replays.iter().filter_map(|(_, fixture)| fixture.document.as_ref());
    let hosts: Vec<String> = places.map(|it| host(it["client_id"].as_str().unwrap())).collect();
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let internet = DocumentHost::start(&hosts).await;
    let app = TestApp::over(&pool, &[], Some(internet.outbound())).await;
    app.store("acme", "Library").await;
    let mut failures = Vec::new();
    for (name, fixture) in replays {
        let user = app.member("acme", &name, Role::Reader).await;
        let client = Client { app: app.clone(), internet: internet.clone(), fixture };
        // In a task, so that one that fails does not hide the others.
        if tokio::spawn(async move { client.replay(&user).await }).await.is_err() {
            failures.push(name);
        }
    }
    assert!(failures.is_empty(), "did not connect, for the reasons above: {failures:?}");
}

fn host(url: &str) -> String {
    Url::parse(url).unwrap().host_str().unwrap().to_owned()
}

fn filled(text: &str) -> String {
    text.replace("{origin}", ORIGIN)
        .replace("{mcp}", &format!("{ORIGIN}/mcp"))
        .replace("{token_endpoint}", &format!("{ORIGIN}/oauth/token"))
}

/// No client takes a null where a member could be absent.
fn assert_no_null(value: &Value) {
    match value {
        Value::Null => panic!("a null"),
        Value::Array(items) => items.iter().for_each(assert_no_null),
        Value::Object(members) => members.values().for_each(assert_no_null),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A client on its way.
struct Client {
    app: TestApp,
    internet: DocumentHost,
    fixture: Fixture,
}

/// What it is known by.
struct Credentials {
    client_id: String,
    client_secret: Option<String>,
    method: String,
    key: Option<ClientKey>,
}

impl Client {
    async fn replay(&self, user: &Person) {
        let metadata = self.discover().await;
        let credentials = match &self.fixture.document {
            Some(document) => self.publish(document),
            None => self.register(&metadata).await,
        };
        let code = self.authorize(user, &metadata, &credentials).await;
        let resource = &self.fixture.resource;
        let exchange = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", &self.fixture.redirect_uri),
            ("code_verifier", VERIFIER),
        ];
        let tokens = self.token(&credentials, &exchange, resource.token.as_deref()).await;
        self.call_tools(tokens["access_token"].as_str().unwrap()).await;
        let refresh = [
            ("grant_type", "refresh_token"),
            ("refresh_token", tokens["refresh_token"].as_str().unwrap()),
        ];
        let tokens = self.token(&credentials, &refresh, resource.refresh.as_deref()).await;
        let access_token = tokens["access_token"].as_str().unwrap();
        self.call_tools(access_token).await;
        if self.fixture.revokes {
            let refresh_token = tokens["refresh_token"].as_str().unwrap();
            let fields = [("token", refresh_token), ("client_id", &credentials.client_id)];
            assert_eq!(self.app.post_form("/oauth/revoke", None, &fields).await.status, 200);
            assert!(!self.app.accepts(access_token).await);
        }
    }

    /// From the first refusal to the metadata that it goes by.
    async fn discover(&self) -> Value {
        for probe in &self.fixture.probes {
            let answer = self.send(probe, None).await;
            if probe.status != 401 {
                continue;
            }
            let challenge = answer.header("www-authenticate");
            let rest = challenge.strip_prefix("Bearer ").unwrap_or_else(|| panic!("{challenge}"));
            let expected = format!("{ORIGIN}/.well-known/oauth-protected-resource/mcp");
            assert!(rest.contains(&format!("resource_metadata=\"{expected}\"")), "{challenge}");
        }
        let mut metadata = None;
        for probe in &self.fixture.discovery {
            let answer = self.get(&probe.path).await;
            assert_eq!(answer.status.as_u16(), probe.status, "{} {}", probe.path, answer.text());
            let document = answer.json();
            assert_no_null(&document);
            if probe.path.contains("oauth-protected-resource") {
                assert_eq!(document["resource"], format!("{ORIGIN}/mcp"));
                assert_eq!(document["authorization_servers"], json!([ORIGIN]));
            } else if probe.status == 200 {
                assert_eq!(document["issuer"], ORIGIN);
                metadata = Some(document);
            }
        }
        let metadata = metadata.expect("a client that finds the authorization server");
        for (name, needed) in &self.fixture.needs {
            let is_met = match needed.as_array() {
                Some(all) => all.iter().all(|one| metadata[name].as_array().unwrap().contains(one)),
                None => metadata[name] == *needed,
            };
            assert!(is_met, "{name} is {}", metadata[name]);
        }
        metadata
    }

    /// Put the document where its name says, and its keys where it says.
    fn publish(&self, document: &Value) -> Credentials {
        self.internet.put(document);
        let method = self.fixture.authenticates_with.clone().expect("documents leave a choice");
        let key = (method == "private_key_jwt").then(|| ClientKey::rsa(Algorithm::RS256));
        if let Some(key) = &key {
            let mut jwk = key.jwk.clone();
            jwk["kid"] = "key-1".into();
            jwk["use"] = "sig".into();
            let keys = Reply::json(&json!({ "keys": [jwk] }));
            self.internet.say(document["jwks_uri"].as_str().unwrap(), keys);
        }
        let client_id = document["client_id"].as_str().unwrap().to_owned();
        Credentials { client_id, client_secret: None, method, key }
    }

    async fn register(&self, metadata: &Value) -> Credentials {
        let body = self.fixture.registration.as_ref().expect("a registration or a document");
        let request = self
            .request(Method::POST, path(metadata, "registration_endpoint"))
            .header(header::CONTENT_TYPE, "application/json");
        let answer = self.app.send(request.body(Body::from(body.to_string())).unwrap()).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let registered = answer.json();
        assert_no_null(&registered);
        assert_eq!(registered["redirect_uris"], body["redirect_uris"]);
        let text = |name: &str| registered[name].as_str().map(str::to_owned);
        let method = text("token_endpoint_auth_method").unwrap();
        assert_eq!(body["token_endpoint_auth_method"], method);
        assert_eq!(registered.get("client_secret").is_some(), method != "none");
        Credentials {
            client_id: text("client_id").unwrap(),
            client_secret: text("client_secret"),
            method,
            key: None,
        }
    }

    /// A browser that has never been here, to the client's own address.
    async fn authorize(&self, user: &Person, metadata: &Value, client: &Credentials) -> String {
        let fixture = &self.fixture;
        let endpoint = path(metadata, "authorization_endpoint");
        let url = format!("{endpoint}?{}", self.query(&client.client_id));
        let mut browser = self.app.browser();
        let sent = browser.get(&url).await;
        assert_eq!(sent.status, 303, "{}", sent.text());
        let consent = sent.location().to_owned();
        let to_sign_in = browser.get(&consent).await;
        assert!(to_sign_in.location().starts_with("/sign-in?"), "{}", to_sign_in.text());
        browser.sign_in(&user.user.email, PASSWORD, &consent).await;
        let answer = browser.consent(&consent, &[("decision", "approve")]).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        let location = answer.location();
        assert!(location.starts_with(&format!("{}?", fixture.redirect_uri)), "{location}");
        assert_eq!(answer.returned("state"), [fixture.authorize["state"].as_str()]);
        assert_eq!(answer.returned("iss"), [ORIGIN]);
        answer.returned("code").pop().unwrap()
    }

    fn query(&self, client_id: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("response_type", "code").append_pair("client_id", client_id);
        query.append_pair("redirect_uri", &self.fixture.redirect_uri);
        query.append_pair("code_challenge", CHALLENGE).append_pair("code_challenge_method", "S256");
        query.extend_pairs(&self.fixture.authorize);
        if let Some(resource) = &self.fixture.resource.authorize {
            query.append_pair("resource", &filled(resource));
        }
        query.finish()
    }

    /// One call of the token endpoint, and what every client expects of the answer.
    async fn token(
        &self,
        client: &Credentials,
        fields: &[(&str, &str)],
        resource: Option<&str>,
    ) -> Value {
        let resource = resource.map(filled);
        let assertion = client.key.as_ref().map(|key| self.assertion(client, key));
        let mut all = fields.to_vec();
        all.extend(resource.as_deref().map(|resource| ("resource", resource)));
        all.push(("client_id", &client.client_id));
        match client.method.as_str() {
            "none" => {}
            "client_secret_post" => {
                all.push(("client_secret", client.client_secret.as_deref().unwrap()));
            }
            "private_key_jwt" => all.extend([
                ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                ("client_assertion", assertion.as_deref().unwrap()),
            ]),
            other => panic!("no client here authenticates by {other}"),
        }
        let answer = self.app.post_form("/oauth/token", None, &all).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("cache-control"), "no-store");
        let tokens = answer.json();
        assert_no_null(&tokens);
        assert_eq!(tokens["token_type"], "Bearer");
        assert!(tokens["expires_in"].is_number() && tokens["refresh_token"].is_string());
        assert!(tokens["scope"].as_str().unwrap().contains("search:read"));
        tokens
    }

    fn assertion(&self, client: &Credentials, key: &ClientKey) -> String {
        let now = self.app.clock.now().unix_timestamp();
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": "key-1" });
        let claims = json!({
            "iss": client.client_id,
            "sub": client.client_id,
            "aud": filled(self.fixture.assertion_audience.as_deref().unwrap_or("{origin}")),
            "iat": now,
            "exp": now + 60,
            "jti": Uuid::new_v4(),
        });
        key.sign(&header.to_string(), &claims.to_string())
    }

    async fn call_tools(&self, access_token: &str) {
        let mut last = None;
        for message in &self.fixture.messages {
            last = Some(self.send(message, Some(access_token)).await);
        }
        let found = last.expect("a client that calls a tool").json();
        assert_eq!(found["result"]["structuredContent"]["results"], json!([]), "{found}");
    }

    async fn send(&self, message: &Message, access_token: Option<&str>) -> Answer {
        let method = message.method.as_deref().unwrap_or("POST").parse().unwrap();
        let mut request = self.request(method, "/mcp");
        for (name, value) in &message.headers {
            request = request.header(name, value);
        }
        if let Some(token) = access_token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = match &message.body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let answer = self.app.send(request.body(body).unwrap()).await;
        let sent = message.body.as_ref().map_or_else(|| "a GET".to_owned(), Value::to_string);
        assert_eq!(answer.status.as_u16(), message.status, "{sent} {}", answer.text());
        if answer.status == 200 {
            let body = answer.json();
            assert_no_null(&body);
            assert!(body.get("error").is_none(), "{body}");
        }
        answer
    }

    async fn get(&self, path: &str) -> Answer {
        let request = self.request(Method::GET, path).header(header::ACCEPT, "application/json");
        self.app.send(request.body(Body::empty()).unwrap()).await
    }

    fn request(&self, method: Method, path: &str) -> axum::http::request::Builder {
        let request = Request::builder().method(method).uri(path);
        request.header(header::USER_AGENT, &self.fixture.user_agent)
    }
}

/// An endpoint, as a path of this server.
fn path<'a>(metadata: &'a Value, name: &str) -> &'a str {
    metadata[name].as_str().unwrap().strip_prefix(ORIGIN).unwrap()
}
