//! What the operator decides about clients: metadata and endpoints hold to the same.

use std::net::SocketAddr;

use axum::{
    body::Body,
    extract::{ConnectInfo, Request},
    http::{HeaderName, header},
};
use callslip::tenants::Role;
use serde_json::{Value, json};
use sqlx::PgPool;

use super::tenant_policy::documented;
use crate::support::{Answer, CHALLENGE, ORIGIN, TestApp};

const TOKEN: &str = "correct-horse-battery-staple";

async fn metadata(app: &TestApp) -> Value {
    app.get("/.well-known/oauth-authorization-server").await.json()
}

/// Register a client from an address, with an `Authorization` header or without.
async fn register(app: &TestApp, from: &str, authorization: &str) -> Answer {
    let metadata = json!({"redirect_uris": ["https://a.example/cb"],
                          "token_endpoint_auth_method": "none"});
    let mut request = Request::post("/oauth/register");
    if !authorization.is_empty() {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    let mut request = request.body(Body::from(metadata.to_string())).unwrap();
    let peer: SocketAddr = from.parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    app.send(request).await
}

const PEER: &str = "192.0.2.1:40000";

/// [M-09] Whether clients may register is one decision: the document says it, and the endpoint
/// does it. Who registered before stays.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn registration_can_be_closed(pool: PgPool) {
    let open = TestApp::new(&pool).await;
    assert_eq!(metadata(&open).await["registration_endpoint"], format!("{ORIGIN}/oauth/register"));
    let assistant = open.assistant().await;
    let mut browser = open.member("acme", "ada", Role::Reader).await.sign_in().await;
    let tokens = assistant.tokens(&mut browser, &[]).await;

    let off = TestApp::with(&pool, &[("CALLSLIP_REGISTRATION", "off")]).await;
    assert!(metadata(&off).await.get("registration_endpoint").is_none());
    for authorization in ["", "Bearer x"] {
        let answer = register(&off, PEER, authorization).await;
        assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (403, "no-store"));
        assert_eq!(answer.json()["error"], "access_denied");
    }
    let token = tokens["refresh_token"].as_str().unwrap();
    assert_eq!(assistant.at(&off).refresh(token, &[]).await.status, 200);
    assert_eq!(off.count("oauth_clients").await, 1);
}

/// [M-09] Whether clients may describe themselves is one decision, too: the document says it, and
/// every endpoint does it, also for a client that was known before.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn documents_can_be_switched_off(pool: PgPool) {
    let on = TestApp::new(&pool).await;
    assert_eq!(metadata(&on).await["client_id_metadata_document_supported"], true);
    let known = "https://described.example/client.json";
    let known = documented(&on, known, &["https://described.example/cb"]).await;
    let mut browser = on.member("acme", "ada", Role::Reader).await.sign_in().await;
    let tokens = known.tokens(&mut browser, &[]).await;
    let code = known.code(&mut browser, &[]).await;

    let off = TestApp::with(&pool, &[("CALLSLIP_CLIENT_DOCUMENTS", "off")]).await;
    assert_ne!(metadata(&off).await["client_id_metadata_document_supported"], true);
    let known = known.at(&off);
    browser.app = off.clone();
    let mut unknown = known.clone();
    unknown.client_id = "https://unknown.example/client.json".to_owned();
    let push = [
        ("response_type", "code"),
        ("redirect_uri", known.redirect_uri.as_str()),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    for client in [&known, &unknown] {
        let sent = client.authorize(&mut browser, &[]).await;
        assert_eq!((sent.status.as_u16(), sent.location()), (400, ""), "{}", sent.text());
        let pushed = client.call("/oauth/par", &push, &[]).await;
        assert_eq!(pushed.json()["error"], "unauthorized_client", "{}", pushed.text());
    }
    let token = tokens["refresh_token"].as_str().unwrap();
    for answer in [known.refresh(token, &[]).await, known.exchange(&code, &[]).await] {
        assert_eq!(answer.json()["error"], "unauthorized_client", "{}", answer.text());
    }
    // Nothing was spent.
    assert_eq!(known.at(&on).refresh(token, &[]).await.status, 200);
}

/// RFC 7591 §3: with an initial access token, only who has it registers.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn registration_can_ask_for_a_token(pool: PgPool) {
    let settings = [("CALLSLIP_REGISTRATION", "token"), ("CALLSLIP_REGISTRATION_TOKEN", TOKEN)];
    let app = TestApp::with(&pool, &settings).await;
    assert!(metadata(&app).await["registration_endpoint"].is_string());
    for wrong in [
        "".to_owned(),
        "Bearer ".to_owned(),
        "Bearer wrong".to_owned(),
        format!("Basic {TOKEN}"),
        format!("Bearer {TOKEN}x"),
        format!("Bearer {}", &TOKEN[1..]),
        TOKEN.to_owned(),
    ] {
        let answer = register(&app, PEER, &wrong).await;
        assert_eq!(answer.status, 401, "{wrong}");
        assert!(answer.header("www-authenticate").starts_with("Bearer "), "{wrong}");
        assert_eq!(answer.json()["error"], "invalid_token");
    }
    assert_eq!(app.count("oauth_clients").await, 0);
    let right = register(&app, PEER, &format!("bearer {TOKEN}")).await;
    assert_eq!(right.status, 201, "{}", right.text());
    assert!(!right.text().contains(TOKEN));
    // Whoever has no token does not use up the quota of those who have.
    let few = ("CALLSLIP_REGISTRATIONS_PER_HOUR_TOTAL", "4");
    let scale = ("CALLSLIP_RATE_LIMIT_SCALE", "1");
    let few = TestApp::with(&pool, &[settings[0], settings[1], few, scale]).await;
    for n in 0..20 {
        let refused = register(&few, &format!("198.51.100.{n}:1"), "Bearer wrong").await;
        assert_eq!(refused.status, 401);
    }
    assert_eq!(register(&few, PEER, &format!("Bearer {TOKEN}")).await.status, 201);
}

/// [D-11] A host that is not allowed is refused where clients register, and a client that registered
/// before is refused where it would begin something, with a reason.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_host_that_is_not_allowed_is_refused_everywhere(pool: PgPool) {
    let before = TestApp::new(&pool).await;
    let assistant = before.assistant().await;
    let mut browser = before.member("acme", "ada", Role::Reader).await.sign_in().await;
    let tokens = assistant.tokens(&mut browser, &[]).await;
    let code = assistant.code(&mut browser, &[]).await;

    let hosts = "chatgpt.com,localhost,cursor:";
    let app = TestApp::with(&pool, &[("CALLSLIP_CLIENT_HOSTS", hosts)]).await;
    for (uris, status) in [
        (json!(["https://chatgpt.com/connector/oauth/x"]), 201),
        (json!(["http://127.0.0.1:1/cb", "http://[::1]/cb", "cursor://x/cb"]), 201),
        (json!(["https://assistant.example/cb"]), 400),
        (json!(["https://chatgpt.com/x", "https://assistant.example/cb"]), 400),
        (json!(["https://chatgpt.com.evil.example/x"]), 400),
        (json!(["vscode://x/cb"]), 400),
    ] {
        let answer = app.register(&json!({"redirect_uris": uris})).await;
        assert_eq!(answer.status, status, "{uris}");
        if status == 400 {
            assert_eq!(answer.json()["error"], "invalid_redirect_uri", "{uris}");
        }
    }
    let assistant = assistant.at(&app);
    browser.app = app.clone();
    let sent = assistant.authorize(&mut browser, &[]).await;
    assert_eq!((sent.status.as_u16(), sent.location()), (400, ""));
    assert!(sent.text().contains("certain hosts only"), "{}", sent.text());
    let token = tokens["refresh_token"].as_str().unwrap();
    for answer in [assistant.refresh(token, &[]).await, assistant.exchange(&code, &[]).await] {
        assert_eq!(answer.status, 400);
        assert_eq!(answer.json()["error"], "unauthorized_client");
        assert!(answer.json()["error_description"].as_str().unwrap().contains("host"));
    }
    // Nothing was spent: once the host is allowed again, all goes on.
    assert_eq!(assistant.at(&before).exchange(&code, &[]).await.status, 200);
    assert_eq!(assistant.at(&before).refresh(token, &[]).await.status, 200);
}

/// [D-07] Attempts beyond the quota are told when to come back, and leave no row, from one address,
/// one network, or everywhere.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn attempts_beyond_the_quota_leave_nothing(pool: PgPool) {
    let scale = ("CALLSLIP_RATE_LIMIT_SCALE", "1");
    let app = TestApp::with(&pool, &[scale]).await;
    for n in 0..60 {
        let answer = register(&app, PEER, "").await;
        if n < 20 {
            assert_eq!(answer.status, 201, "{n}");
        } else {
            assert_eq!(answer.status, 429, "{n}");
            // 60 an hour: one a minute, and somewhat later, so that not all come back at once.
            let wait: u32 = answer.header("retry-after").parse().unwrap();
            assert!((1..=74).contains(&wait), "{wait}");
            assert_eq!(answer.json()["error"], "temporarily_unavailable");
        }
    }
    assert_eq!(app.count("oauth_clients").await, 20);
    // One IPv6 network is one address.
    for n in 0..40 {
        register(&app, &format!("[2001:db8:1:2::{n:x}]:1"), "").await;
    }
    assert_eq!(app.count("oauth_clients").await, 40);
    // Failures count too, so that nobody tries metadata out for free.
    let few = TestApp::with(
        &pool,
        &[
            scale,
            ("CALLSLIP_REGISTRATIONS_PER_HOUR", "3"),
            ("CALLSLIP_REGISTRATIONS_PER_HOUR_TOTAL", "8"),
        ],
    )
    .await;
    let (started, mut told) = (std::time::Instant::now(), 0);
    for n in 0..100_000 {
        let answer = register(&few, &format!("198.51.{}.{}:1", n % 7, n % 250), "").await;
        told += i64::from(answer.status == 429 && !answer.header("retry-after").is_empty());
    }
    // Eight an hour; on a slow machine time gives some back meanwhile.
    let made = few.count("oauth_clients").await - 40;
    let given_back = i64::try_from(started.elapsed().as_secs() / 450).unwrap();
    assert!((8..=8 + given_back).contains(&made), "{made}");
    assert_eq!(told, 100_000 - made);
}

/// [M-02] There is one issuer, without a path: below its well-known address there is no document of
/// anything else, whether there is such a tenant or not.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_path_is_no_issuer(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    app.tenant("acme").await;
    let own = metadata(&app).await;
    assert_eq!(own["issuer"], ORIGIN);
    for path in ["/t1", "/acme", "/t/acme", "/t/nope", "/t/acme/mcp", "/mcp", "/t/acme/", "/%2e%2e"]
    {
        for document in ["oauth-authorization-server", "openid-configuration"] {
            let answers = [
                app.get(&format!("/.well-known/{document}{path}")).await,
                app.get(&format!("{}/.well-known/{document}", path.trim_end_matches('/'))).await,
            ];
            assert_eq!(answers[0].status, 404, "{document}{path}");
            assert_eq!(answers[0].json(), json!({"error": "not_found"}), "{document}{path}");
            assert_eq!(answers[1].status, 404, "{path}/…/{document}");
            assert!(!answers[1].text().contains("token_endpoint"));
        }
    }
}

/// [M-06] Whatever a request claims about its host, no link, document, header or page is built from
/// it; under another host there is nothing.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn no_request_says_where_we_are(pool: PgPool) {
    let app = TestApp::with(&pool, &[("CALLSLIP_TRUSTED_PROXIES", "192.0.2.0/24")]).await;
    let assistant = app.assistant().await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let session = browser.session().unwrap().to_owned();
    let authorize = assistant.authorization_url(&[]);
    let consent = assistant.authorize(&mut browser, &[]).await.location().to_owned();
    let cookies: Vec<String> = browser.cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
    let register = json!({"redirect_uris": ["https://a.example/cb"]}).to_string();
    let mut seen = 0;
    for (method, path) in [
        ("GET", "/.well-known/oauth-authorization-server"),
        ("GET", "/.well-known/oauth-protected-resource"),
        ("GET", "/.well-known/oauth-protected-resource/t/acme/mcp"),
        ("GET", "/oauth/jwks.json"),
        ("POST", "/oauth/register"),
        ("POST", "/mcp"),
        ("POST", "/t/acme/mcp"),
        ("GET", authorize.as_str()),
        ("GET", consent.as_str()),
        ("GET", "/sign-in"),
        ("GET", "/account"),
        ("GET", "/t/acme"),
        ("GET", "/t/acme/apps"),
    ] {
        for (name, value) in [
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-server", "evil.example"),
            ("x-original-host", "evil.example"),
            ("x-host", "evil.example"),
            ("forwarded", "for=192.0.2.9;host=evil.example;proto=http"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-port", "1234"),
            ("x-forwarded-prefix", "/evil.example"),
            ("x-original-url", "/evil.example"),
            ("host", "evil.example"),
            ("host", "callslip.example:8443"),
            ("host", "callslip.example.evil.example"),
        ] {
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header(HeaderName::from_static(name), value)
                .header(header::COOKIE, cookies.join("; "))
                .body(Body::from(if method == "POST" { register.clone() } else { String::new() }))
                .unwrap();
            let answer = app.send(request).await;
            let whole = format!("{:?} {}", answer.headers, answer.text());
            assert!(!whole.contains("evil.example"), "{name} {path}: {whole}");
            assert!(!whole.contains(":8443") && !whole.contains(":1234"), "{name} {path}: {whole}");
            assert!(!whole.contains("http://callslip"), "{name} {path}: {whole}");
            assert!(!whole.contains(&session), "{path}");
            if name == "host" {
                assert_eq!(answer.status, 421, "{value} {path}");
            } else {
                assert_ne!(answer.status, 421, "{name} {path}");
                seen += usize::from(whole.contains(ORIGIN));
            }
        }
    }
    assert!(seen > 50, "links are there at all: {seen}");
}
