//! Requests that clients push before they send the browser (RFC 9126).

use callslip::tenants::Role;
use serde_json::json;
use sqlx::PgPool;
use time::Duration;

use crate::support::{Answer, Assistant, CHALLENGE, ClientKey, ORIGIN, TestApp, changed};

/// The thumbprint of some key.
const THUMBPRINT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

impl Assistant {
    /// `POST /oauth/par` with the usual parameters, with changes.
    async fn push(&self, changes: &[(&str, &str)]) -> Answer {
        let resource = format!("{ORIGIN}/mcp");
        let usual = [
            ("response_type", "code"),
            ("redirect_uri", self.redirect_uri.as_str()),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("state", "pushed"),
            ("scope", "search:read"),
            ("resource", resource.as_str()),
        ];
        self.call("/oauth/par", &usual, changes).await
    }

    /// The name of a request that was pushed just now.
    async fn pushed(&self, changes: &[(&str, &str)]) -> String {
        let answer = self.push(changes).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["request_uri"].as_str().unwrap().to_owned()
    }

    /// The URL that the browser is sent to, with more than it needs.
    fn pushed_url(&self, request_uri: &str, more: &[(&str, &str)]) -> String {
        let needed = [("client_id", self.client_id.as_str()), ("request_uri", request_uri)];
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(changed(&needed, more))
            .finish();
        format!("/oauth/authorize?{query}")
    }
}

fn is_unknown(answer: &Answer) -> bool {
    (answer.status.as_u16(), answer.location()) == (400, "")
        && answer.header("content-type").starts_with("text/html")
        && answer.text().contains("invalid_request_uri")
}

/// [P-01] Every client may push, as itself; what it gets leads to a code once, soon, and for it
/// alone.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_pushed_request_works_once_for_its_client(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let stranger = app.assistant().await;
    for method in ["none", "client_secret_basic", "client_secret_post"] {
        let assistant = app.assistant_with(&json!({"token_endpoint_auth_method": method})).await;
        let answer = assistant.push(&[]).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("content-type"), "application/json");
        let body = answer.json();
        assert!((1..=60).contains(&body["expires_in"].as_i64().unwrap()));
        let request_uri = body["request_uri"].as_str().unwrap();
        let name = request_uri.strip_prefix("urn:ietf:params:oauth:request_uri:csl_pr_").unwrap();
        assert_eq!(name.len(), 43 + 6, "256 bits and a checksum");
        assert_ne!(request_uri, assistant.pushed(&[]).await);

        // Another client's attempt is refused, and spends nothing.
        assert!(is_unknown(&browser.get(&stranger.pushed_url(request_uri, &[])).await));
        let sent = browser.get(&assistant.pushed_url(request_uri, &[])).await;
        assert!(sent.location().starts_with("/oauth/consent?"), "{}", sent.text());
        let approved = browser.consent(sent.location(), &[("decision", "approve")]).await;
        assert_eq!(approved.returned("state"), ["pushed"]);
        assert_eq!(approved.returned("iss"), [ORIGIN]);
        let tokens = assistant.exchange(&approved.returned("code").concat(), &[]).await;
        assert_eq!(tokens.status, 200, "{}", tokens.text());
        assert!(is_unknown(&browser.get(&assistant.pushed_url(request_uri, &[])).await), "twice");

        let late = assistant.pushed(&[]).await;
        app.clock.advance(Duration::seconds(61));
        assert!(is_unknown(&browser.get(&assistant.pushed_url(&late, &[])).await), "late");
    }
    for wrong in ["", "x", "csl_pr_x"] {
        let request_uri = format!("urn:ietf:params:oauth:request_uri:{wrong}");
        assert!(is_unknown(&browser.get(&stranger.pushed_url(&request_uri, &[])).await), "{wrong}");
    }
}

/// [P-01] Of many browsers that bring the same pushed request to two nodes, one goes on.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn of_racing_browsers_one_uses_a_pushed_request(pool: PgPool) {
    let nodes = [TestApp::new(&pool).await, TestApp::new(&pool).await];
    let assistant = nodes[0].assistant().await;
    let request_uri = assistant.pushed(&[]).await;
    let mut race = tokio::task::JoinSet::new();
    for n in 0..16 {
        let mut browser = nodes[n % 2].browser();
        let url = assistant.pushed_url(&request_uri, &[]);
        race.spawn(async move { browser.get(&url).await });
    }
    let answers = race.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 303).count(), 1);
    assert_eq!(answers.iter().filter(|answer| is_unknown(answer)).count(), 15);
    assert_eq!(nodes[0].count("oauth_authorization_requests").await, 1);
}

/// [P-01] What is wrong is told at once, as the token endpoint tells it, and nothing is kept.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_request_that_cannot_be_granted_cannot_be_pushed(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let assistant = app.assistant().await;
    let basic = json!({"token_endpoint_auth_method": "client_secret_basic"});
    let basic = app.assistant_with(&basic).await;
    let wrong = Assistant { client_secret: Some("csl_cs_wrong".to_owned()), ..basic };
    let refused = wrong.push(&[]).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["error"]),
        (401, &"invalid_client".into())
    );
    assert!(refused.header("www-authenticate").starts_with("Basic"));
    let unknown = assistant.push(&[("client_id", "nobody-we-know")]).await;
    assert_eq!(unknown.json()["error"], "invalid_client");

    let urn = assistant.pushed(&[]).await;
    let long = "x".repeat(9000);
    for (change, error) in [
        (("redirect_uri", "https://evil.example/cb"), "invalid_request"),
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("response_type", "token"), "unsupported_response_type"),
        (("scope", "admin"), "invalid_scope"),
        (("resource", "https://evil.example/mcp"), "invalid_target"),
        (("prompt", "none"), "interaction_required"),
        (("request", "eyJ"), "request_not_supported"),
        (("request_uri", urn.as_str()), "invalid_request"),
        (("dpop_jkt", "short"), "invalid_request"),
        (("state", long.as_str()), "invalid_request"),
    ] {
        let answer = assistant.push(&[change]).await;
        assert_eq!(answer.status, 400, "{change:?}");
        assert_eq!(answer.json()["error"], error, "{change:?}");
        assert!(answer.json()["error_description"].is_string(), "{change:?}");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    // Each parameter short enough, and too long together.
    let state = "\u{1f600}".repeat(1000);
    let answer = assistant.push(&[("state", &state)]).await;
    assert_eq!(answer.json()["error"], "invalid_request", "{}", answer.text());
    let twice = [("client_id", assistant.client_id.as_str()), ("scope", "a"), ("scope", "a")];
    let twice = app.post_form("/oauth/par", None, &twice).await;
    assert_eq!(twice.json()["error"], "invalid_request");
    assert_eq!(app.get("/oauth/par").await.status, 405);
    assert_eq!(app.count("oauth_pushed_requests").await, 1);
}

/// [P-02] Of what the browser brings besides, nothing counts, and it is given nothing to keep. What
/// is stored names no secret.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_browser_adds_nothing_to_a_pushed_request(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app
        .assistant_with(&json!({
            "token_endpoint_auth_method": "client_secret_post",
            "redirect_uris": ["https://assistant.example/cb", "https://assistant.example/other"],
        }))
        .await;
    let request_uri = assistant.pushed(&[]).await;
    let stored: String =
        sqlx::query_scalar("select to_jsonb(r)::text from oauth_pushed_requests r")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert!(!stored.contains(&request_uri[40..70]), "the name is kept as a hash");
    assert!(!stored.contains(assistant.client_secret.as_deref().unwrap()), "{stored}");
    let before = browser.cookies.clone();
    let more = [
        ("redirect_uri", "https://assistant.example/other"),
        ("scope", "search:read offline_access"),
        ("state", "changed"),
        ("resource", "https://evil.example/mcp"),
        ("code_challenge", THUMBPRINT),
        ("response_type", "token"),
        ("prompt", "none"),
        ("request", "eyJ"),
    ];
    let sent = browser.get(&assistant.pushed_url(&request_uri, &more)).await;
    assert_eq!(browser.cookies, before);
    let approved = browser.consent(sent.location(), &[("decision", "approve")]).await;
    assert!(approved.location().starts_with("https://assistant.example/cb?"));
    assert_eq!(approved.returned("state"), ["pushed"]);
    let tokens = assistant.exchange(&approved.returned("code").concat(), &[]).await;
    assert_eq!(tokens.json()["scope"], "search:read", "{}", tokens.text());
    let mut fresh = app.browser();
    let request_uri = assistant.pushed(&[]).await;
    fresh.get(&assistant.pushed_url(&request_uri, &[])).await;
    let kept = format!("{:?}", fresh.cookies);
    for word in ["pushed", "search", "assistant", CHALLENGE] {
        assert!(!kept.contains(word), "{word} in {kept}");
    }
}

/// The key that a client's tokens shall be bound to goes with the request into the code, pushed or
/// not (RFC 9449 §10).
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_key_goes_with_the_request(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant().await;
    let changes = [("dpop_jkt", THUMBPRINT)];
    assistant.code(&mut browser, &changes).await;
    let request_uri = assistant.pushed(&changes).await;
    let sent = browser.get(&assistant.pushed_url(&request_uri, &[])).await;
    browser.consent(sent.location(), &[("decision", "approve")]).await;
    let bound: Vec<Option<String>> =
        sqlx::query_scalar("select dpop_jkt from oauth_authorization_codes")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(bound, vec![Some(THUMBPRINT.to_owned()); 2]);
}

/// A proof next to a pushed request names the key, once; it cannot name another one than the request
/// does (RFC 9449 §10.1).
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_proof_names_the_key(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant().await;
    let key = ClientKey::new();
    let usual = [
        ("client_id", assistant.client_id.as_str()),
        ("response_type", "code"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let proof = key.proof(&app, "/oauth/par", None).await;
    let pushed = app.post_proven("/oauth/par", &[&proof], &usual).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    assert!(!pushed.header("dpop-nonce").is_empty());
    let again = app.post_proven("/oauth/par", &[&proof], &usual).await;
    assert_eq!(again.json()["error"], "invalid_dpop_proof", "{}", again.text());
    let other = [&usual[..], &[("dpop_jkt", THUMBPRINT)]].concat();
    let proof = key.proof(&app, "/oauth/par", None).await;
    let differs = app.post_proven("/oauth/par", &[&proof], &other).await;
    assert_eq!(differs.json()["error"], "invalid_dpop_proof", "{}", differs.text());
    let elsewhere = key.proof(&app, "/oauth/token", None).await;
    let elsewhere = app.post_proven("/oauth/par", &[&elsewhere], &usual).await;
    assert_eq!(elsewhere.json()["error"], "invalid_dpop_proof", "{}", elsewhere.text());

    let request_uri = pushed.json()["request_uri"].as_str().unwrap().to_owned();
    let sent = browser.get(&assistant.pushed_url(&request_uri, &[])).await;
    let approved = browser.consent(sent.location(), &[("decision", "approve")]).await;
    let code = approved.returned("code").concat();
    let proof = ClientKey::new().proof(&app, "/oauth/token", None).await;
    let stolen = assistant.exchange_proven(&code, &[&proof]).await;
    assert_eq!(stolen.json()["error"], "invalid_grant", "{}", stolen.text());
    let proof = key.proof(&app, "/oauth/token", None).await;
    assert_eq!(assistant.exchange_proven(&code, &[&proof]).await.status, 200);
}

/// Pushing is limited by address, more tightly than the token endpoint is.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn pushing_is_limited(pool: PgPool) {
    let app = TestApp::with(&pool, &[("CALLSLIP_RATE_LIMIT_SCALE", "0.01")]).await;
    let assistant = app.assistant().await;
    assert_eq!(assistant.push(&[]).await.status, 201);
    let mut limited = assistant.push(&[]).await;
    for _ in 0..60 {
        if limited.status == 429 {
            break;
        }
        limited = assistant.push(&[]).await;
    }
    assert_eq!(limited.status, 429);
    assert!(limited.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert!(limited.json()["error"].is_string());
    // What is bought at the token endpoint is not counted with it.
    assert_eq!(assistant.refresh("csl_rt_x", &[]).await.json()["error"], "invalid_grant");
    let app = TestApp::with(&pool, &[("CALLSLIP_RATE_LIMIT_SCALE", "1")]).await;
    let assistant = assistant.at(&app);
    let mut pushed = 0;
    while assistant.push(&[]).await.status == 201 {
        pushed += 1;
        assert!(pushed < 500);
    }
    assert!(pushed >= 60, "{pushed}");
}
