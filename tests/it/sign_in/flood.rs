//! More sign-ins than the machine can hash.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use callslip::{app, tenants::Role, users::password::Cost};
use sqlx::PgPool;
use tokio::task::JoinSet;

use crate::support::{PASSWORD, TestApp};

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
            let begun = Instant::now();
            (browser.post("/sign-in", &fields).await, begun.elapsed())
        });
    }
    let (mut answered, mut turned_away) = (0, Vec::new());
    for (answer, took) in flood.join_all().await {
        match answer.status.as_u16() {
            403 => answered += 1,
            503 => {
                assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1);
                turned_away.push(took);
            }
            other => panic!("{other}: {}", answer.text()),
        }
    }
    assert!(answered >= 1 && turned_away.len() >= 50, "{answered} answered, {turned_away:?}");
    turned_away.sort();
    assert!(turned_away[turned_away.len() / 2] < Duration::from_millis(100), "{turned_away:?}");
    let after = app.browser().sign_in(&ada.user.email, PASSWORD, "/").await;
    assert_eq!(after.status, 303);
}
