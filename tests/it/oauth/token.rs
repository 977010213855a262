//! The token endpoint and the exchange of codes.

use std::pin::Pin;

use axum::{body::Body, extract::Request, http::header};
use base64::{Engine, engine::general_purpose::STANDARD};
use callslip::tenants::Role;
use serde_json::json;
use sqlx::PgPool;
use tokio::task::JoinSet;

use super::waiters;
use crate::support::{Answer, TestApp};

#[track_caller]
fn assert_refused(answer: &Answer, status: u16, error: &str) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    assert_eq!(answer.json()["error"], error, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("content-type"), "application/json");
    let description = answer.json()["error_description"].as_str().unwrap().to_owned();
    assert!(
        !description.is_empty() && description.is_ascii() && !description.contains(['"', '\\'])
    );
}

/// [T-01] Only url-encoded POSTs of a sensible size are read.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn only_forms_are_read(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    assert_eq!(app.get("/oauth/token").await.status, 405);
    let post = |kind: &'static str, body: String| {
        let mut request = Request::post("/oauth/token");
        if !kind.is_empty() {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        app.send(request.body(Body::from(body)).unwrap())
    };
    for kind in [
        "",
        "application/json",
        "multipart/form-data; boundary=x",
        "text/plain",
        "application/x-www-form-urlencoded-not",
        "application/json, application/x-www-form-urlencoded",
    ] {
        let answer = post(kind, r#"{"grant_type":"authorization_code"}"#.to_owned()).await;
        assert_refused(&answer, 400, "invalid_request");
    }
    let form = "application/x-www-form-urlencoded";
    assert_refused(&post(form, String::new()).await, 400, "invalid_request");
    assert_refused(&post(form, "%ff=%fe&\0=&&&=".to_owned()).await, 400, "invalid_request");
    let long = post(form, format!("a={}", "x".repeat(17_000))).await;
    assert_refused(&long, 413, "invalid_request");
    let charset = "Application/X-WWW-Form-Urlencoded; charset=UTF-8";
    let answer = post(charset, "grant_type=password&client_id=x".to_owned()).await;
    assert_refused(&answer, 400, "unsupported_grant_type");
}

/// [T-02] Success says all that it must, keeps out of caches, and holds no null.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn success_is_complete(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant_with(&json!({"grant_types": ["authorization_code"]})).await;
    let code = assistant.code(&mut browser, &[]).await;
    let answer = assistant.exchange(&code, &[]).await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, "no-store"));
    let body = answer.json();
    let members: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(members, ["access_token", "expires_in", "scope", "token_type"]);
    // No refresh token was registered for, so none is issued, and none is taken.
    let refused = assistant.refresh("csl_rt_x", &[]).await;
    assert_refused(&refused, 400, "unauthorized_client");
}

/// [T-03] [T-04] Without the verifier, or with a wrong one, there is no token; five wrong ones
/// kill the code, fewer do not.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_verifier_is_demanded(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant().await;
    let wrong = "w".repeat(43);
    for (attempts, outcome) in [(4, 200), (5, 400)] {
        let code = assistant.code(&mut browser, &[]).await;
        let missing = assistant.exchange(&code, &[("code_verifier", "")]).await;
        assert_refused(&missing, 400, "invalid_request");
        let short = assistant.exchange(&code, &[("code_verifier", "short")]).await;
        assert_refused(&short, 400, "invalid_request");
        for _ in 0..attempts {
            let answer = assistant.exchange(&code, &[("code_verifier", &wrong)]).await;
            assert_refused(&answer, 400, "invalid_grant");
        }
        assert_eq!(assistant.exchange(&code, &[]).await.status, outcome, "{attempts}");
    }
}

/// However many wrong verifiers come, the answer is a refusal: the count has an end.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn wrong_verifiers_are_not_counted_for_ever(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant().await;
    let code = assistant.code(&mut browser, &[]).await;
    for _ in 0..8 {
        let answer = assistant.exchange(&code, &[("code_verifier", &"w".repeat(43))]).await;
        assert_refused(&answer, 400, "invalid_grant");
    }
    let counted: i16 = sqlx::query_scalar("select wrong_attempts from oauth_authorization_codes")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(counted, 5);
}

/// [T-05] A second valid redemption is refused, and what the first one bought is dead.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_replayed_code_ends_the_grant(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant().await;
    let code = assistant.code(&mut browser, &[]).await;
    let tokens = assistant.exchange(&code, &[]).await.json();
    let access_token = tokens["access_token"].as_str().unwrap();
    assert!(app.accepts(access_token).await);
    assert_refused(&assistant.exchange(&code, &[]).await, 400, "invalid_grant");
    assert!(!app.accepts(access_token).await);
    let refreshed = assistant.refresh(tokens["refresh_token"].as_str().unwrap(), &[]).await;
    assert_refused(&refreshed, 400, "invalid_grant");
    let events: i64 =
        sqlx::query_scalar("select count(*) from audit_events where kind = 'token.reused'")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(events, 1);
}

/// [T-06] [T-07] Who has a code and nothing else gets nothing and breaks nothing, before and after
/// it was redeemed.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_glimpsed_code_is_worth_nothing(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant().await;
    let thief = app.assistant().await;
    let wrong = "w".repeat(43);
    let code = assistant.code(&mut browser, &[]).await;
    assert_refused(&thief.exchange(&code, &[]).await, 400, "invalid_grant");
    let tokens = assistant.exchange(&code, &[]).await.json();
    for _ in 0..6 {
        assert_refused(&thief.exchange(&code, &[]).await, 400, "invalid_grant");
        let answer = assistant.exchange(&code, &[("code_verifier", &wrong)]).await;
        assert_refused(&answer, 400, "invalid_grant");
    }
    assert!(app.accepts(tokens["access_token"].as_str().unwrap()).await);
    let refreshed = assistant.refresh(tokens["refresh_token"].as_str().unwrap(), &[]).await;
    assert_eq!(refreshed.status, 200);
}

/// [T-08] Of a hundred redemptions at once, over two processes, one succeeds.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn of_a_hundred_racing_exchanges_one_wins(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let other = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant().await;
    let code = assistant.code(&mut browser, &[]).await;
    let mut race = JoinSet::new();
    for place in 0..100 {
        let assistant = assistant.at(if place % 2 == 0 { &app } else { &other });
        let code = code.clone();
        race.spawn(async move { assistant.exchange(&code, &[]).await });
    }
    let answers = race.join_all().await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 200);
    assert_eq!(won.len(), 1);
    for answer in lost {
        assert_refused(answer, 400, "invalid_grant");
    }
    assert_eq!(app.count("oauth_refresh_tokens").await, 1);
}

/// [T-09] A redirect URI that differs is refused; one that is absent is not.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_redirect_uri_must_not_differ(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant().await;
    let code = assistant.code(&mut browser, &[]).await;
    for other in ["https://assistant.example/cb/", "https://evil.example/cb"] {
        let answer = assistant.exchange(&code, &[("redirect_uri", other)]).await;
        assert_refused(&answer, 400, "invalid_grant");
    }
    assert_eq!(assistant.exchange(&code, &[("redirect_uri", "")]).await.status, 200);
    // The port of a loopback redirect belongs to the request.
    let local = app.assistant_with(&json!({"redirect_uris": ["http://127.0.0.1/cb"]})).await;
    let uri = [("redirect_uri", "http://127.0.0.1:4000/cb")];
    let code = local.code(&mut browser, &uri).await;
    assert_refused(&local.exchange(&code, &[]).await, 400, "invalid_grant");
    assert_eq!(local.exchange(&code, &uri).await.status, 200);
}

/// [T-10] [T-11] A client authenticates in the way it registered, and in one way at a time.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_registered_method_is_enforced(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    for method in ["none", "client_secret_basic", "client_secret_post"] {
        let assistant = app.assistant_with(&json!({"token_endpoint_auth_method": method})).await;
        let code = assistant.code(&mut browser, &[]).await;
        let secret = assistant.client_secret.clone().unwrap_or_else(|| "secret".to_owned());
        for wrong in ["none", "client_secret_basic", "client_secret_post"] {
            let mut as_wrong = assistant.clone();
            as_wrong.method = wrong.to_owned();
            as_wrong.client_secret = Some(secret.clone());
            if wrong != method {
                let answer = as_wrong.exchange(&code, &[]).await;
                assert_refused(&answer, 401, "invalid_client");
                let challenge = answer.header("www-authenticate");
                assert_eq!(challenge.starts_with("Basic "), wrong == "client_secret_basic");
            } else if method != "none" {
                let mut false_secret = as_wrong.clone();
                false_secret.client_secret = Some(format!("{}x", &secret[..secret.len() - 1]));
                let answer = false_secret.exchange(&code, &[]).await;
                assert_refused(&answer, 401, "invalid_client");
            }
        }
        assert_eq!(assistant.exchange(&code, &[]).await.status, 200, "{method}");
    }
    let basic =
        app.assistant_with(&json!({"token_endpoint_auth_method": "client_secret_basic"})).await;
    let code = basic.code(&mut browser, &[]).await;
    let secret = basic.client_secret.clone().unwrap();
    let both = [("client_id", basic.client_id.as_str()), ("client_secret", &secret)];
    assert_refused(&basic.exchange(&code, &both).await, 400, "invalid_request");
    let other = [("client_id", "another")];
    assert_refused(&basic.exchange(&code, &other).await, 400, "invalid_request");
    for malformed in ["Basic", "Basic !", "Basic eA==", "Bearer x"] {
        let fields = [("grant_type", "authorization_code"), ("code", &code)];
        let answer = app.post_form("/oauth/token", Some(malformed), &fields).await;
        assert_refused(&answer, 401, "invalid_client");
    }
    // A secret in the query is not looked at.
    let path = format!("/oauth/token?client_id={}&client_secret={secret}", basic.client_id);
    let fields = [("grant_type", "authorization_code"), ("code", &code)];
    assert_refused(&app.post_form(&path, None, &fields).await, 401, "invalid_client");
    // Header and body may name the same client; both halves are url-encoded.
    let encoded = format!("{}:{}", basic.client_id.replace('-', "%2D"), secret.replace('_', "%5F"));
    let encoded = format!("bAsIc {}", STANDARD.encode(encoded));
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("client_id", &basic.client_id),
        ("code_verifier", crate::support::VERIFIER),
    ];
    let answer = app.post_form("/oauth/token", Some(&encoded), &fields).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// [T-14] A foreign resource is refused before the code is spent or the refresh token rotated.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_foreign_resource_costs_nothing(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant().await;
    let code = assistant.code(&mut browser, &[]).await;
    let foreign = [
        "https://evil.example/mcp",
        "https://callslip.example/t/acme/mcp",
        "mcp",
        "https://callslip.example/mcp#",
    ];
    for resource in foreign {
        let answer = assistant.exchange(&code, &[("resource", resource)]).await;
        assert_refused(&answer, 400, "invalid_target");
    }
    let tokens = assistant.exchange(&code, &[("resource", "https://callslip.example/")]).await;
    assert_eq!(tokens.status, 200);
    let refresh_token = tokens.json()["refresh_token"].as_str().unwrap().to_owned();
    for resource in foreign {
        let answer = assistant.refresh(&refresh_token, &[("resource", resource)]).await;
        assert_refused(&answer, 400, "invalid_target");
    }
    assert_eq!(app.count("oauth_refresh_tokens").await, 1);
    // Codex sends none; others send what they have.
    let same = [("resource", "https://callslip.example/mcp/")];
    assert_eq!(assistant.refresh(&refresh_token, &same).await.status, 200);
}

/// [T-15] A parameter sent twice, or a wider scope, is refused and costs nothing.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_is_wider_or_doubled_is_refused(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant().await;
    let tokens = assistant.tokens(&mut browser, &[]).await;
    let refresh_token = tokens["refresh_token"].as_str().unwrap();
    for name in ["grant_type", "refresh_token", "client_id", "scope", "unknown"] {
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
            ("client_id", &assistant.client_id),
            ("scope", "search:read"),
            ("unknown", "x"),
            (name, "x"),
        ];
        let answer = app.post_form("/oauth/token", None, &fields).await;
        assert_refused(&answer, 400, "invalid_request");
    }
    for scope in ["search:read offline_access", "admin"] {
        let answer = assistant.refresh(refresh_token, &[("scope", scope)]).await;
        assert_refused(&answer, 400, "invalid_scope");
    }
    assert_eq!(assistant.refresh(refresh_token, &[]).await.status, 200);
}

/// [T-17] While the database is away the answer is 503, and the code is as good as before.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn without_the_database_nothing_is_spent(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let dark = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant().await;
    let code = assistant.code(&mut browser, &[]).await;
    dark.db().close().await;
    let answer = assistant.at(&dark).exchange(&code, &[]).await;
    assert_refused(&answer, 503, "temporarily_unavailable");
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(assistant.exchange(&code, &[]).await.status, 200);
}

/// [T-17] The same when it goes in the midst of it, with a code or a refresh token.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_connection_that_breaks_spends_nothing(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant().await;
    let code = assistant.code(&mut browser, &[]).await;
    let break_off = async |work: Pin<Box<dyn Future<Output = Answer> + Send>>| {
        // The last thing that is written, so that everything else was by then.
        let mut lock = pool.begin().await.unwrap();
        sqlx::query!("lock table audit_events in exclusive mode")
            .execute(&mut *lock)
            .await
            .unwrap();
        let work = tokio::spawn(work);
        for pid in waiters(&pool).await {
            sqlx::query!("select pg_terminate_backend($1) as gone", pid)
                .fetch_one(&pool)
                .await
                .unwrap();
        }
        let answer = work.await.unwrap();
        lock.rollback().await.unwrap();
        assert_refused(&answer, 503, "temporarily_unavailable");
    };
    let (client, taken) = (assistant.clone(), code.clone());
    break_off(Box::pin(async move { client.exchange(&taken, &[]).await })).await;
    let tokens = assistant.exchange(&code, &[]).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    let refresh_token = tokens.json()["refresh_token"].as_str().unwrap().to_owned();
    let (client, taken) = (assistant.clone(), refresh_token.clone());
    break_off(Box::pin(async move { client.refresh(&taken, &[]).await })).await;
    assert_eq!(app.count("oauth_refresh_tokens").await, 1);
    let refreshed = assistant.refresh(&refresh_token, &[]).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.text());
}

/// [L-01] Beyond its burst an address waits, and is told how long; discovery goes on.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn registrations_are_limited_by_address(pool: PgPool) {
    let app = TestApp::with(&pool, &[("CALLSLIP_RATE_LIMIT_SCALE", "1")]).await;
    let metadata = json!({"redirect_uris": ["https://a.example/cb"]});
    for _ in 0..20 {
        assert_eq!(app.register(&metadata).await.status, 201);
    }
    let limited = app.register(&metadata).await;
    assert_eq!(limited.status, 429);
    let seconds: u64 = limited.header("retry-after").parse().unwrap();
    // One a minute, and some more at random, so that not all come back at once.
    assert!((1..=74).contains(&seconds));
    assert!(limited.json()["error"].is_string());
    assert_eq!(app.get("/.well-known/oauth-authorization-server").await.status, 200);
}
