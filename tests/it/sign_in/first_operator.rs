//! The link with which the first operator makes themself.

use axum::{body::Body, extract::Request};
use callslip::secret::{Kind, Plaintext};
use sqlx::PgPool;
use time::Duration;
use tokio::task::JoinSet;

use crate::support::{Answer, Browser, PASSWORD, TestApp};

async fn link(app: &TestApp) -> String {
    format!("/first-operator/{}", app.accounts().create_operator_link().await.unwrap().expose())
}

async fn become_operator(browser: &mut Browser, link: &str, email: &str, password: &str) -> Answer {
    let fields =
        [("email", email), ("name", "Olga"), ("password", password), ("password_again", password)];
    browser.submit(link, link, &fields).await
}

async fn users(app: &TestApp) -> i64 {
    sqlx::query_scalar("select count(*) from users").fetch_one(&app.pool).await.unwrap()
}

/// [W-27] A fresh installation has no account; the link makes one, signs in, and is spent.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_link_makes_one_operator(pool: PgPool) {
    let app = TestApp::new(&pool).await.with_probes();
    assert_eq!(users(&app).await, 0);
    let link = link(&app).await;
    let mut olga = app.browser();
    let made = become_operator(&mut olga, &link, "olga@example.org", PASSWORD).await;
    assert_eq!((made.status.as_u16(), made.location()), (303, "/operator"));
    assert_eq!(olga.get("/probe/operator").await.text(), "olga@example.org");
    assert_eq!(app.get(&link).await.status, 404);
    let again = become_operator(&mut olga, &link, "eve@example.org", PASSWORD).await;
    assert_ne!(again.status, 303);
    assert_eq!(users(&app).await, 1);
    assert_eq!(app.browser().sign_in("olga@example.org", PASSWORD, "/").await.status, 303);
}

/// [W-27] Of ten who use one link at once, one becomes operator.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn of_ten_racing_one_becomes_operator(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let link = link(&app).await;
    let mut race = JoinSet::new();
    for n in 0..10 {
        let (mut browser, link) = (app.browser(), link.clone());
        race.spawn(async move {
            let token = browser.get(&link).await.csrf_token();
            let email = format!("olga{n}@example.org");
            let fields = [
                ("csrf_token", token.as_str()),
                ("email", &email),
                ("name", "Olga"),
                ("password", PASSWORD),
                ("password_again", PASSWORD),
            ];
            browser.post(&link, &fields).await.status.as_u16()
        });
    }
    let statuses = race.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 303).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [303, 403, 404].contains(status)), "{statuses:?}");
    assert_eq!(users(&app).await, 1);
}

/// [W-27] It works for an hour, and until the next one is made.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_link_ends(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let first = link(&app).await;
    let second = link(&app).await;
    assert_eq!(app.get(&first).await.status, 404);
    app.clock.advance(Duration::minutes(59));
    let mut browser = app.browser();
    let token = browser.get(&second).await.csrf_token();
    assert!(!token.is_empty());
    app.clock.advance(Duration::minutes(1));
    assert_eq!(app.get(&second).await.status, 404);
    let fields = [
        ("csrf_token", token.as_str()),
        ("email", "olga@example.org"),
        ("name", "Olga"),
        ("password", PASSWORD),
        ("password_again", PASSWORD),
    ];
    assert_eq!(browser.post(&second, &fields).await.status, 404);
    let unknown = Plaintext::generate(Kind::OneTimeLink);
    assert_eq!(app.get(&format!("/first-operator/{}", unknown.expose())).await.status, 404);
    assert_eq!(users(&app).await, 0);
}

/// [W-06] A scanner that follows the link changes nothing.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn following_the_link_changes_nothing(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let link = link(&app).await;
    for _ in 0..3 {
        assert_eq!(app.get(&link).await.status, 200);
        let head = Request::head(&link).body(Body::empty()).unwrap();
        assert_eq!(app.send(head).await.status, 200);
    }
    let made = become_operator(&mut app.browser(), &link, "olga@example.org", PASSWORD).await;
    assert_eq!(made.status, 303);
}

/// [W-23] Fifteen characters at least; the form comes back filled in, and the link is not spent.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_poor_form_comes_back_and_spends_nothing(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    app.person("ada").await;
    let link = link(&app).await;
    let mut browser = app.browser();
    let fourteen = "tiny purple ax";
    for (email, password, field) in [
        ("olga@example.org", fourteen, "#password-error"),
        ("olga@example.org", "passwordpassword123", "#password-error"),
        ("no address", PASSWORD, "#email-error"),
        ("ada@example.org", PASSWORD, "#email-error"),
    ] {
        let answer = become_operator(&mut browser, &link, email, password).await;
        assert_eq!(answer.status, 422, "{email} {password}");
        assert_eq!(answer.select(field).len(), 1, "{}", answer.text());
        assert_eq!(answer.attribute("input[name=email]", "value"), [email]);
        assert_eq!(answer.attribute("input[name=name]", "value"), ["Olga"]);
        assert!(!answer.text().contains(password), "the password came back");
    }
    let fifteen = "tiny purple axe";
    let made = become_operator(&mut browser, &link, "olga@example.org", fifteen).await;
    assert_eq!(made.status, 303);
}
