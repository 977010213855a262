//! More sign-ins than the machine can hash.

use std::sync::Arc;

use callslip::{app, tenants::Role, users::password::Cost};
use sqlx::PgPool;
use tokio::task::JoinSet;

use crate::support::TestApp;

/// [W-21] The surplus is told to come back, the others are answered, and all is well after.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_flood_of_sign_ins_is_turned_away(pool: PgPool) {
    let mut app = TestApp::new(&pool).await;
    let ada = app.member("acme", "ada", Role::Reader).await;
    app.parts.password_cost = Cost::standard();
    app.app = app::build(app.parts.clone()).await.unwrap();
    let mut browser = app.browser();
    let token: Arc<str> = browser.get("/sign-in").await.csrf_token().into();
    let mut flood = JoinSet::new();
    for n in 0..150 {
        let (mut browser, token) = (browser.clone(), Arc::clone(&token));
        flood.spawn(async move {
            let email = format!("user{n}@example.org");
            let fields =
                [("csrf_token", &*token), ("email", &email), ("password", "a wrong password")];
            browser.post("/sign-in", &fields).await
        });
    }
    let (mut answered, mut turned_away) = (0, 0);
    for answer in flood.join_all().await {
        match answer.status.as_u16() {
            403 => answered += 1,
            503 => {
                assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
                turned_away += 1;
            }
            other => panic!("{other}: {}", answer.text()),
        }
    }
    assert!(answered >= 1 && turned_away >= 50, "{answered} answered, {turned_away} turned away");
    let after = app.browser().sign_in(&ada.user.email, crate::support::PASSWORD, "/").await;
    assert_eq!(after.status, 303);
}
