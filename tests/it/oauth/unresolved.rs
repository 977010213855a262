//! Clients that a document describes which is not at hand.

use std::{
    io,
    sync::{Arc, Mutex},
};

use callslip::{
    app,
    outbound::{Lookup, Outbound, Policy},
    tenants::Role,
};
use serde_json::json;
use sqlx::PgPool;
use time::Duration;

use crate::support::{Assistant, ORIGIN, PASSWORD, TestApp, document_host::DocumentHost};

const CLIENT_ID: &str = "https://assistant.example/oauth/client.json";

/// An application whose network is down, and every name that it has looked up.
async fn alone(pool: &PgPool) -> (TestApp, Arc<Mutex<Vec<String>>>) {
    let mut app = TestApp::new(pool).await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let names = Arc::clone(&seen);
    let lookup: Lookup = Arc::new(move |host| {
        names.lock().unwrap().push(host);
        Box::pin(async { Err(io::Error::other("no network")) })
    });
    app.parts.outbound = Outbound::with_lookup(Policy::default(), &lookup);
    app.app = app::build(app.parts.clone()).await.unwrap();
    (app, seen)
}

fn unread(app: &TestApp) -> Assistant {
    Assistant {
        app: app.clone(),
        client_id: CLIENT_ID.to_owned(),
        client_secret: None,
        method: "none".to_owned(),
        redirect_uri: "https://assistant.example/cb".to_owned(),
    }
}

/// A stranger's browser makes us fetch nothing, however many addresses it names; who has signed in
/// does, and reads what is wrong with the document.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_stranger_makes_us_fetch_nothing(pool: PgPool) {
    let (app, seen) = alone(&pool).await;
    let ada = app.member("acme", "ada", Role::Reader).await;
    let assistant = unread(&app);
    let mut browser = app.browser();
    for n in 0..20 {
        let client_id = format!("https://host-{n}.example/client.json");
        let sent = assistant.authorize(&mut browser, &[("client_id", &client_id)]).await;
        let to_sign_in = browser.get(sent.location()).await;
        assert!(to_sign_in.location().starts_with("/sign-in?"), "{}", to_sign_in.text());
    }
    let sent = assistant.authorize(&mut browser, &[]).await;
    assert!(seen.lock().unwrap().is_empty(), "looked up for a stranger");
    browser.sign_in(&ada.user.email, PASSWORD, "/").await;
    let page = browser.get(sent.location()).await;
    assert_eq!((page.status.as_u16(), page.location()), (400, ""));
    let text = page.select("main").concat();
    assert!(text.contains(CLIENT_ID) && text.contains("could not be read"), "{text}");
    assert_eq!(*seen.lock().unwrap(), ["assistant.example"]);
    // What is no address of a document is an unknown client, and nothing waits for it.
    let before = app.count("oauth_unresolved_requests").await;
    for bad in ["https://assistant.example", "http://assistant.example/client.json"] {
        let answer = assistant.authorize(&mut browser, &[("client_id", bad)]).await;
        assert_eq!((answer.status.as_u16(), answer.location()), (400, ""), "{bad}");
    }
    assert_eq!(app.count("oauth_unresolved_requests").await, before);
    // Another browser has no part in it.
    assert_eq!(ada.sign_in().await.get(sent.location()).await.status, 403);
}

/// The document is read when its user has signed in, for the request that waited; what it says
/// counts, and where nothing is usable in it, the page says so and the next try is free.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_document_is_read_for_who_has_signed_in(pool: PgPool) {
    let host = DocumentHost::start(&["assistant.example"]).await;
    let mut app = TestApp::new(&pool).await;
    app.parts.outbound = host.outbound();
    app.app = app::build(app.parts.clone()).await.unwrap();
    let assistant = unread(&app);
    let mut document = json!({
        "client_id": CLIENT_ID,
        "client_name": "Assistant of the document",
        "redirect_uris": ["https://assistant.example/cb"],
        "token_endpoint_auth_method": "client_secret_basic",
    });
    host.put(&document);
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let sent = assistant.authorize(&mut browser, &[]).await;
    assert_eq!(host.asked_for(CLIENT_ID), 0);
    let page = browser.get(sent.location()).await;
    assert_eq!(page.status, 400);
    assert!(page.select("main").concat().contains("client secret"), "{}", page.text());
    document["token_endpoint_auth_method"] = "none".into();
    host.put(&document);
    app.clock.advance(Duration::minutes(2));
    let page = browser.get(sent.location()).await;
    let text = page.select("main").concat();
    assert!(text.contains("Assistant of the document"), "{text}");
    assert!(text.contains("It chose this name itself, at assistant.example"), "{text}");
    let approved = browser.consent(sent.location(), &[("decision", "approve")]).await;
    let tokens = assistant.exchange(&approved.returned("code").concat(), &[]).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    assert_eq!(host.asked_for(CLIENT_ID), 2);
}

/// Once the client is known, the request goes on as it came: every parameter, checked as any other,
/// and in two tabs at once.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_request_goes_on_once_the_client_is_known(pool: PgPool) {
    let (app, seen) = alone(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    // Read once, and to be read again; its host is silent, so the copy serves on.
    let assistant = app.described(CLIENT_ID, "Assistant", Duration::ZERO).await;
    let resource = format!("{ORIGIN}/t/acme/mcp");
    let changes = [("resource", resource.as_str()), ("state", "kept")];
    let sent = assistant.authorize(&mut browser, &changes).await;
    assert_eq!(app.count("oauth_unresolved_requests").await, 1);
    let mut tabs = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (mut tab, path) = (browser.clone(), sent.location().to_owned());
        tabs.spawn(async move { tab.get(&path).await });
    }
    for page in tabs.join_all().await {
        assert_eq!(page.status, 200, "{}", page.text());
    }
    assert_eq!(seen.lock().unwrap().len(), 1, "read once for everybody");
    assert_eq!(app.count("oauth_unresolved_requests").await, 0);
    assert_eq!(app.count("oauth_authorization_requests").await, 1);
    let approved = browser.consent(sent.location(), &[("decision", "approve")]).await;
    assert_eq!(approved.returned("state"), ["kept"]);
    let code = approved.returned("code").concat();
    let tokens = assistant.exchange(&code, &[("resource", &resource)]).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());

    let refused = assistant.refused(&mut browser, &[("scope", "admin")]).await;
    assert_eq!(refused.told("error"), ["invalid_scope"]);
    let sent =
        assistant.authorize(&mut browser, &[("redirect_uri", "https://evil.example/")]).await;
    let page = browser.get(sent.location()).await;
    assert_eq!((page.status.as_u16(), page.location()), (400, ""));
    assert!(page.text().contains("has not registered"), "{}", page.text());
    // Time is up for it as for any other.
    let sent = assistant.authorize(&mut browser, &[]).await;
    app.clock.advance(Duration::minutes(61));
    assert_eq!(browser.get(sent.location()).await.status, 400);
}

/// A client that a document describes can push: the copy at hand serves.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_described_client_can_push(pool: PgPool) {
    let (app, seen) = alone(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let usual = [
        ("response_type", "code"),
        ("redirect_uri", "https://assistant.example/cb"),
        ("code_challenge", crate::support::CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let unknown = unread(&app).call("/oauth/par", &usual, &[]).await;
    assert_eq!(unknown.json()["error"], "invalid_client");
    assert!(unknown.text().contains("could not be read"), "{}", unknown.text());
    assert_eq!(seen.lock().unwrap().len(), 1);
    let assistant = app.described(CLIENT_ID, "Assistant", Duration::ZERO).await;
    let pushed = assistant.call("/oauth/par", &usual, &[]).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("client_id", CLIENT_ID)
        .append_pair("request_uri", pushed.json()["request_uri"].as_str().unwrap())
        .finish();
    let sent = browser.get(&format!("/oauth/authorize?{query}")).await;
    assert_eq!(browser.get(sent.location()).await.status, 200);
}
