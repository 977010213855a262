//! The authorization endpoint.

use callslip::tenants::Role;
use serde_json::json;
use sqlx::PgPool;
use time::Duration;

use crate::support::{CHALLENGE, ORIGIN, TestApp};

/// A client that is unknown, missing or named twice: a page, and no redirect.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_unknown_client_gets_a_page(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let assistant = app.assistant().await;
    let mut browser = app.browser();
    let url = assistant.authorization_url(&[]);
    let twice = format!("{url}&client_id={}", assistant.client_id);
    for url in [
        assistant.authorization_url(&[("client_id", "nobody-we-know")]),
        assistant.authorization_url(&[("client_id", "")]),
        assistant.authorization_url(&[("client_id", "'; drop table users; --")]),
        assistant.authorization_url(&[("client_id", "\0")]),
        twice,
    ] {
        let answer = browser.get(&url).await;
        assert_eq!(answer.status, 400, "{url}");
        assert!(answer.header("content-type").starts_with("text/html"), "{url}");
        assert_eq!(answer.location(), "", "{url}");
    }
}

/// A redirect URI that is unregistered, sent twice, or missing where there are several.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_unregistered_redirect_uri_gets_a_page(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let assistant = app.assistant().await;
    let two = app
        .assistant_with(&json!({"redirect_uris": ["https://a.example/1", "https://a.example/2"]}))
        .await;
    let mut browser = app.browser();
    let twice =
        format!("{}&redirect_uri=https://assistant.example/cb", assistant.authorization_url(&[]));
    for url in [
        assistant.authorization_url(&[("redirect_uri", "https://evil.example/cb")]),
        two.authorization_url(&[("redirect_uri", "")]),
        twice,
    ] {
        let answer = browser.get(&url).await;
        assert_eq!((answer.status.as_u16(), answer.location()), (400, ""), "{url}");
        assert!(answer.header("content-type").starts_with("text/html"), "{url}");
    }
    // Where there is only one, it need not be named.
    let answer = assistant.authorize(&mut browser, &[("redirect_uri", "")]).await;
    assert!(answer.location().starts_with("/oauth/consent"), "{}", answer.text());
}

/// [A-05] [A-06] [A-07] What is wrong with a request, once client and
/// redirect URI are known, is told to the client: with `state` and `iss`, and no code.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_refusal_goes_to_the_client(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let public = app.assistant().await;
    let confidential =
        app.assistant_with(&json!({"token_endpoint_auth_method": "client_secret_basic"})).await;
    let mut browser = app.browser();
    let long = "A".repeat(44);
    let padded = format!("{}=", &CHALLENGE[..42]);
    for (changes, error) in [
        ([("response_type", "")], "invalid_request"),
        ([("response_type", "token")], "unsupported_response_type"),
        ([("response_type", "id_token")], "unsupported_response_type"),
        ([("response_type", "code token")], "unsupported_response_type"),
        ([("response_type", "Code")], "unsupported_response_type"),
        ([("code_challenge", "")], "invalid_request"),
        ([("code_challenge_method", "plain")], "invalid_request"),
        ([("code_challenge_method", "")], "invalid_request"),
        ([("code_challenge_method", "s256")], "invalid_request"),
        ([("code_challenge_method", "S512")], "invalid_request"),
        ([("code_challenge", "short")], "invalid_request"),
        ([("code_challenge", long.as_str())], "invalid_request"),
        ([("code_challenge", padded.as_str())], "invalid_request"),
        ([("scope", "admin")], "invalid_scope"),
        ([("scope", "search:read admin")], "invalid_scope"),
        ([("resource", "/mcp")], "invalid_target"),
        ([("resource", "https://callslip.example/mcp#x")], "invalid_target"),
        ([("resource", "https://evil.example/mcp")], "invalid_target"),
        ([("resource", "https://callslip.example.evil.example/mcp")], "invalid_target"),
        ([("response_mode", "fragment")], "invalid_request"),
        ([("request", "eyJ")], "request_not_supported"),
        ([("request_uri", "https://evil.example/x")], "request_uri_not_supported"),
    ] {
        for assistant in [&public, &confidential] {
            let answer = assistant.authorize(&mut browser, &changes).await;
            assert_eq!(answer.status, 303, "{changes:?}");
            assert!(answer.location().starts_with("https://assistant.example/cb?"), "{changes:?}");
            assert_eq!(answer.returned("error"), [error], "{changes:?}");
            assert_eq!(answer.returned("state"), ["af0ifjsldkj"], "{changes:?}");
            assert_eq!(answer.returned("iss"), [ORIGIN], "{changes:?}");
            assert!(answer.returned("code").is_empty(), "{changes:?}");
        }
    }
    for name in ["scope", "state", "resource", "code_challenge", "unknown"] {
        let url = public.authorization_url(&[(name, "x")]);
        let answer = browser.get(&format!("{url}&{name}=x")).await;
        assert_eq!(answer.returned("error"), ["invalid_request"], "{name}");
        assert_eq!(answer.returned("iss"), [ORIGIN], "{name}");
    }
    assert_eq!(app.count("oauth_authorization_requests").await, 0);
}

/// What is empty is absent, and what is unknown is ignored.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_is_unknown_is_ignored(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let assistant = app.assistant().await;
    let url = assistant.authorization_url(&[("prompt", "consent"), ("access_type", "offline")]);
    let answer = app.browser().get(&format!("{url}&nonce=&audience=x&request=")).await;
    assert!(answer.location().starts_with("/oauth/consent"), "{:?}", answer.location());
}

/// Without `resource` the token is for the installation's own; a tenant that the user does
/// not belong to and one that does not exist are refused alike.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_resource_decides_the_audience(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.member("acme", "ada", Role::Reader).await;
    app.member("zenith", "zoe", Role::Reader).await;
    let assistant = app.assistant().await;
    let mut browser = ada.sign_in().await;
    for (resource, audience) in [
        ("", "https://callslip.example/mcp"),
        ("https://callslip.example", "https://callslip.example/mcp"),
        ("https://callslip.example/", "https://callslip.example/mcp"),
        ("https://CALLSLIP.example/sse/", "https://callslip.example/mcp"),
        ("https://callslip.example/t/acme/mcp", "https://callslip.example/t/acme/mcp"),
        ("https://callslip.example/t/acme/sse/", "https://callslip.example/t/acme/mcp"),
    ] {
        let tokens = assistant.tokens(&mut browser, &[("resource", resource)]).await;
        let token = tokens["access_token"].as_str().unwrap();
        assert_eq!(app.app.oauth.verifier().verify(token).await.unwrap().aud, audience);
    }
    let mut refusals = Vec::new();
    for tenant in ["zenith", "nowhere"] {
        let resource = format!("{ORIGIN}/t/{tenant}/mcp");
        let sent = assistant.authorize(&mut browser, &[("resource", &resource)]).await;
        // A page of ours: after a sign-in, Chromium would block the way to the client.
        let answer = browser.get(sent.location()).await;
        assert_eq!((answer.status.as_u16(), answer.location()), (403, ""));
        let back = answer.attribute("main a", "href").concat();
        let link = url::Url::parse(&back).unwrap();
        assert!(back.starts_with("https://assistant.example/cb?"), "{back}");
        for pair in [("error", "invalid_target"), ("state", "af0ifjsldkj"), ("iss", ORIGIN)] {
            assert!(link.query_pairs().any(|(n, v)| (&*n, &*v) == pair), "{pair:?} in {back}");
        }
        refusals.push((answer.select("main"), back));
    }
    assert_eq!(refusals[0], refusals[1]);
}

/// Who is signed in with the wrong account goes on with another one, and loses nothing.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn another_account_can_answer(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let zoe = app.member("zenith", "zoe", Role::Reader).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant().await;
    let resource = format!("{ORIGIN}/t/zenith/mcp");
    let sent = assistant.authorize(&mut browser, &[("resource", &resource)]).await;
    let page = browser.get(sent.location()).await;
    let form = "main form[action='/sign-out'] input[name=return_to]";
    let return_to = page.attribute(form, "value").concat();
    let fields = [("csrf_token", page.csrf_token()), ("return_to", return_to)];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let signed_out = browser.post("/sign-out", &fields).await;
    assert!(browser.session().is_none());
    let sign_in = browser.get(signed_out.location()).await;
    let return_to = sign_in.attribute("input[name=return_to]", "value").concat();
    let answer = browser.sign_in(&zoe.user.email, crate::support::PASSWORD, &return_to).await;
    let page = browser.get(answer.location()).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(page.text().contains("The zenith company"));
}

/// More than the client registered is reduced, and never more is granted.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn scope_is_reduced_to_what_was_registered(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let narrow = app.assistant_with(&json!({"scope": "search:read"})).await;
    let both = [("scope", "search:read offline_access")];
    assert_eq!(narrow.tokens(&mut browser, &both).await["scope"], "search:read");
    // Registered without a scope, a client may ask for any.
    let free = app.assistant().await;
    assert_eq!(free.tokens(&mut browser, &both).await["scope"], "search:read offline_access");
    assert_eq!(free.tokens(&mut browser, &[("scope", "")]).await["scope"], "search:read");
    let refused = narrow.authorize(&mut browser, &[("scope", "offline_access")]).await;
    assert_eq!(refused.returned("error"), ["invalid_scope"]);
}

/// The state comes back as it went, whatever is in it.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_state_is_verbatim(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant().await;
    for state in ["a b+c%20&d=e", "\r\nLocation: https://evil.example", "😀\"<script>", "eyJ=="] {
        let answer = assistant.approved(&mut browser, &[("state", state)]).await;
        assert_eq!(answer.status, 303);
        assert_eq!(answer.returned("state"), [state]);
        assert_eq!(answer.returned("code").len(), 1);
        assert_eq!(answer.returned("iss"), [ORIGIN]);
    }
    let without = assistant.approved(&mut browser, &[("state", "")]).await;
    assert!(without.returned("state").is_empty());
}

/// Every step redirects by 303, is not stored and leaks no address.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn every_page_of_the_flow_is_kept_from_caches_and_referrers(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.member("acme", "ada", Role::Reader).await;
    let assistant = app.assistant().await;
    let mut browser = ada.sign_in().await;
    let sent = assistant.authorize(&mut browser, &[]).await;
    let page = browser.get(sent.location()).await;
    let approved = browser.consent(sent.location(), &[("decision", "approve")]).await;
    let refused = assistant.authorize(&mut browser, &[("scope", "x")]).await;
    let unknown = assistant.authorize(&mut browser, &[("client_id", "x")]).await;
    let stranger = app.browser().get(sent.location()).await;
    for answer in [&sent, &approved, &refused, &stranger] {
        assert_eq!(answer.status, 303);
    }
    for answer in [&sent, &page, &approved, &refused, &unknown, &stranger] {
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
    }
    for (selector, attribute) in [("[src]", "src"), ("link", "href")] {
        for place in page.attribute(selector, attribute) {
            assert!(place.starts_with('/') && !place.starts_with("//"), "{place}");
        }
    }
}

/// A code is 256 random bits, kept as a hash, and ends after a minute.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_code_is_random_hashed_and_short_lived(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant().await;
    let code = assistant.code(&mut browser, &[]).await;
    let other = assistant.code(&mut browser, &[]).await;
    assert_eq!(code.len(), "csl_ac_".len() + 43 + 6);
    assert_ne!(code, other);
    let stored: String = sqlx::query_scalar(
        "select string_agg(to_jsonb(codes)::text, '') from oauth_authorization_codes codes",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert!(!stored.contains(&code[7..27]), "the code is stored in clear");
    app.clock.advance(Duration::seconds(59));
    assert_eq!(assistant.exchange(&code, &[]).await.status, 200);
    app.clock.advance(Duration::seconds(2));
    let late = assistant.exchange(&other, &[]).await;
    assert_eq!((late.status.as_u16(), &late.json()["error"]), (400, &"invalid_grant".into()));
}
