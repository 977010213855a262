//! Connected apps: seen and taken back by their user and by the tenant's admins.

use sqlx::PgPool;

use super::stage::{Stage, assert_absent};

#[sqlx::test]
async fn a_reader_sees_and_revokes_their_own_apps_only(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let store = stage.store(stage.acme.id, "Books").await;
    let own = stage.grant(stage.acme.id, stage.rob.id, "Reader’s app", store).await;
    let adas = stage.grant(stage.acme.id, stage.ada.id, "Admin’s app", store).await;
    let mut rob = stage.signed_in(&stage.rob).await;
    let page = rob.get("/t/acme/apps").await;
    assert_eq!(page.select("tbody th bdi"), ["Reader’s app"]);
    assert_eq!(page.select("tbody th .sub"), ["client.example"]);

    let other = rob.submit("/t/acme/apps", &format!("/t/acme/apps/{adas}/revoke"), &[]).await;
    assert_absent(&other);
    assert_eq!(stage.revoked_for(adas).await, None);
    let path = format!("/t/acme/apps/{own}/revoke");
    let done = rob.submit("/t/acme/apps", &path, &[]).await;
    assert_eq!(done.location(), "/t/acme/apps?notice=revoked");
    assert_eq!(stage.revoked_for(own).await.as_deref(), Some("user"));
    assert_eq!(stage.events(stage.acme.id).await.last().unwrap(), "grant.revoked");
    assert_absent(&rob.submit("/t/acme/apps", &path, &[]).await);
    assert_eq!(rob.get("/t/acme/apps").await.select(".empty h2"), ["No app is connected"]);
}

#[sqlx::test]
async fn an_admin_revokes_any_app_of_the_tenant_and_of_no_other(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let store = stage.store(stage.acme.id, "Books").await;
    let grant = stage.grant(stage.acme.id, stage.rob.id, "<b class=canary>App</b>", store).await;
    let path = format!("/t/acme/apps/{grant}/revoke");
    let mut eve = stage.signed_in(&stage.eve).await;
    assert_absent(&eve.submit("/account", &path, &[]).await);
    assert_absent(&eve.submit("/account", &path.replace("acme", "other"), &[]).await);
    assert_absent(&eve.submit("/account", &format!("/account/apps/{grant}/revoke"), &[]).await);
    assert!(!eve.get("/t/other/apps").await.text().contains("canary"));

    let mut ada = stage.signed_in(&stage.ada).await;
    let page = ada.get("/t/acme/apps").await;
    assert_eq!(page.select("tbody th bdi"), ["<b class=canary>App</b>"]);
    assert_eq!(page.select("td[data-label=Member]"), ["rob@acme.example"]);
    assert!(page.select(".canary").is_empty());
    ada.submit("/t/acme/apps", &path, &[]).await;
    assert_eq!(stage.revoked_for(grant).await.as_deref(), Some("admin"));
}

#[sqlx::test]
async fn a_user_revokes_from_their_account_page(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let store = stage.store(stage.acme.id, "Books").await;
    let grant = stage.grant(stage.acme.id, stage.rob.id, "App", store).await;
    let mut rob = stage.signed_in(&stage.rob).await;
    let page = rob.get("/account").await;
    let action = page.attribute("dialog form", "action").pop().unwrap();
    assert_eq!(action, format!("/account/apps/{grant}/revoke"));
    let done = rob.submit("/account", &action, &[]).await;
    assert_eq!(done.location(), "/account?notice=revoked");
    assert_eq!(stage.revoked_for(grant).await.as_deref(), Some("user"));
}

#[sqlx::test]
async fn a_form_without_its_token_or_from_elsewhere_revokes_nothing(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let store = stage.store(stage.acme.id, "Books").await;
    let grant = stage.grant(stage.acme.id, stage.rob.id, "App", store).await;
    let mut rob = stage.signed_in(&stage.rob).await;
    let path = format!("/t/acme/apps/{grant}/revoke");
    assert_eq!(rob.post(&path, &[]).await.status, 403);
    assert_eq!(rob.post(&path, &[("csrf_token", "guess")]).await.status, 403);
    assert_eq!(stage.revoked_for(grant).await, None);
}
