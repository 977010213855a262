//! From nothing to a token and back.

use callslip::tenants::Role;
use sqlx::PgPool;

use crate::support::TestApp;

/// [A-11] [T-02] [C-08] Register, authorize, sign in, consent, redeem, refresh, revoke.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_assistant_connects_and_is_disconnected(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.member("acme", "ada", Role::Reader).await;
    let library = app.store("acme", "Library").await;
    app.store("acme", "Archive").await;
    let assistant = app.assistant().await;

    // The browser has not signed in: it is sent there and comes back.
    let mut browser = app.browser();
    let sent = assistant.authorize(&mut browser, &[]).await;
    assert_eq!(sent.status, 303);
    let consent = sent.location().to_owned();
    assert!(consent.starts_with("/oauth/consent?request_id=csl_ar_"), "{consent}");
    let to_sign_in = browser.get(&consent).await;
    assert_eq!(to_sign_in.status, 303);
    let here = to_sign_in.location().to_owned();
    assert!(here.starts_with("/sign-in?return_to=%2Foauth%2Fconsent%3Frequest_id%3D"), "{here}");
    let signed_in = browser.sign_in(&ada.user.email, crate::support::PASSWORD, &consent).await;
    assert_eq!(signed_in.location(), consent);

    let changes = [("store", library.to_string()), ("decision", "approve".to_owned())];
    let changes: Vec<(&str, &str)> = changes.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let approved = browser.consent(&consent, &changes).await;
    assert_eq!(approved.status, 303);
    assert!(approved.location().starts_with("https://assistant.example/cb?code=csl_ac_"));
    assert_eq!(approved.returned("state"), ["af0ifjsldkj"]);
    assert_eq!(approved.returned("iss"), [crate::support::ORIGIN]);
    let code = approved.returned("code").pop().unwrap();

    let answer = assistant.exchange(&code, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("content-type"), "application/json");
    let tokens = answer.json();
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["expires_in"], 1800);
    assert_eq!(tokens["scope"], "search:read");
    let access_token = tokens["access_token"].as_str().unwrap();
    let claims = app.app.oauth.verifier().verify(access_token).await.unwrap();
    assert_eq!(claims.aud, "https://callslip.example/mcp");
    assert_eq!(claims.user(), Some(ada.user.id));
    let alive = app.app.oauth.liveness().check(&claims).await.unwrap().unwrap();
    assert_eq!(alive.vector_stores, [library], "the user's narrowing holds");
    assert_eq!(alive.tenant_slug, "acme");

    let refreshed = assistant.refresh(tokens["refresh_token"].as_str().unwrap(), &[]).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.text());
    let refreshed = refreshed.json();
    let revoked = assistant.revoke(refreshed["refresh_token"].as_str().unwrap()).await;
    assert_eq!(revoked.status, 200);
    for token in [&tokens, &refreshed] {
        assert!(!app.accepts(token["access_token"].as_str().unwrap()).await);
    }
    let again = assistant.refresh(refreshed["refresh_token"].as_str().unwrap(), &[]).await;
    assert_eq!((again.status.as_u16(), &again.json()["error"]), (400, &"invalid_grant".into()));
}
