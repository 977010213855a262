//! Who may choose a provider, and what is asked of it first.

use callslip::tenants::Role;
use serde_json::json;
use sqlx::PgPool;

use super::{Scene, ada, app, save};
use crate::support::provider::{CLIENT_SECRET, Provider};

/// A provider that does not say what it should is not saved, and the page says why.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_provider_is_asked_before_it_is_saved(pool: PgPool) {
    let app = app(&pool).await;
    let mut owner = app.member("acme", "olga", Role::Owner).await.sign_in().await;
    let provider = Provider::start().await;
    for (document, words) in [
        (json!({ "issuer": format!("{}/", provider.issuer) }), "slash"),
        (json!({ "issuer": "https://other.example" }), "another issuer"),
        (json!({ "issuer": null }), "no OpenID provider"),
        (json!({ "token_endpoint": null }), "no OpenID provider"),
        (json!({ "token_endpoint": "http://169.254.169.254/token" }), "not a public one"),
        (json!({ "authorization_endpoint": "http://login.example/a" }), "not a public one"),
        (json!({ "authorization_endpoint": "javascript:alert(1)" }), "not a public one"),
        (json!({ "jwks_uri": "https://10.0.0.1/jwks" }), "not a public one"),
        (json!({ "jwks_uri": format!("{}/none", provider.issuer) }), "keys cannot be read"),
        (json!({ "code_challenge_methods_supported": ["plain"] }), "S256"),
        (json!({ "response_types_supported": ["id_token"] }), "code flow"),
        (json!({ "id_token_signing_alg_values_supported": ["HS256", "none"] }), "RS256"),
        (json!({ "token_endpoint_auth_methods_supported": ["private_key_jwt"] }), "client_secret"),
    ] {
        provider.describe(document.clone());
        let answer = save(&mut owner, "acme", &provider.issuer, &[]).await;
        assert_eq!(answer.status, 422, "{document}");
        let said = answer.select("#issuer-error").concat();
        assert!(said.contains(words), "{document}: {said}");
        assert!(!answer.text().contains(CLIENT_SECRET));
    }
    provider.describe(json!({}));
    for issuer in [
        "nonsense",
        "ftp://127.0.0.1/",
        "http://login.example",
        "https://10.0.0.1",
        "https://user@login.example",
        &format!("{}?a=b", provider.issuer),
        &format!("{}#a", provider.issuer),
    ] {
        let answer = save(&mut owner, "acme", issuer, &[]).await;
        assert_eq!(answer.status, 422, "{issuer}");
    }
    for (field, value) in [("client_id", " "), ("client_secret", ""), ("client_secret", "a b")] {
        let answer = save(&mut owner, "acme", &provider.issuer, &[(field, value)]).await;
        assert!(matches!(answer.status.as_u16(), 400 | 422), "{field}: {}", answer.status);
    }
    assert_eq!(app.count("tenant_sso_providers").await, 0);
    let page = app.get("/sign-in?tenant=acme").await;
    assert!(page.select("form[action='/sign-in/sso']").is_empty());
    assert!(!page.select("#tenant-error").is_empty());
    assert_eq!(save(&mut owner, "acme", &provider.issuer, &[]).await.status, 303);
}

/// Whoever chooses the provider decides who every owner is: an admin sees it, an owner changes it,
/// a reader knows nothing of it.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn only_an_owner_chooses(pool: PgPool) {
    let scene = Scene::set(&pool).await;
    let mut admin = scene.app.member("acme", "ann", Role::Admin).await.sign_in().await;
    let page = admin.get("/t/acme/sign-in").await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("https://callslip.example/sign-in/sso/callback/acme"));
    assert!(page.select("main form").is_empty());
    let evil = Provider::start().await;
    assert_eq!(save(&mut admin, "acme", &evil.issuer, &[]).await.status, 403);
    let remove = admin.submit("/t/acme/apps", "/t/acme/sign-in/remove", &[]).await;
    assert_eq!(remove.status, 403);
    let mut reader = scene.app.member("acme", "rita", Role::Reader).await.sign_in().await;
    assert_eq!(reader.get("/t/acme/sign-in").await.status, 403);
    let (_, answer) = scene.enter(ada()).await;
    assert_eq!(answer.status, 403, "the provider is still acme’s, where nobody is Ada");
}

/// The secret is never shown, is kept sealed, and goes to no other provider or client than the one
/// that it was typed for.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_secret_stays(pool: PgPool) {
    let mut scene = Scene::set(&pool).await;
    scene.app.member("acme", "ada", Role::Reader).await;
    for path in ["/t/acme/sign-in", "/t/acme/activity", "/sign-in?tenant=acme"] {
        assert!(!scene.owner.get(path).await.text().contains(CLIENT_SECRET), "{path}");
    }
    let kept: Vec<u8> = sqlx::query_scalar("select client_secret_sealed from tenant_sso_providers")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert!(!kept.windows(8).any(|part| CLIENT_SECRET.as_bytes().starts_with(part)));

    // Left as it is while provider and client are.
    let same = scene.provider.issuer.clone();
    assert_eq!(save(&mut scene.owner, "acme", &same, &[("client_secret", "")]).await.status, 303);
    assert_eq!(scene.enter(ada()).await.1.status, 303);
    let other = Provider::start().await;
    for (issuer, client) in [(&other.issuer, "callslip-at-the-provider"), (&same, "another")] {
        let changes = [("client_secret", ""), ("client_id", client)];
        let answer = save(&mut scene.owner, "acme", issuer, &changes).await;
        assert_eq!(answer.status, 422, "{issuer} {client}");
        assert!(!answer.select("#client_secret-error").is_empty());
    }
    assert_eq!(other.exchanges(), (0, 0));

    // Moved to another tenant's row, it does not open.
    let (_, zeta) = super::provide(&scene.app, "zeta").await;
    scene.app.member("zeta", "zoe", Role::Reader).await;
    sqlx::query("update tenant_sso_providers set client_secret_sealed = $1")
        .bind(kept)
        .execute(&pool)
        .await
        .unwrap();
    let mut browser = scene.app.browser();
    let url = browser.begin("zeta", "/t/zeta").await;
    let zoe = json!({ "sub": "z", "email": "zoe@zeta.example", "email_verified": true });
    let back = zeta.authorize(&scene.app, &url, zoe);
    assert_eq!(browser.get(&back).await.status, 500);
    assert_eq!((zeta.exchanges(), browser.session()), ((0, 0), None));
}

/// Switched off, changed or removed: what was begun is over, and so is what began.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_change_ends_what_stood_on_the_old(pool: PgPool) {
    let mut scene = Scene::set(&pool).await;
    scene.app.member("acme", "ada", Role::Reader).await;
    let issuer = scene.provider.issuer.clone();
    let (mut inside, _) = scene.enter(ada()).await;
    let (mut halfway, url) = scene.begun().await;
    let back = scene.provider.authorize(&scene.app, &url, ada());
    // Even while the provider is away.
    scene.provider.describe(json!({ "issuer": null }));
    let off = [("enabled", ""), ("client_secret", "")];
    assert_eq!(save(&mut scene.owner, "acme", &issuer, &off).await.status, 303);
    scene.provider.describe(json!({}));
    assert!(inside.get("/t/acme").await.location().starts_with("/sign-in"));
    assert_eq!(halfway.get(&back).await.status, 400);
    let page = scene.app.get("/sign-in?tenant=acme").await;
    assert!(page.select("form[action='/sign-in/sso']").is_empty());

    assert_eq!(save(&mut scene.owner, "acme", &issuer, &[("client_secret", "")]).await.status, 303);
    assert_eq!(halfway.get(&back).await.status, 400);
    let (mut inside, answer) = scene.enter(ada()).await;
    assert_eq!(answer.status, 303);
    let other = Provider::start().await;
    assert_eq!(save(&mut scene.owner, "acme", &other.issuer, &[]).await.status, 303);
    assert!(inside.get("/t/acme").await.location().starts_with("/sign-in"));
    assert_eq!(scene.app.count("sso_links").await, 0);

    let removed = scene.owner.submit("/t/acme/sign-in", "/t/acme/sign-in/remove", &[]).await;
    assert_eq!(removed.location(), "/t/acme/sign-in?notice=provider-removed");
    assert_eq!(scene.app.count("tenant_sso_providers").await, 0);
    let activity = scene.owner.get("/t/acme/activity").await.text();
    for words in ["Sign-in provider set", "Sign-in provider removed", "Member linked"] {
        assert!(activity.contains(words), "{words}");
    }
}
