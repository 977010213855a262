//! The published document, walked: everything in it works, and what it does not list is refused.
//!
//! Whoever adds a member to the metadata adds an arm here; one without fails the test.

use callslip::tenants::Role;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{Answer, Assistant, Browser, CHALLENGE, ClientKey, ORIGIN, TestApp, VERIFIER};

const AUTH_METHODS: &[&str] = &[
    "none",
    "client_secret_post",
    "client_secret_basic",
    "client_secret_jwt",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
];
const GRANT_TYPES: &[&str] = &[
    "authorization_code",
    "implicit",
    "password",
    "client_credentials",
    "refresh_token",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
    "urn:ietf:params:oauth:grant-type:saml2-bearer",
    "urn:ietf:params:oauth:grant-type:device_code",
    "urn:ietf:params:oauth:grant-type:token-exchange",
    "urn:ietf:params:oauth:grant-type:uma-ticket",
    "urn:openid:params:grant-type:ciba",
];
const RESPONSE_TYPES: &[&str] = &[
    "code",
    "token",
    "id_token",
    "none",
    "code token",
    "code id_token",
    "id_token token",
    "code id_token token",
];
const RESPONSE_MODES: &[&str] =
    &["query", "fragment", "form_post", "web_message", "jwt", "query.jwt", "form_post.jwt"];
const CHALLENGE_METHODS: &[&str] = &["S256", "plain", "s256", "S512"];
const SCOPES: &[&str] = &[
    "search:read",
    "offline_access",
    "openid",
    "profile",
    "email",
    "address",
    "phone",
    "search:write",
    "documents:read",
    "documents:write",
    "admin",
    "*",
];
const ALGORITHMS: &[&str] = &[
    "EdDSA", "Ed25519", "ES256", "PS256", "RS256", "Ed448", "none", "HS256", "HS384", "HS512",
    "RS384", "RS512", "PS384", "PS512", "ES384", "ES512", "ES256K",
];
/// The endpoints and features that a document may name, besides those that it does.
const MEMBERS: &[(&str, &str)] = &[
    ("device_authorization_endpoint", "/oauth/device"),
    ("userinfo_endpoint", "/oauth/userinfo"),
    ("end_session_endpoint", "/oauth/logout"),
    ("check_session_iframe", "/oauth/session"),
    ("backchannel_authentication_endpoint", "/oauth/ciba"),
    ("introspection_endpoint", "/oauth/introspect"),
    ("pushed_authorization_request_endpoint", "/oauth/par"),
];

struct Walk {
    app: TestApp,
    browser: Browser,
    document: Value,
}

impl Walk {
    fn lists(&self, member: &str, value: &str) -> bool {
        self.document[member].as_array().is_some_and(|all| all.iter().any(|one| one == value))
    }

    /// Of the values that there are, each is one that the document lists or does not.
    fn each<'a>(&self, member: &str, known: &[&'a str]) -> Vec<(&'a str, bool)> {
        for value in self.document[member].as_array().unwrap() {
            let value = value.as_str().unwrap();
            assert!(known.contains(&value), "{value} of {member} is not known to this test");
        }
        known.iter().map(|value| (*value, self.lists(member, value))).collect()
    }

    fn path(&self, member: &str) -> String {
        let url = self.document[member].as_str().unwrap();
        url.strip_prefix(ORIGIN)
            .unwrap_or_else(|| panic!("{member} is elsewhere: {url}"))
            .to_owned()
    }

    /// What becomes of an authorization request with these changes, after the user did all they
    /// could: the parameters that the client hears.
    async fn authorized(&mut self, client: &Assistant, changes: &[(&str, &str)]) -> Answer {
        let sent = client.authorize(&mut self.browser, changes).await;
        assert_eq!(sent.status, 303, "{changes:?} {}", sent.text());
        if !sent.location().starts_with('/') {
            return sent;
        }
        let page = self.browser.get(sent.location()).await;
        if !page.select("button[value=approve]").is_empty() {
            return self.browser.consent(sent.location(), &[("decision", "approve")]).await;
        }
        // A request that cannot be granted: the way back is a link.
        let links = page.attribute("a[href*='error=']", "href");
        let mut answer = page.clone();
        let back = links.first().unwrap_or_else(|| panic!("{changes:?} {}", page.text()));
        answer.headers.insert("location", back.parse().unwrap());
        answer
    }

    async fn refused_with(
        &mut self,
        client: &Assistant,
        changes: &[(&str, &str)],
        errors: &[&str],
    ) {
        let answer = self.authorized(client, changes).await;
        let error = answer.returned("error");
        assert!(
            error.len() == 1 && errors.contains(&error[0].as_str()),
            "{changes:?}: {}",
            answer.location()
        );
        assert_eq!(answer.returned("iss"), [ORIGIN]);
        assert!(answer.returned("code").is_empty());
    }
}

/// [M-03] [M-04] Everything that the document lists works, and nothing else does.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_document_is_kept(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    app.store("acme", "Library").await;
    let browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let document = app.get("/.well-known/oauth-authorization-server").await.json();
    let mut walk = Walk { app, browser, document };
    let members: Vec<String> = walk.document.as_object().unwrap().keys().cloned().collect();
    for member in members {
        prove(&mut walk, &member).await;
    }
    for (member, path) in MEMBERS {
        if walk.document.get(member).is_none() {
            let answer = walk.app.post_form(path, None, &[]).await;
            assert!([404, 405].contains(&answer.status.as_u16()), "{member} is answered unlisted");
        }
    }
}

async fn prove(walk: &mut Walk, member: &str) {
    match member {
        "issuer" => assert_eq!(walk.document["issuer"], ORIGIN),
        "authorization_endpoint" | "token_endpoint" => prove_flow(walk).await,
        "registration_endpoint" => prove_registration(walk).await,
        "revocation_endpoint" => prove_revocation(walk).await,
        "pushed_authorization_request_endpoint" => prove_pushed(walk).await,
        "introspection_endpoint" => prove_introspection(walk).await,
        "jwks_uri" => prove_keys(walk).await,
        "response_types_supported" => {
            prove_parameter(walk, member, "response_type", RESPONSE_TYPES).await;
        }
        "response_modes_supported" => {
            prove_parameter(walk, member, "response_mode", RESPONSE_MODES).await;
        }
        "code_challenge_methods_supported" => {
            prove_parameter(walk, member, "code_challenge_method", CHALLENGE_METHODS).await;
        }
        "scopes_supported" => prove_parameter(walk, member, "scope", SCOPES).await,
        "grant_types_supported" => prove_grant_types(walk).await,
        "token_endpoint_auth_methods_supported" => {
            prove_methods(walk, member, "/oauth/token").await
        }
        "revocation_endpoint_auth_methods_supported" => {
            prove_methods(walk, member, "/oauth/revoke").await;
        }
        "token_endpoint_auth_signing_alg_values_supported" => {
            prove_algorithms(walk, member, "/oauth/token").await;
        }
        "revocation_endpoint_auth_signing_alg_values_supported" => {
            prove_algorithms(walk, member, "/oauth/revoke").await;
        }
        "introspection_endpoint_auth_methods_supported" => {
            prove_introspection_methods(walk, member).await;
        }
        "introspection_endpoint_auth_signing_alg_values_supported" => {
            prove_introspection_algorithms(walk, member).await;
        }
        "dpop_signing_alg_values_supported" => prove_dpop(walk).await,
        // Every answer of `prove_flow` and `refused_with` is held to it.
        "authorization_response_iss_parameter_supported" => {
            assert_eq!(walk.document[member], true);
        }
        "client_id_metadata_document_supported" => prove_documents(walk).await,
        "protected_resources" => prove_resources(walk).await,
        _ => panic!("{member} is advertised, and nothing here proves that it works"),
    }
}

/// Registration, consent, code, tokens, a call, refresh: at the addresses that the document names.
async fn prove_flow(walk: &mut Walk) {
    assert_eq!(walk.path("authorization_endpoint"), "/oauth/authorize");
    assert_eq!(walk.path("token_endpoint"), "/oauth/token");
    let client = walk.app.assistant().await;
    let answer = walk.authorized(&client, &[]).await;
    assert_eq!(answer.returned("iss"), [ORIGIN]);
    let tokens = client.exchange(&answer.returned("code")[0], &[]).await.json();
    assert!(walk.app.accepts(tokens["access_token"].as_str().unwrap()).await);
    let refreshed = client.refresh(tokens["refresh_token"].as_str().unwrap(), &[]).await;
    assert_eq!(refreshed.status, 200);
    // An error carries the issuer too.
    walk.refused_with(&client, &[("scope", "unknown")], &["invalid_scope"]).await;
}

async fn prove_registration(walk: &Walk) {
    assert_eq!(walk.path("registration_endpoint"), "/oauth/register");
    let answer = walk.app.register(&json!({"redirect_uris": ["https://a.example/cb"]})).await;
    assert_eq!(answer.status, 201);
    // What is announced in the answer is served too.
    let registered = answer.json();
    let uri = registered["registration_client_uri"].as_str().unwrap();
    let request = axum::extract::Request::get(uri.strip_prefix(ORIGIN).unwrap())
        .header(
            "authorization",
            format!("Bearer {}", registered["registration_access_token"].as_str().unwrap()),
        )
        .body(axum::body::Body::empty())
        .unwrap();
    assert_eq!(walk.app.send(request).await.status, 200);
}

async fn prove_revocation(walk: &mut Walk) {
    assert_eq!(walk.path("revocation_endpoint"), "/oauth/revoke");
    let client = walk.app.assistant().await;
    let tokens = client.tokens(&mut walk.browser, &[]).await;
    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(client.revoke(tokens["refresh_token"].as_str().unwrap()).await.status, 200);
    assert!(!walk.app.accepts(access).await);
}

async fn prove_pushed(walk: &mut Walk) {
    let path = walk.path("pushed_authorization_request_endpoint");
    let client = walk.app.assistant().await;
    let fields = [
        ("response_type", "code"),
        ("redirect_uri", client.redirect_uri.as_str()),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let pushed = client.call(&path, &fields, &[]).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let pushed = pushed.json();
    let uri = pushed["request_uri"].as_str().unwrap();
    let url = format!(
        "/oauth/authorize?{}",
        url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("client_id", client.client_id.as_str()), ("request_uri", uri)])
            .finish()
    );
    let sent = walk.browser.get(&url).await;
    let answer = walk.browser.consent(sent.location(), &[("decision", "approve")]).await;
    assert_eq!(client.exchange(&answer.returned("code")[0], &[]).await.status, 200);
}

/// A tenant's resource server hears what a token of that tenant's is good for.
async fn prove_introspection(walk: &mut Walk) {
    assert_eq!(walk.path("introspection_endpoint"), "/oauth/introspect");
    let server = walk.app.back_end("acme", "Turnstile", &[("may", "introspect")]).await;
    let client = walk.app.assistant().await;
    let tokens = client.tokens(&mut walk.browser, &[]).await;
    let told = server.introspect(tokens["access_token"].as_str().unwrap()).await;
    assert_eq!((told.status.as_u16(), &told.json()["active"]), (200, &json!(true)));
}

async fn prove_introspection_methods(walk: &mut Walk, member: &str) {
    let path = walk.path("introspection_endpoint");
    let server = walk.app.back_end("acme", "Gatekeeper", &[("may", "introspect")]).await;
    for (method, is_listed) in walk.each(member, AUTH_METHODS) {
        match method {
            "none" | "client_secret_basic" | "client_secret_post" => {
                let server = Assistant { method: method.to_owned(), ..server.clone() };
                assert_eq!(is_let_in(&path, &server, &[]).await, is_listed, "{method}");
            }
            // Walked with its algorithms.
            "private_key_jwt" => assert!(is_listed),
            _ => assert!(!is_listed, "{method} is advertised, and nothing here proves it"),
        }
    }
}

async fn prove_introspection_algorithms(walk: &mut Walk, member: &str) {
    let path = walk.path("introspection_endpoint");
    for (algorithm, is_listed) in walk.each(member, ALGORITHMS) {
        let key = key_for(algorithm);
        let jwks = json!({"keys": [key.jwk]}).to_string();
        let ticks = [("may", "introspect"), ("proof", "jwks"), ("jwks", jwks.as_str())];
        let server = walk.app.back_end("acme", &format!("Gate {algorithm}"), &ticks).await;
        let signed = assertion(&walk.app, &server.client_id, &key, algorithm);
        let fields = [("client_assertion_type", ASSERTION), ("client_assertion", &*signed)];
        assert_eq!(is_let_in(&path, &server, &fields).await, is_listed, "{algorithm}");
    }
}

async fn prove_keys(walk: &Walk) {
    let answer = walk.app.get(&walk.path("jwks_uri")).await;
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    let document = answer.json();
    let keys = document["keys"].as_array().unwrap();
    let mut names: Vec<&str> = keys.iter().map(|key| key["kid"].as_str().unwrap()).collect();
    names.sort_unstable();
    names.dedup();
    assert!(!keys.is_empty() && names.len() == keys.len());
    for key in keys {
        for private in ["d", "k", "p", "q", "dp", "dq", "qi", "oth"] {
            assert!(key.get(private).is_none(), "{private}");
        }
    }
}

/// One parameter of the authorization request: a listed value leads to a code, another to an error.
async fn prove_parameter(walk: &mut Walk, member: &str, parameter: &str, known: &[&str]) {
    let client = walk.app.assistant().await;
    for (value, is_listed) in walk.each(member, known) {
        let changes = [(parameter, value)];
        if is_listed {
            let answer = walk.authorized(&client, &changes).await;
            let code = answer.returned("code").pop().unwrap_or_else(|| panic!("{value}"));
            assert_eq!(client.exchange(&code, &[]).await.status, 200, "{parameter}={value}");
        } else {
            let errors = ["invalid_request", "unsupported_response_type", "invalid_scope"];
            walk.refused_with(&client, &changes, &errors).await;
        }
    }
}

async fn prove_grant_types(walk: &mut Walk) {
    let client = walk.app.assistant().await;
    for (value, is_listed) in walk.each("grant_types_supported", GRANT_TYPES) {
        match (value, is_listed) {
            ("authorization_code", true) => {
                let code = client.code(&mut walk.browser, &[]).await;
                assert_eq!(client.exchange(&code, &[]).await.status, 200);
            }
            ("refresh_token", true) => {
                let tokens = client.tokens(&mut walk.browser, &[]).await;
                let token = tokens["refresh_token"].as_str().unwrap();
                assert_eq!(client.refresh(token, &[]).await.status, 200);
            }
            ("client_credentials", true) => {
                let store = walk.app.store("acme", "Ledgers").await.to_string();
                let ticks = [("may", "search"), ("store", store.as_str())];
                let back_end = walk.app.back_end("acme", "Bookkeeper", &ticks).await;
                let token = back_end.own_access_token(&[]).await;
                assert!(walk.app.accepts(&token).await);
            }
            (_, true) => panic!("{value} is advertised, and nothing here proves that it works"),
            (_, false) => {
                let fields = [
                    ("grant_type", value),
                    ("username", "ada@acme.example"),
                    ("password", "x"),
                    ("assertion", "x"),
                    ("code_verifier", VERIFIER),
                ];
                let answer = client.call("/oauth/token", &fields, &[]).await;
                assert_eq!(answer.status, 400, "{value}");
                assert_eq!(answer.json()["error"], "unsupported_grant_type", "{value}");
            }
        }
    }
}

/// Whether a client is let in at an endpoint: what it asks there is nothing, so it hears of its
/// credentials alone.
async fn is_let_in(path: &str, client: &Assistant, more: &[(&str, &str)]) -> bool {
    let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", "x"), ("token", "x")];
    fields.extend_from_slice(more);
    let answer = client.call(path, &fields, &[]).await;
    match answer.status.as_u16() {
        401 => false,
        200 => true,
        400 if answer.json()["error"] == "invalid_grant" => true,
        _ => panic!("{path} {}: {}", answer.status, answer.text()),
    }
}

const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn assertion(app: &TestApp, client_id: &str, key: &ClientKey, alg: &str) -> String {
    let now = app.clock.now().unix_timestamp();
    let claims = json!({"iss": client_id, "sub": client_id, "aud": ORIGIN, "exp": now + 60,
                        "iat": now, "jti": Uuid::new_v4()});
    key.sign(&json!({"typ": "JWT", "alg": alg}).to_string(), &claims.to_string())
}

async fn prove_methods(walk: &mut Walk, member: &str, path: &str) {
    for (method, is_listed) in walk.each(member, AUTH_METHODS) {
        let key = ClientKey::new();
        let metadata = json!({"token_endpoint_auth_method": method,
                              "redirect_uris": ["https://assistant.example/cb"],
                              "jwks": {"keys": [key.jwk]}});
        if !is_listed {
            let answer = walk.app.register(&metadata).await;
            assert_eq!(answer.json()["error"], "invalid_client_metadata", "{method}");
            continue;
        }
        let client = walk.app.assistant_with(&metadata).await;
        if method == "private_key_jwt" {
            let signed = assertion(&walk.app, &client.client_id, &key, "ES256");
            let fields = [("client_assertion_type", ASSERTION), ("client_assertion", &signed)];
            assert!(is_let_in(path, &client, &fields).await);
            assert!(!is_let_in(path, &client, &[]).await, "an id alone proves nothing");
            continue;
        }
        assert!(is_let_in(path, &client, &[]).await, "{method}");
        let tokens = client.tokens(&mut walk.browser, &[]).await;
        let refreshed = client.refresh(tokens["refresh_token"].as_str().unwrap(), &[]).await;
        assert_eq!(refreshed.status, 200, "{method}");
        // By another way than it registered, it is not let in.
        for other in ["none", "client_secret_basic", "client_secret_post"] {
            let other = Assistant { method: other.to_owned(), ..client.clone() };
            if other.method != method && (client.client_secret.is_some() || other.method == "none")
            {
                assert!(!is_let_in(path, &other, &[]).await, "{method}");
            }
        }
    }
}

/// A key for an algorithm that we can sign by.
fn key_for(algorithm: &str) -> ClientKey {
    match algorithm {
        "EdDSA" | "Ed25519" => ClientKey::ed25519(),
        "RS256" | "RS384" | "RS512" => ClientKey::rsa(Algorithm::RS256),
        "PS256" | "PS384" | "PS512" => ClientKey::rsa(Algorithm::PS256),
        _ => ClientKey::new(),
    }
}

async fn prove_algorithms(walk: &Walk, member: &str, path: &str) {
    for (algorithm, is_listed) in walk.each(member, ALGORITHMS) {
        let key = key_for(algorithm);
        let client = walk
            .app
            .assistant_with(&json!({"token_endpoint_auth_method": "private_key_jwt",
                                    "jwks": {"keys": [key.jwk]}}))
            .await;
        let signed = assertion(&walk.app, &client.client_id, &key, algorithm);
        let fields = [("client_assertion_type", ASSERTION), ("client_assertion", &*signed)];
        assert_eq!(is_let_in(path, &client, &fields).await, is_listed, "{algorithm} at {path}");
        let promised = walk
            .app
            .register(&json!({"redirect_uris": ["https://a.example/cb"],
                              "token_endpoint_auth_method": "private_key_jwt",
                              "token_endpoint_auth_signing_alg": algorithm,
                              "jwks": {"keys": [key.jwk]}}))
            .await;
        assert_eq!(promised.status == 201, is_listed, "{algorithm}");
    }
}

async fn prove_dpop(walk: &mut Walk) {
    let client = walk.app.assistant().await;
    for (algorithm, is_listed) in walk.each("dpop_signing_alg_values_supported", ALGORITHMS) {
        let key = key_for(algorithm);
        let code = client.code(&mut walk.browser, &[]).await;
        let mut header = key.header();
        header["alg"] = json!(algorithm);
        let claims = key.claims(&walk.app, "/oauth/token", None).await;
        let proof = key.sign(&header.to_string(), &claims.to_string());
        let answer = client.exchange_proven(&code, &[&proof]).await;
        if is_listed {
            assert_eq!(answer.json()["token_type"], "DPoP", "{algorithm}");
        } else {
            assert_eq!(answer.json()["error"], "invalid_dpop_proof", "{algorithm}");
        }
    }
}

/// A `client_id` that is the URL of a document is looked into, or nobody that we know.
async fn prove_documents(walk: &mut Walk) {
    let mut client = walk.app.assistant().await;
    client.client_id = "https://assistant.example/client.json".to_owned();
    let sent = client.authorize(&mut walk.browser, &[]).await;
    let is_on = walk.document["client_id_metadata_document_supported"] == true;
    assert_eq!(sent.status, if is_on { 303 } else { 400 }, "{}", sent.text());
    assert!(!is_on || walk.lists("token_endpoint_auth_methods_supported", "none"));
}

async fn prove_resources(walk: &Walk) {
    for resource in walk.document["protected_resources"].as_array().unwrap() {
        let path = resource.as_str().unwrap().strip_prefix(ORIGIN).unwrap();
        let told = walk.app.get(&format!("/.well-known/oauth-protected-resource{path}")).await;
        assert_eq!(told.json()["resource"], *resource);
        assert_eq!(told.json()["authorization_servers"], json!([ORIGIN]));
        let refused = walk.app.post_form(path, None, &[]).await;
        assert_eq!(refused.status, 401);
    }
}
