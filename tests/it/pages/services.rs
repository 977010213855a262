//! The page where admins make back ends.

use callslip::tenants::Role;
use sqlx::PgPool;
use time::Duration;
use tokio::task::JoinSet;

use crate::support::{Browser, Changes, ClientKey, TestApp};

const PAGE: &str = "/t/acme/service-clients";

async fn admin(app: &TestApp, name: &str) -> Browser {
    app.member("acme", name, Role::Admin).await.sign_in().await
}

/// A secret stands on the page that answers the form, and on no page after it; it is stored as a
/// hash.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_secret_is_shown_once(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = admin(&app, "grace").await;
    let empty = browser.get(PAGE).await;
    assert_eq!(empty.select(".empty h2"), ["No back end yet"]);
    let store = app.store("acme", "Handbook").await.to_string();
    let fields = [("may", "search"), ("may", "introspect"), ("store", store.as_str())];
    let page = browser.add_back_end("acme", "Billing <b>bot</b>", &fields).await;
    let bot = app.issued(&page);
    let secret = bot.client_secret.clone().unwrap();
    assert_eq!(bot.own_token(&[]).await.status, 200);
    let later = browser.get(PAGE).await;
    assert!(!later.text().contains(&secret) && later.text().contains(&bot.client_id));
    assert_eq!(later.select("table tbody th bdi"), ["Billing <b>bot</b>"]);
    assert_eq!(later.select("table .badge"), ["Active"]);
    assert!(later.select("table td").join(" ").contains("Search: Handbook"));
    let kept = sqlx::query_scalar!(
        r#"select string_agg(t::text, '') as "kept!" from (select c::text as t from oauth_clients c
            union all select e::text from audit_events e) as everything"#,
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert!(!kept.contains(&secret));

    app.clock.advance(Duration::days(720));
    let page = admin(&app, "hedy").await.get(PAGE).await;
    assert_eq!(page.select("table .badge"), ["Expires soon"]);
    app.clock.advance(Duration::days(10));
    let page = admin(&app, "ida").await.get(PAGE).await;
    assert_eq!(page.select("table .badge"), ["Expired"]);
}

/// A form that does not fit comes back filled in, says what is wrong, and has made nothing.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_form_that_does_not_fit_comes_back(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let store = app.store("acme", "Handbook").await.to_string();
    let foreign = app.store("zeta", "Theirs").await.to_string();
    let mut browser = admin(&app, "grace").await;
    let search = [("may", "search"), ("store", store.as_str())];
    assert_eq!(browser.add_back_end("acme", "Bot", &search).await.status, 200);
    let private = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA","d":"VERY-PRIVATE"}]}"#;
    let cases: &[(&str, Changes<'_>, &str)] = &[
        ("bOT", &search, "name-error"),
        (" \u{200b}", &search, "name-error"),
        ("Nothing", &[], "may-error"),
        ("No store", &[("may", "search")], "may-error"),
        ("Theirs", &[("may", "search"), ("store", &foreign)], "may-error"),
        ("Key", &[("may", "introspect"), ("proof", "jwks"), ("jwks", "x")], "jwks-error"),
        ("Key", &[("may", "introspect"), ("proof", "jwks"), ("jwks", private)], "jwks-error"),
        (
            "Url",
            &[("may", "introspect"), ("proof", "jwks_uri"), ("jwks_uri", "http://a.example/k")],
            "jwks_uri-error",
        ),
        (
            "Url",
            &[("may", "introspect"), ("proof", "jwks_uri"), ("jwks_uri", "https://127.0.0.1/k")],
            "jwks_uri-error",
        ),
    ];
    for (name, fields, error) in cases {
        let page = browser.add_back_end("acme", name, fields).await;
        assert_eq!(page.status, 422, "{name} {fields:?}");
        assert_eq!(page.select(&format!("#{error}")).len(), 1, "{name} {fields:?}");
        assert!(!page.text().contains("VERY-PRIVATE"));
        let typed = page.attribute("#name", "value");
        assert_eq!(typed, [*name]);
    }
    for (field, value) in [("proof", "none"), ("life", "36500"), ("life", "0")] {
        let fields = [("may", "introspect"), (field, value)];
        assert_eq!(browser.add_back_end("acme", "Odd", &fields).await.status, 400, "{field}");
    }
    assert_eq!(app.count("oauth_clients").await, 1);
    let key = serde_json::json!({ "keys": [ClientKey::ed25519().jwk] }).to_string();
    for (name, field) in [
        ("Pasted", ("jwks", key.as_str())),
        ("Published", ("jwks_uri", "https://keys.example/jwks")),
    ] {
        let fields = [("may", "introspect"), ("proof", field.0), field];
        let page = browser.add_back_end("acme", name, &fields).await;
        assert_eq!(page.status, 200, "{name} {}", page.text());
        assert_eq!((page.select("#issued-id").len(), page.select("#issued-secret").len()), (1, 0));
    }
}

/// Of any number of admins who make a new secret at once, over two nodes, one gets one; the others
/// read that somebody was faster. The same with the stores, and with a name.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn of_two_admins_at_once_one_is_told(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let nodes = [app.clone(), app.twin().await];
    let store = app.store("acme", "Handbook").await.to_string();
    let mut browser = admin(&app, "grace").await;
    let token = browser.get(PAGE).await.csrf_token();
    let mut race = JoinSet::new();
    for number in 0..8 {
        let (mut browser, store, token) = (browser.clone(), store.clone(), token.clone());
        browser.app = nodes[number % 2].clone();
        race.spawn(async move {
            let fields = [
                ("csrf_token", token.as_str()),
                ("name", "Bot"),
                ("proof", "secret"),
                ("life", "90"),
                ("may", "search"),
                ("store", &store),
            ];
            browser.post(PAGE, &fields).await
        });
    }
    let (made, refused): (Vec<_>, Vec<_>) =
        race.join_all().await.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((made.len(), refused.len()), (1, 7));
    assert!(refused.iter().all(|answer| answer.status == 422));
    let bot = app.issued(&made[0]);

    let mut race = JoinSet::new();
    for number in 0..8 {
        let (mut browser, token) = (browser.clone(), token.clone());
        browser.app = nodes[number % 2].clone();
        let path = format!("{PAGE}/{}/secret", bot.client_id);
        race.spawn(async move {
            browser.post(&path, &[("csrf_token", &token), ("revision", "1")]).await
        });
    }
    let (won, lost): (Vec<_>, Vec<_>) =
        race.join_all().await.into_iter().partition(|answer| answer.status == 200);
    assert_eq!(won.len(), 1);
    assert!(
        lost.iter().all(|answer| answer.status == 409 && answer.select(".notice-bad").len() == 1)
    );
    assert!(lost.iter().all(|answer| answer.select("#issued-secret").is_empty()));
    assert_eq!(app.issued(&won[0]).own_token(&[]).await.status, 200);
    assert_eq!(bot.own_token(&[]).await.status, 401, "the old one");
    let stores = format!("{PAGE}/{}/vector-stores", bot.client_id);
    let stale = [("revision", "1"), ("store", store.as_str())];
    assert_eq!(browser.submit(PAGE, &stores, &stale).await.status, 409);
    let seen = [("revision", "2"), ("store", store.as_str())];
    assert_eq!(browser.submit(PAGE, &stores, &seen).await.status, 303);
}

/// Another tenant's back end is no back end.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn another_tenants_back_end_is_none(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let store = app.store("zeta", "Theirs").await.to_string();
    let theirs = app.back_end("zeta", "Bot", &[("may", "search"), ("store", &store)]).await;
    let mut browser = admin(&app, "grace").await;
    for act in ["secret", "vector-stores", "delete"] {
        let path = format!("{PAGE}/{}/{act}", theirs.client_id);
        let answer = browser.submit(PAGE, &path, &[("revision", "1")]).await;
        assert_eq!(answer.status, 404, "{act}");
    }
    assert_eq!(theirs.own_token(&[]).await.status, 200);
    // The name is free in this one.
    let ours = browser.add_back_end("acme", "Bot", &[("may", "introspect")]).await;
    assert_eq!(ours.status, 200);
}
