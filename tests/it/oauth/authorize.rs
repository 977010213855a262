//! The authorization endpoint.

use callslip::tenants::Role;
use serde_json::json;
use sqlx::PgPool;
use time::Duration;

use crate::support::{ORIGIN, PASSWORD, TestApp};

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

/// Two tabs of one client, answered crosswise: each gets what it asked for.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn two_tabs_do_not_disturb_each_other(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant().await;
    let tenant = format!("{ORIGIN}/t/acme/mcp");
    let first = [("state", "first"), ("resource", tenant.as_str())];
    let first = assistant.authorize(&mut browser, &first).await;
    let second = [("state", "second"), ("scope", "search:read offline_access")];
    let second = assistant.authorize(&mut browser, &second).await;
    let pages = [browser.get(first.location()).await, browser.get(second.location()).await];
    for (n, sent, state) in [(1, &second, "second"), (0, &first, "first")] {
        let mut fields = pages[n].form_fields();
        fields.push(("decision".to_owned(), "approve".to_owned()));
        let fields: Vec<(&str, &str)> =
            fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let approved = browser.post(sent.location(), &fields).await;
        assert_eq!(approved.returned("state"), [state]);
        let code = approved.returned("code").concat();
        let tokens = assistant.exchange(&code, &[("resource", "")]).await.json();
        let access_token = tokens["access_token"].as_str().unwrap();
        let claims = app.app.oauth.verifier().verify(access_token).await.unwrap();
        let (resource, scope) = match state {
            "first" => (tenant.clone(), "search:read"),
            _ => (format!("{ORIGIN}/mcp"), "search:read offline_access"),
        };
        assert_eq!((claims.aud.clone(), tokens["scope"].as_str()), (resource, Some(scope)));
        assert!(app.accepts(access_token).await);
    }
}

/// Who has to sign in on the way, with a wrong password first, ends at the same request.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_request_survives_the_sign_in(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.member("acme", "ada", Role::Reader).await;
    ada.join("borealis", Role::Reader).await;
    let assistant = app.assistant().await;
    let mut browser = app.browser();
    let resource = format!("{ORIGIN}/t/borealis/mcp");
    let changes = [("resource", resource.as_str()), ("state", "kept"), ("prompt", "login")];
    let sent = assistant.authorize(&mut browser, &changes).await;
    let to_sign_in = browser.get(sent.location()).await;
    let page = browser.get(to_sign_in.location()).await;
    let return_to = page
        .attribute("form[method=post][action='/sign-in'] input[name=return_to]", "value")
        .concat();
    let wrong = browser.sign_in(&ada.user.email, "not the password", &return_to).await;
    let return_to = wrong
        .attribute("form[method=post][action='/sign-in'] input[name=return_to]", "value")
        .concat();
    let answer = browser.sign_in(&ada.user.email, PASSWORD, &return_to).await;
    let approved = browser.consent(answer.location(), &[("decision", "approve")]).await;
    assert_eq!(approved.returned("state"), ["kept"]);
    assert_eq!(approved.returned("iss"), [ORIGIN]);
    let code = approved.returned("code").concat();
    let tokens = assistant.exchange(&code, &[("resource", &resource)]).await.json();
    let access_token = tokens["access_token"].as_str().unwrap();
    let claims = app.app.oauth.verifier().verify(access_token).await.unwrap();
    assert_eq!((claims.aud.as_str(), claims.iss.as_str()), (resource.as_str(), ORIGIN));
}

/// The secret that a flow is bound to lives a day from its beginning, however old it was by then.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_flow_begins_with_a_day_ahead(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let assistant = app.assistant().await;
    let mut browser = app.browser();
    browser.get("/sign-in").await;
    let secret = browser.cookies.clone();
    let sent = assistant.authorize(&mut browser, &[]).await;
    let cookie = sent.header("set-cookie");
    assert!(cookie.starts_with("__Host-browser=") && cookie.contains("Max-Age=86400"), "{cookie}");
    assert_eq!(browser.cookies, secret, "it is the same one");
    assert_eq!(browser.get("/sign-in").await.header("set-cookie"), "");
}

/// What is empty is absent, and what is unknown is ignored.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_is_unknown_is_ignored(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let assistant = app.assistant().await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    for prompt in ["consent", "login", "select_account", "login consent"] {
        let url = assistant.authorization_url(&[("prompt", prompt), ("access_type", "offline")]);
        let sent = browser.get(&format!("{url}&nonce=&audience=x&request=")).await;
        let page = browser.get(sent.location()).await;
        assert!(!page.select("button[value=approve]").is_empty(), "{prompt}");
    }
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
        let back = answer.link_back();
        assert!(back.starts_with("https://assistant.example/cb?"), "{back}");
        for (name, value) in
            [("error", "invalid_target"), ("state", "af0ifjsldkj"), ("iss", ORIGIN)]
        {
            assert_eq!(answer.told(name), [value], "{back}");
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
    let return_to = sign_in
        .attribute("form[method=post][action='/sign-in'] input[name=return_to]", "value")
        .concat();
    let answer = browser.sign_in(&zoe.user.email, PASSWORD, &return_to).await;
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
    let refused = narrow.refused(&mut browser, &[("scope", "offline_access")]).await;
    assert_eq!(refused.told("error"), ["invalid_scope"]);
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
    let refused = assistant.refused(&mut browser, &[("scope", "x")]).await;
    let unknown = assistant.authorize(&mut browser, &[("client_id", "x")]).await;
    let stranger = app.browser().get(sent.location()).await;
    for answer in [&sent, &approved, &stranger] {
        assert_eq!(answer.status, 303);
    }
    for answer in [&sent, &page, &approved, &refused, &unknown, &stranger] {
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
    }
    for (selector, attribute) in [("[src]", "src"), ("link", "href")] {
        let places = [&page, &refused].map(|page| page.attribute(selector, attribute));
        for place in places.concat() {
            assert!(place.starts_with('/') && !place.starts_with("//"), "{place}");
        }
    }
}

/// A code is 256 random bits, kept as a hash, and ends after a minute, or sooner with the
/// session that it was given in; one that was spent by then is still known.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_code_is_random_hashed_and_short_lived(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let person = app.member("acme", "ada", Role::Reader).await;
    let mut browser = person.sign_in().await;
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

    let mut elsewhere = person.sign_in().await;
    let [spent, waiting] =
        [assistant.code(&mut browser, &[]).await, assistant.code(&mut browser, &[]).await];
    let kept = assistant.code(&mut elsewhere, &[]).await;
    let bought = assistant.exchange(&spent, &[]).await.json();
    let token = browser.get("/account").await.csrf_token();
    assert_eq!(browser.sign_out(&token).await.status, 303);
    let orphan = assistant.exchange(&waiting, &[]).await;
    assert_eq!((orphan.status.as_u16(), &orphan.json()["error"]), (400, &"invalid_grant".into()));
    assert_eq!(assistant.exchange(&kept, &[]).await.status, 200, "of another session");
    assert_eq!(assistant.exchange(&spent, &[]).await.status, 400);
    let refreshed = assistant.refresh(bought["refresh_token"].as_str().unwrap(), &[]).await;
    assert_eq!(
        refreshed.status, 400,
        "a spent code that comes back ends its grant, signed out or not"
    );
}
