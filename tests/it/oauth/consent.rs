//! The consent page and its answer.

use axum::{body::Body, extract::Request, http::header};
use callslip::tenants::Role;
use serde_json::json;
use sqlx::PgPool;
use time::Duration;

use crate::support::{CHATGPT, ORIGIN, TestApp};

/// [C-01] Consent is asked every time, also right after it was given.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn consent_is_asked_every_time(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant().await;
    for _ in 0..2 {
        assistant.tokens(&mut browser, &[]).await;
        let sent = assistant.authorize(&mut browser, &[]).await;
        let page = browser.get(sent.location()).await;
        assert_eq!(page.status, 200);
        assert!(!page.select("button[value=approve]").is_empty());
    }
}

/// [C-02] The page says who asks, where the answer goes, for what, as whom, for how long.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_page_says_who_asks_for_what(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    app.store("acme", "Library").await;
    app.store("acme", "Archive").await;
    let name = "Reader <b>&amp;";
    let assistant = app.assistant_with(&json!({"client_name": name})).await;
    let sent = assistant.authorize(&mut browser, &[("scope", "search:read offline_access")]).await;
    let page = browser.get(sent.location()).await;
    let text = page.select("main").join(" ");
    for wanted in [
        name,
        "not verified",
        "assistant.example",
        "ada@acme.example",
        "The acme company",
        "Library",
        "Archive",
        "Search and read",
        "Stay connected",
        "90 days",
    ] {
        assert!(text.contains(wanted), "{wanted} in {text}");
    }
    assert!(!text.contains("on this device"));
    assert_eq!(page.attribute("input[name=store][checked]", "value").len(), 2, "all are ticked");
    // A program on the device is pointed out.
    let local = app
        .assistant_with(&json!({"client_name": "Claude", "redirect_uris": ["http://127.0.0.1/cb"]}))
        .await;
    let sent = local.authorize(&mut browser, &[("redirect_uri", "http://127.0.0.1:1/cb")]).await;
    assert!(browser.get(sent.location()).await.text().contains("any program that runs here"));
    let own = app.assistant_with(&json!({"redirect_uris": ["reader.app:/cb"]})).await;
    let sent = own.authorize(&mut browser, &[]).await;
    let text = browser.get(sent.location()).await.select("main").concat();
    assert!(text.contains("whichever app on this device opens reader.app: links"), "{text}");
}

/// [C-02] Of an app that a document describes, the page names the document's host; only at the hosts
/// of well-known assistants is the name true.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_page_says_where_an_app_is_described(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    for (client_id, name, host, is_verified) in [
        (CHATGPT, "ChatGPT", "chatgpt.com", true),
        ("https://evil.example/chatgpt.com/client.json", "ChatGPT", "evil.example", false),
    ] {
        let assistant = app.described(client_id, name, Duration::HOUR).await;
        let sent = assistant.authorize(&mut browser, &[]).await;
        let page = browser.get(sent.location()).await;
        let text = page.select("main").concat();
        assert!(text.contains(host), "{text}");
        assert_eq!(page.select(".badge-good"), vec!["Verified"; usize::from(is_verified)]);
        assert_eq!(text.contains("Name not verified"), !is_verified, "{text}");
        assert_eq!(text.contains("well-known app"), !is_verified, "{text}");
    }
}

/// [C-07] What a user consents to is what the page shows: a client that changes in between starts
/// again, and whoever consented to what it was before is asked anew.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_change_of_the_client_ends_consent(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant().await;
    let tokens = assistant.tokens(&mut browser, &[]).await;
    let access_token = tokens["access_token"].as_str().unwrap();
    assert!(app.accepts(access_token).await);
    let unspent = assistant.code(&mut browser, &[]).await;
    let sent = assistant.authorize(&mut browser, &[]).await;
    let mut fields = browser.get(sent.location()).await.form_fields();
    fields.push(("decision".to_owned(), "approve".to_owned()));
    let grants = app.count("oauth_grants").await;

    sqlx::query("update oauth_clients set version = version + 1, client_name = 'Another'")
        .execute(&pool)
        .await
        .unwrap();
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    for answer in [browser.post(sent.location(), &fields).await, browser.get(sent.location()).await]
    {
        assert_eq!((answer.status.as_u16(), answer.location()), (400, ""));
        assert!(answer.text().contains("changed its registration"), "{}", answer.text());
    }
    assert_eq!(app.count("oauth_grants").await, grants);
    assert!(!app.accepts(access_token).await, "the next call is refused");
    let refreshed = assistant.refresh(tokens["refresh_token"].as_str().unwrap(), &[]).await;
    assert_eq!(
        (refreshed.status.as_u16(), &refreshed.json()["error"]),
        (400, &"invalid_grant".into())
    );
    let late = assistant.exchange(&unspent, &[]).await;
    assert_eq!((late.status.as_u16(), &late.json()["error"]), (400, &"invalid_grant".into()));
    // Asked anew, the user may consent to what it is now.
    let renewed = assistant.tokens(&mut browser, &[]).await;
    assert!(app.accepts(renewed["access_token"].as_str().unwrap()).await);
}

/// [C-03] Without the form's token, with another session's, or from another site: 403, no code.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_forged_answer_is_refused(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut ada = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let mut bob = app.member("acme", "bob", Role::Reader).await.sign_in().await;
    let assistant = app.assistant().await;
    let sent = assistant.authorize(&mut ada, &[]).await;
    let page = ada.get(sent.location()).await;
    let fields = page.form_fields();
    let form = |token: &str| {
        let mut fields = fields.clone();
        fields.retain(|(name, _)| name != "csrf_token");
        if !token.is_empty() {
            fields.push(("csrf_token".to_owned(), token.to_owned()));
        }
        fields.push(("decision".to_owned(), "approve".to_owned()));
        fields
    };
    let foreign = assistant.authorize(&mut bob, &[]).await;
    let foreign = bob.get(foreign.location()).await.csrf_token();
    for token in ["", "AAAA", foreign.as_str()] {
        let fields = form(token);
        let fields: Vec<(&str, &str)> =
            fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(ada.post("/oauth/consent", &fields).await.status, 403, "{token}");
    }
    let right = form(&page.csrf_token());
    for (header, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("x-nothing", "no metadata at all"),
    ] {
        let body =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&right).finish();
        let request = Request::post("/oauth/consent")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header, value)
            .body(Body::from(body))
            .unwrap();
        assert_eq!(ada.send(request).await.status, 403, "{header}: {value}");
    }
    assert_eq!(app.count("oauth_authorization_codes").await, 0);
    assert_eq!(app.count("oauth_grants").await, 0);
}

/// [C-04] No page of the flow can be framed.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn no_page_can_be_framed(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant_with(&json!({"redirect_uris": ["cursor://cb/x"]})).await;
    let sent = assistant.authorize(&mut browser, &[]).await;
    let consent = browser.get(sent.location()).await;
    let sign_in = app.get("/sign-in").await;
    let refused = assistant.authorize(&mut browser, &[("client_id", "x")]).await;
    for answer in [&sent, &consent, &sign_in, &refused] {
        assert!(
            answer.header("content-security-policy").contains("frame-ancestors 'none'"),
            "{answer:?}"
        );
        assert_eq!(answer.header("x-frame-options"), "DENY");
    }
    // The way to the client is open on this page alone (Chromium applies it to redirects).
    let policy = consent.header("content-security-policy");
    assert!(
        policy.contains("form-action 'self' https: http://127.0.0.1:* http://localhost:* cursor:;"),
        "{policy}"
    );
    assert!(sign_in.header("content-security-policy").contains("form-action 'self';"));
}

/// [C-05] However often the form is sent, there is one code.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_double_submit_makes_one_code(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant().await;
    let sent = assistant.authorize(&mut browser, &[]).await;
    let page = browser.get(sent.location()).await;
    // In the browser already: an impatient second click does not take the place of the first.
    assert_eq!(page.select("form[data-once] button[name=decision]").len(), 2);
    let mut fields = page.form_fields();
    fields.push(("decision".to_owned(), "approve".to_owned()));
    let mut race = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (mut browser, fields) = (browser.clone(), fields.clone());
        race.spawn(async move {
            let fields: Vec<(&str, &str)> =
                fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            browser.post("/oauth/consent", &fields).await
        });
    }
    let answers = race.join_all().await;
    let sent_on = answers.iter().filter(|answer| answer.status == 303).count();
    assert_eq!(sent_on, 1, "{:?}", answers.iter().map(|a| a.status).collect::<Vec<_>>());
    assert!(answers.iter().all(|answer| answer.status == 303 || answer.status == 400));
    assert_eq!(app.count("oauth_authorization_codes").await, 1);
    assert_eq!(app.count("oauth_grants").await, 1);
    let again = browser.get(sent.location()).await;
    assert_eq!(again.status, 400);
    assert!(again.text().contains("answered this request already"), "{}", again.text());
}

/// Denied is told to the client, and nothing is left behind.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_denial_is_told_to_the_client(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant().await;
    let sent = assistant.authorize(&mut browser, &[]).await;
    let answer = browser.consent(sent.location(), &[("decision", "deny")]).await;
    assert_eq!(answer.status, 303);
    assert_eq!(answer.returned("error"), ["access_denied"]);
    assert_eq!(answer.returned("state"), ["af0ifjsldkj"]);
    assert_eq!(answer.returned("iss"), [ORIGIN]);
    assert_eq!(app.count("oauth_grants").await, 0);
    let again = browser.get(sent.location()).await;
    assert_eq!(again.status, 400);
}

/// A request goes on only in the browser that began it, whoever has signed in there.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_request_stays_in_its_browser(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.member("acme", "ada", Role::Reader).await;
    let assistant = app.assistant().await;
    let mut mine = ada.sign_in().await;
    let mut other = ada.sign_in().await;
    let sent = assistant.authorize(&mut mine, &[]).await;
    let seen = other.get(sent.location()).await;
    assert_eq!(seen.status, 403);
    let fields = mine.get(sent.location()).await.form_fields();
    let own = assistant.authorize(&mut other, &[]).await;
    let token = other.get(own.location()).await.csrf_token();
    let mut fields: Vec<(&str, &str)> = fields
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .filter(|(name, _)| *name != "csrf_token")
        .collect();
    fields.extend([("csrf_token", token.as_str()), ("decision", "approve")]);
    assert_eq!(other.post("/oauth/consent", &fields).await.status, 403);
    assert_eq!(app.count("oauth_authorization_codes").await, 0);
}

/// What the request asked for is kept by the server: nothing that the browser adds to the
/// consent page's address or form changes it.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_browser_cannot_change_the_request(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant().await;
    let sent = assistant.authorize(&mut browser, &[]).await;
    let path = format!(
        "{}&redirect_uri=https://evil.example/&scope=offline_access&client_id=x&state=changed",
        sent.location()
    );
    let changes = [
        ("decision", "approve"),
        ("redirect_uri", "https://evil.example/"),
        ("scope", "search:read offline_access"),
        ("resource", "https://evil.example/mcp"),
        ("client_id", "x"),
        ("state", "changed"),
        ("code_challenge", "x"),
    ];
    let answer = browser.consent(&path, &changes).await;
    assert!(answer.location().starts_with("https://assistant.example/cb?"));
    assert_eq!(answer.returned("state"), ["af0ifjsldkj"]);
    let tokens = assistant.exchange(&answer.returned("code")[0], &[]).await.json();
    assert_eq!(tokens["scope"], "search:read");
}

/// [C-09] Who belongs to two tenants picks one; the token carries it, and nothing later moves it.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_chosen_tenant_is_in_the_token(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.member("acme", "ada", Role::Reader).await;
    ada.join("borealis", Role::Admin).await;
    app.member("zenith", "zoe", Role::Reader).await;
    let (acme_store, borealis_store) =
        (app.store("acme", "A").await, app.store("borealis", "B").await);
    let zenith_store = app.store("zenith", "Z").await;
    let (acme, borealis) = (app.tenant("acme").await.id, app.tenant("borealis").await.id);
    let zenith = app.tenant("zenith").await.id.to_string();
    let assistant = app.assistant().await;
    let mut browser = ada.sign_in().await;
    for (tenant, store) in [(acme, acme_store), (borealis, borealis_store)] {
        let sent = assistant.authorize(&mut browser, &[]).await;
        let page = browser.get(sent.location()).await;
        assert_eq!(page.attribute("input[name=tenant]", "value").len(), 2);
        let id = tenant.to_string();
        // Every store stays ticked: only those of the chosen tenant count.
        let answer =
            browser.consent(sent.location(), &[("tenant", &id), ("decision", "approve")]).await;
        let code = answer.returned("code").pop().unwrap();
        let other = if tenant == acme { borealis } else { acme }.to_string();
        let tokens = assistant.exchange(&code, &[("tenant", &other)]).await.json();
        let refreshed = assistant
            .refresh(tokens["refresh_token"].as_str().unwrap(), &[("tenant", &other)])
            .await
            .json();
        for tokens in [tokens, refreshed] {
            let claims = app
                .app
                .oauth
                .verifier()
                .verify(tokens["access_token"].as_str().unwrap())
                .await
                .unwrap();
            assert_eq!(claims.tenant, tenant);
            let alive = app.app.oauth.liveness().check(&claims).await.unwrap().unwrap();
            assert_eq!(alive.vector_stores, [store]);
        }
    }
    // A tenant or a store of others cannot be picked.
    let sent = assistant.authorize(&mut browser, &[]).await;
    let foreign =
        browser.consent(sent.location(), &[("tenant", &zenith), ("decision", "approve")]).await;
    assert_eq!(foreign.status, 403);
    let (id, store) = (acme.to_string(), zenith_store.to_string());
    let changes = [("tenant", id.as_str()), ("store", &store), ("decision", "approve")];
    let foreign = browser.consent(sent.location(), &changes).await;
    assert_eq!(foreign.status, 200, "asked again");
    assert!(foreign.text().contains("at least one"), "{}", foreign.text());
    // A resource that names the tenant leaves nothing to pick.
    let named = [("resource", "https://callslip.example/t/borealis/mcp")];
    let sent = assistant.authorize(&mut browser, &named).await;
    let page = browser.get(sent.location()).await;
    assert_eq!(page.attribute("input[name=tenant]", "value"), [borealis.to_string()]);
    let changes = [("tenant", id.as_str()), ("decision", "approve")];
    assert_eq!(browser.consent(sent.location(), &changes).await.status, 403);
}

/// A form that comes back is as it was sent: nothing is ticked that the user had not ticked.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_form_that_comes_back_grants_no_more(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.member("acme", "ada", Role::Reader).await;
    ada.join("borealis", Role::Reader).await;
    let foreign = app.store("acme", "A").await.to_string();
    app.store("borealis", "B").await;
    let borealis = app.tenant("borealis").await.id.to_string();
    let assistant = app.assistant().await;
    let mut browser = ada.sign_in().await;
    let sent = assistant.authorize(&mut browser, &[]).await;
    for (store, ticked) in [("", Vec::new()), (foreign.as_str(), vec![foreign.clone()])] {
        let changes = [("tenant", borealis.as_str()), ("store", store), ("decision", "approve")];
        let again = browser.consent(sent.location(), &changes).await;
        assert!(again.text().contains("at least one"), "{}", again.text());
        assert_eq!(again.attribute("input[name=tenant][checked]", "value"), [borealis.as_str()]);
        assert_eq!(again.attribute("input[name=store][checked]", "value"), ticked);
    }
    assert_eq!(app.count("oauth_grants").await, 0);
}

/// A session that ends while the page is open costs a sign-in, not the request.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_session_that_ends_meanwhile_leads_back_to_the_page(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.member("acme", "ada", Role::Reader).await;
    let mut browser = ada.sign_in().await;
    let sent = app.assistant().await.authorize(&mut browser, &[]).await;
    let page = browser.get(sent.location()).await;
    let action = page.attribute("form.slip", "action").concat();
    let mut fields = page.form_fields();
    fields.push(("decision".to_owned(), "approve".to_owned()));
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    browser.cookies.remove("__Host-sid");
    let to_sign_in = browser.post(&action, &fields).await;
    let sign_in = browser.get(to_sign_in.location()).await;
    let return_to = sign_in
        .attribute("form[method=post][action='/sign-in'] input[name=return_to]", "value")
        .concat();
    assert_eq!(return_to, sent.location());
    let answer = browser.sign_in(&ada.user.email, crate::support::PASSWORD, &return_to).await;
    assert_eq!(browser.get(answer.location()).await.status, 200);
}
