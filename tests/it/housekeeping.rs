//! What expired is forgotten, and what lives is not.

use callslip::tenants::Role;
use sqlx::PgPool;
use time::Duration;

use crate::support::TestApp;

#[expect(clippy::disallowed_methods, reason = "the table's name is a parameter")]
async fn count(pool: &PgPool, table: &str) -> i64 {
    let statement = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
    sqlx::query_scalar(statement).fetch_one(pool).await.unwrap()
}

#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_sweep_takes_what_expired_and_leaves_the_grant(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.member("acme", "ada", Role::Reader).await;
    app.store("acme", "Library").await;
    let assistant = app.assistant().await;
    let tokens = assistant.tokens(&mut ada.sign_in().await, &[]).await;
    app.app.sweep(app.db(), &app.clock).await.unwrap();
    assert_eq!(count(&pool, "sessions").await, 1, "a living session stays");
    assert_eq!(count(&pool, "oauth_authorization_requests").await, 1);

    app.clock.advance(Duration::days(3));
    app.app.sweep(app.db(), &app.clock).await.unwrap();
    assert_eq!(count(&pool, "sessions").await, 0);
    assert_eq!(count(&pool, "oauth_authorization_requests").await, 0);
    let refreshed = assistant.refresh(tokens["refresh_token"].as_str().unwrap(), &[]).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.text());
}
