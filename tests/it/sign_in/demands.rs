//! The extractors: whom each demand turns away, and how.

use callslip::tenants::Role;
use sqlx::PgPool;

use crate::support::TestApp;

/// Not signed in: a page asks to sign in first and come back, a form leads to its page.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn strangers_are_asked_to_sign_in(pool: PgPool) {
    let app = TestApp::new(&pool).await.with_probes();
    app.tenant("acme").await;
    for (path, location) in [
        ("/probe/signed-in?a=b&c=d", "/sign-in?return_to=%2Fprobe%2Fsigned-in%3Fa%3Db%26c%3Dd"),
        ("/probe/operator", "/sign-in?return_to=%2Fprobe%2Foperator"),
        ("/t/acme/probe/member", "/sign-in?return_to=%2Ft%2Facme%2Fprobe%2Fmember"),
        ("/t/acme/probe/admin", "/sign-in?return_to=%2Ft%2Facme%2Fprobe%2Fadmin"),
        ("/t/nobody/probe/admin", "/sign-in?return_to=%2Ft%2Fnobody%2Fprobe%2Fadmin"),
    ] {
        let answer = app.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.location()), (303, location));
    }
    let mut browser = app.browser();
    for (path, location) in [
        ("/account/probe", "/sign-in?return_to=%2Faccount"),
        ("/t/acme/probe/member/deep", "/sign-in?return_to=%2Ft%2Facme%2Fprobe"),
        ("/sign-out", "/sign-in?return_to=%2F"),
    ] {
        let answer = browser.post(path, &[]).await;
        assert_eq!((answer.status.as_u16(), answer.location()), (303, location));
    }
}

/// Each demand lets through whom it names and nobody else.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn each_demand_lets_through_whom_it_names(pool: PgPool) {
    let app = TestApp::new(&pool).await.with_probes();
    let mut people = [
        ("reader", app.member("acme", "ada", Role::Reader).await.sign_in().await, 200, 403, 404),
        ("admin", app.member("acme", "bob", Role::Admin).await.sign_in().await, 200, 200, 404),
        ("owner", app.member("acme", "cas", Role::Owner).await.sign_in().await, 200, 200, 404),
        (
            "owner of another",
            app.member("other", "dee", Role::Owner).await.sign_in().await,
            404,
            404,
            404,
        ),
        ("of no tenant", app.person("eve").await.sign_in().await, 404, 404, 404),
        ("operator", app.operator("olga").await.sign_in().await, 404, 404, 200),
    ];
    for (who, browser, member, admin, operator) in &mut people {
        assert_eq!(browser.get("/probe/signed-in").await.status, 200, "{who}");
        assert_eq!(browser.get("/t/acme/probe/member").await.status, *member, "{who}");
        assert_eq!(browser.get("/t/acme/probe/admin").await.status, *admin, "{who}");
        assert_eq!(browser.get("/probe/operator").await.status, *operator, "{who}");
    }
    let mut ada = people[0].1.clone();
    assert_eq!(ada.get("/t/acme/probe/member").await.text(), "ada@acme.example acme reader");
}

/// A tenant of others looks exactly like one that does not exist.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_foreign_tenant_looks_like_none(pool: PgPool) {
    let app = TestApp::new(&pool).await.with_probes();
    app.tenant("secret").await;
    let mut ada = app.member("acme", "ada", Role::Owner).await.sign_in().await;
    for page in ["member", "admin"] {
        let foreign = ada.get(&format!("/t/secret/probe/{page}")).await;
        let unknown = ada.get(&format!("/t/unknown/probe/{page}")).await;
        assert_eq!(foreign.status, 404);
        assert_eq!((foreign.status, foreign.text()), (unknown.status, unknown.text()));
    }
    for path in ["/t/ACME/probe/member", "/t/%61cme%00/probe/member", "/t/acme%2f/probe/member"] {
        assert_eq!(ada.get(path).await.status, 404, "{path}");
    }
}

/// What was taken away is gone at the next request.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn rights_end_with_their_membership(pool: PgPool) {
    let app = TestApp::new(&pool).await.with_probes();
    let acme = app.tenant("acme").await;
    let ada = app.member("acme", "ada", Role::Reader).await;
    ada.join("other", Role::Reader).await;
    let mut browser = ada.sign_in().await;
    assert_eq!(browser.get("/t/acme/probe/member").await.status, 200);
    app.accounts().remove_member(&acme, &ada.user).await.unwrap().unwrap();
    assert_eq!(browser.get("/t/acme/probe/member").await.status, 404);
    assert_eq!(browser.get("/t/other/probe/member").await.status, 200);
    sqlx::query("update tenants set suspended_at = now() where slug = 'other'")
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(browser.get("/t/other/probe/member").await.status, 404);
    assert_eq!(browser.get("/probe/signed-in").await.status, 200);
}
