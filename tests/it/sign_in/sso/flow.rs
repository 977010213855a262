//! The way there and back.

use callslip::tenants::Role;
use serde_json::json;
use sqlx::PgPool;
use time::Duration;
use tokio::task::JoinSet;

use super::{Scene, ada};
use crate::support::{ORIGIN, PASSWORD, provider::CLIENT};

/// From an assistant's request, by either way of signing in, to consent, which is asked for
/// each time, and on to a token: `iss` and resource are those of the request.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_assistant_is_connected_by_either_way_in(pool: PgPool) {
    let scene = Scene::set(&pool).await;
    scene.app.member("acme", "ada", Role::Reader).await;
    scene.app.store("acme", "Handbook").await;
    let assistant = scene.app.assistant().await;
    let resource = format!("{ORIGIN}/t/acme/mcp");
    for through_provider in [false, true] {
        let mut browser = scene.app.browser();
        let sent = assistant.authorize(&mut browser, &[("resource", &resource)]).await;
        let consent = sent.location().to_owned();
        assert!(consent.starts_with("/oauth/consent?"), "{consent}");
        let turned = browser.get(&consent).await;
        assert!(turned.location().starts_with("/sign-in?return_to="), "{}", turned.location());
        let page = browser.get(turned.location()).await;
        assert_eq!(page.select("form[method=get] label"), ["Or sign in with your organisation"]);

        let answer = if through_provider {
            let url = browser.begin("acme", &consent).await;
            let back = scene.provider.authorize(&scene.app, &url, ada());
            browser.get(&back).await
        } else {
            browser.sign_in("ada@acme.example", PASSWORD, &consent).await
        };
        assert_eq!((answer.status.as_u16(), answer.location()), (303, consent.as_str()));
        let allowed = browser.consent(&consent, &[("decision", "approve")]).await;
        assert_eq!(allowed.returned("iss"), [ORIGIN]);
        let code = allowed.returned("code").concat();
        let tokens = assistant.exchange(&code, &[("resource", &resource)]).await;
        assert_eq!(tokens.status, 200, "{}", tokens.text());
        let token = tokens.json()["access_token"].as_str().unwrap().to_owned();
        assert!(scene.app.accepts(&token).await);
        let claims = scene.app.app.oauth.verifier().verify(&token).await.unwrap();
        assert_eq!((claims.iss.as_str(), &claims.aud), (ORIGIN, &resource));

        // Signed in or not, nobody connects anything without our own question.
        let again = assistant.authorize(&mut browser, &[("resource", &resource)]).await;
        let page = browser.get(again.location()).await;
        assert_eq!(page.status, 200);
        assert!(!page.select("form[action^='/oauth/consent?'] button[value=approve]").is_empty());
    }
}

/// [C-10] A look at our page sets nothing; the user's own press of a button that names the host
/// does, for ten minutes, for this browser, once. A callback anywhere else is a 400.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn only_the_browser_that_began_can_come_back(pool: PgPool) {
    let scene = Scene::set(&pool).await;
    let app = &scene.app;
    app.member("acme", "ada", Role::Reader).await;
    let mut browser = app.browser();
    let page = browser.get("/sign-in?tenant=acme&return_to=/t/acme").await;
    assert_eq!(page.select("form[action='/sign-in/sso'] button"), ["Continue with 127.0.0.1"]);
    assert_eq!(
        page.header("content-security-policy").matches("form-action 'self' https:").count(),
        1
    );
    assert!(!browser.cookies.contains_key("__Host-sso"));
    for token in ["", "stolen"] {
        let fields = [("csrf_token", token), ("tenant", "acme")];
        assert_eq!(browser.post("/sign-in/sso", &fields).await.status, 403);
    }
    assert_eq!(browser.get("/sign-in/sso").await.status, 405);
    assert_eq!(app.count("sso_sign_ins").await, 0);

    let url = browser.begin("acme", "/t/acme").await;
    let asked = url::Url::parse(&url).unwrap();
    let asked = |name: &str| {
        asked.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    assert_eq!(asked("client_id").as_deref(), Some(CLIENT));
    let redirect_uri = format!("{ORIGIN}/sign-in/sso/callback/acme");
    assert_eq!(asked("redirect_uri").as_deref(), Some(redirect_uri.as_str()));
    assert!(asked("state").is_some_and(|state| state.len() > 40));
    assert!(asked("nonce").is_some_and(|nonce| nonce.len() == 43));
    assert!(asked("code_challenge").is_some_and(|challenge| challenge.len() == 43));
    assert!(browser.cookies.contains_key("__Host-sso"));

    let back = scene.provider.authorize(app, &url, ada());
    let mut others = [app.browser(), app.browser(), scene.owner.clone()];
    others[1].begin("acme", "/t/acme").await; // has a cookie, of its own sign-in
    for other in &mut others {
        let session = other.session().map(str::to_owned);
        let answer = other.get(&back).await;
        assert_eq!((answer.status.as_u16(), answer.location()), (400, ""));
        assert_eq!(other.session().map(str::to_owned), session);
    }
    for nonsense in ["", "?code=x", "?state=x&code=x", "?state=a&state=b&code=x"] {
        let answer = browser.get(&format!("/sign-in/sso/callback/acme{nonsense}")).await;
        assert_eq!(answer.status, 400, "{nonsense}");
    }
    assert_eq!(scene.provider.exchanges(), (0, 0));
    let old = browser.clone();
    let answer = browser.get(&back).await;
    assert_eq!((answer.status.as_u16(), answer.location()), (303, "/t/acme"), "{}", answer.text());
    assert!(browser.session().is_some() && !browser.cookies.contains_key("__Host-sso"));
    for mut replaying in [browser, old] {
        assert_eq!(replaying.get(&back).await.status, 400);
    }
    assert_eq!(scene.provider.exchanges(), (1, 1));

    let (mut late, url) = scene.begun().await;
    let back = scene.provider.authorize(app, &url, ada());
    app.clock.advance(Duration::minutes(10));
    assert_eq!(late.get(&back).await.status, 400);
    app.app.forget(app.db(), &app.clock).await.unwrap();
    assert_eq!(app.count("sso_sign_ins").await, 0);
}

/// The cookie, attribute by attribute; the flow's secrets are stored as hashes.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_a_browser_begins_with_is_its_own(pool: PgPool) {
    let scene = Scene::set(&pool).await;
    let mut browser = scene.app.browser();
    let token = browser.get("/sign-in?tenant=acme").await.csrf_token();
    let fields = [("csrf_token", token.as_str()), ("tenant", "acme")];
    let sent = browser.post("/sign-in/sso", &fields).await;
    let cookie = sent.header("set-cookie");
    assert!(cookie.starts_with("__Host-sso=csl_sb_"), "{cookie}");
    assert!(cookie.ends_with("; Path=/; HttpOnly; SameSite=Lax; Max-Age=600; Secure"), "{cookie}");
    let stored: String = sqlx::query_scalar("select string_agg(s::text, ' ') from sso_sign_ins s")
        .fetch_one(&pool)
        .await
        .unwrap();
    let sent = url::Url::parse(sent.location()).unwrap();
    for secret in ["state", "nonce"] {
        let (_, value) = sent.query_pairs().find(|(name, _)| name == secret).unwrap();
        assert!(!stored.contains(&*value), "{secret}");
    }
    assert!(!stored.contains(&browser.cookies["__Host-sso"]));
}

/// Of many who come back at once with one answer, over two nodes, one is signed in.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn of_many_racing_callbacks_one_wins(pool: PgPool) {
    let scene = Scene::set(&pool).await;
    scene.app.member("acme", "ada", Role::Reader).await;
    let twin = scene.app.twin().await;
    let (browser, url) = scene.begun().await;
    let back = scene.provider.authorize(&scene.app, &url, ada());
    let before = scene.app.count("sessions").await;
    let mut race = JoinSet::new();
    for n in 0..20 {
        let mut browser = browser.clone();
        browser.app = if n % 2 == 0 { scene.app.clone() } else { twin.clone() };
        let back = back.clone();
        race.spawn(async move { browser.get(&back).await.status.as_u16() });
    }
    let mut statuses = race.join_all().await;
    statuses.sort_unstable();
    assert_eq!(statuses.iter().filter(|status| **status == 303).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [303, 400].contains(status)), "{statuses:?}");
    assert_eq!(scene.provider.exchanges(), (1, 1));
    assert_eq!(scene.app.count("sessions").await, before + 1);
}

/// What the browser carried before is worth nothing after; errors of the provider's are said in our
/// words, and spend what was begun.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_session_is_new_and_an_error_is_said(pool: PgPool) {
    let scene = Scene::set(&pool).await;
    let person = scene.app.member("acme", "ada", Role::Reader).await;
    let mut browser = person.sign_in().await;
    let old = browser.clone();
    browser.cookies.remove("__Host-sid"); // the page is for those who have not signed in
    let url = browser.begin("acme", "/t/acme").await;
    browser.cookies.insert("__Host-sid".to_owned(), old.session().unwrap().to_owned());
    let back = scene.provider.authorize(&scene.app, &url, ada());
    assert_eq!(browser.get(&back).await.status, 303);
    assert_ne!(browser.session(), old.session());
    assert_eq!(old.clone().get("/account").await.status, 303);
    assert_eq!(browser.get("/account").await.status, 200);

    for (error, status) in [("access_denied", 403), ("%3Cb%3Eserver_error", 400)] {
        let (mut browser, url) = scene.begun().await;
        let back = scene.provider.authorize(&scene.app, &url, json!({}));
        let (path, query) = back.split_once('?').unwrap();
        let state = query.split('&').find(|pair| pair.starts_with("state=")).unwrap();
        let refusal = format!("{path}?error={error}&error_description=PWNED&{state}");
        let answer = browser.get(&refusal).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(!answer.text().contains("PWNED") && !answer.text().contains("<b>server"));
        assert_eq!(browser.session(), None);
        assert_eq!(browser.get(&back).await.status, 400, "it was spent");
    }
}
