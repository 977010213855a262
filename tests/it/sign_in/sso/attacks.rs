//! A provider is its tenant's to choose: what an evil one can do elsewhere.

use axum::http::StatusCode;
use callslip::tenants::Role;
use serde_json::json;
use sqlx::PgPool;
use url::Url;

use super::{Scene, app, provide};
use crate::support::ORIGIN;

/// The evil tenant's owner has their provider claim the victim's address. They get the victim's
/// place in the evil tenant and nothing else: no other tenant, no operator's rights, no app and no
/// consent of the victim's anywhere else.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_evil_provider_opens_its_own_tenant_alone(pool: PgPool) {
    let app = app(&pool).await;
    let victim = app.operator("victim").await;
    victim.join("acme", Role::Owner).await;
    victim.join("evil", Role::Reader).await;
    app.store("acme", "Acme books").await;
    app.store("evil", "Evil books").await;
    let assistant = app.assistant().await;
    let mut at_home = victim.sign_in().await;
    let resource = format!("{ORIGIN}/t/acme/mcp");
    assistant.tokens(&mut at_home, &[("resource", &resource)]).await;
    let revoke = at_home.get("/account").await.attribute("form[action$='/revoke']", "action");
    assert_eq!(revoke.len(), 1);

    let (_, provider) = provide(&app, "evil").await;
    let mut evil = app.browser();
    let url = evil.begin("evil", "/t/acme/documents").await;
    let claims = json!({ "sub": "x", "email": victim.user.email, "email_verified": true });
    let back = provider.authorize(&app, &url, claims);
    let entered = evil.get(&back).await;
    assert_eq!(entered.location(), "/t/acme/documents");
    assert_eq!(evil.get("/t/evil").await.status, 200);

    for path in [
        "/t/acme",
        "/t/acme/documents",
        "/t/acme/settings",
        "/t/acme/sign-in",
        "/t/acme/members",
        "/operator",
    ] {
        assert_eq!(evil.get(path).await.status, 404, "{path}");
    }
    let account = evil.get("/account").await;
    assert!(account.text().contains("The evil company"));
    assert!(!account.text().contains("acme") && !account.text().contains("Assistant"));
    assert!(!account.text().contains("/operator"));
    let token = account.csrf_token();
    assert_eq!(evil.post(&revoke[0], &[("csrf_token", &token)]).await.status, 404);
    for path in ["/t/acme/vector-stores", "/t/acme/sign-in/remove"] {
        let form = [("csrf_token", token.as_str()), ("backend", "builtin"), ("name", "x")];
        assert_eq!(evil.post(path, &form).await.status, 404, "{path}");
    }

    // Consent for acme is out of reach; where the user chooses, there is the evil tenant to choose.
    let sent = assistant.authorize(&mut evil, &[("resource", &resource)]).await;
    let page = evil.get(sent.location()).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    let acme = app.tenant("acme").await;
    let sent = assistant.authorize(&mut evil, &[]).await;
    let page = evil.get(sent.location()).await;
    assert!(page.text().contains("The evil company") && !page.text().contains("acme"));
    let changes = [("decision", "approve"), ("tenant", &*acme.id.to_string())];
    assert_eq!(evil.consent(sent.location(), &changes).await.status, 403);

    // The victim's own session is what it was.
    assert_eq!(at_home.get("/t/acme/settings").await.status, 200);
    assert_eq!(at_home.get("/operator").await.status, 200);
    assert_eq!(
        at_home.get("/account").await.attribute("form[action$='/revoke']", "action"),
        revoke
    );
}

/// An evil tenant's provider sends its visitor on to another tenant's, and hopes to be handed the
/// code (RFC 9700 §4.4): the answer comes to an address that is not the evil tenant's.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn another_tenants_provider_cannot_answer(pool: PgPool) {
    let scene = Scene::set(&pool).await;
    let app = &scene.app;
    let victim = app.member("acme", "ada", Role::Reader).await;
    victim.join("evil", Role::Reader).await;
    let (_, evil) = provide(app, "evil").await;
    let claims = super::ada();

    // The attacker began at acme's, and has the visitor ask there with the attacker's challenge and
    // nonce, but with the visitor's own state.
    let (mut attacker, wanted) = scene.begun().await;
    let mut visitor = app.browser();
    let sent = visitor.begin("evil", "/t/evil").await;
    let theirs = Url::parse(&sent).unwrap();
    let (_, state) = theirs.query_pairs().find(|(name, _)| name == "state").unwrap();
    let mut crossed = Url::parse(&wanted).unwrap();
    let pairs: Vec<(String, String)> = crossed
        .query_pairs()
        .map(|(name, value)| {
            let value = if name == "state" { state.clone() } else { value };
            (name.into_owned(), value.into_owned())
        })
        .collect();
    crossed.query_pairs_mut().clear().extend_pairs(pairs);
    let back = scene.provider.authorize_anywhere(app, &crossed, &claims);
    assert!(back.starts_with("/sign-in/sso/callback/acme?"), "{back}");
    let answer = visitor.get(&back).await;
    assert_eq!((answer.status.as_u16(), visitor.session()), (400, None));
    assert_eq!(
        (evil.exchanges(), scene.provider.exchanges()),
        ((0, 0), (0, 0)),
        "no code was told"
    );

    // Nor does an ID token of the evil provider's count where acme's is asked.
    let back = evil.authorize_anywhere(app, &Url::parse(&wanted).unwrap(), &claims);
    assert_eq!(attacker.get(&back).await.status, 400);
    assert_eq!(attacker.session(), None);

    // RFC 9207: an answer that names another issuer is refused before its code is used.
    let (mut browser, url) = scene.begun().await;
    let back = scene.provider.authorize(app, &url, claims);
    let exchanged = scene.provider.exchanges();
    let answer = browser.get(&format!("{back}&iss={}", evil.issuer)).await;
    assert_eq!((answer.status.as_u16(), browser.session()), (400, None));
    assert_eq!(scene.provider.exchanges(), exchanged);
}
