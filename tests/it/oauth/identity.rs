//! Who somebody is.

use callslip::tenants::Role;
use serde_json::json;
use sqlx::PgPool;

use crate::support::TestApp;

/// [S-09] A user is `iss` and `sub` in a tenant. When an e-mail address goes to somebody else,
/// nothing goes with it: no token, no grant, no page; and nothing is lost with it.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_address_that_changes_hands_takes_nothing_along(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.member("acme", "ada", Role::Reader).await;
    let store = app.store("acme", "Library").await;
    app.document("acme", store, "note.txt", "The pelican keeps a ledger.").await;
    let guard = app.back_end("acme", "Guard", &[("may", "introspect")]).await;
    let assistant = app.assistant().await;
    let mut browser = ada.sign_in().await;
    let tokens = assistant.tokens(&mut browser, &[]).await;
    let access = tokens["access_token"].as_str().unwrap();
    let before = guard.introspect(access).await.json();

    let old = ada.user.email.clone();
    sqlx::query("update users set email = 'ada@moved.example', name = $2 where id = $1")
        .bind(ada.user.id.uuid())
        .bind(&old)
        .execute(&pool)
        .await
        .unwrap();
    let heir = app.member("acme", "ada", Role::Reader).await;
    assert_eq!(heir.user.email, old);
    let mut heirs = heir.sign_in().await;

    // The old owner's tokens are still the old owner's.
    let query = json!({ "query": "pelican" });
    assert_eq!(app.call_tool("/mcp", access, "search", query.clone()).await.status, 200);
    let refreshed = assistant.refresh(tokens["refresh_token"].as_str().unwrap(), &[]).await.json();
    for token in [access, refreshed["access_token"].as_str().unwrap()] {
        let said = guard.introspect(token).await;
        assert_eq!(said.json()["sub"], before["sub"]);
        assert_eq!(said.json()["sub"], ada.user.id.to_string());
        // A name that is an address is none.
        assert!(!said.text().contains('@'), "{}", said.text());
    }
    let by: Vec<uuid::Uuid> = sqlx::query_scalar(
        "select distinct user_id from audit_events where kind in ('tool.search', 'token.refreshed')",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(by, [ada.user.id.uuid()]);

    // Neither page shows the heir what the address once had; both show it to whom it belongs.
    for page in ["/account", "/t/acme/apps"] {
        assert!(!heirs.get(page).await.text().contains("Assistant</bdi>"), "{page}");
        assert!(browser.get(page).await.text().contains("Assistant</bdi>"), "{page}");
    }
    // The heir's own consent is a grant of its own, and ends by itself.
    let own = assistant.tokens(&mut heirs, &[]).await;
    let own = own["access_token"].as_str().unwrap();
    assert_eq!(guard.introspect(own).await.json()["sub"], heir.user.id.to_string());
    assistant.revoke(own).await;
    assert!(!app.accepts(own).await && app.accepts(access).await);
}
