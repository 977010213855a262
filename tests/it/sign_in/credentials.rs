//! What is compared at sign-in, and what a failure tells.

use std::time::{Duration, Instant};

use callslip::{
    app,
    sign_in::accounts::NewAccount,
    tenants::Role,
    users::password::{Cost, Password},
};
use sqlx::PgPool;

use crate::support::{Answer, PASSWORD, TestApp};

async fn stored_hash(app: &TestApp, email: &str) -> String {
    sqlx::query_scalar("select password_hash from users where email = $1")
        .bind(email)
        .fetch_one(&app.pool)
        .await
        .unwrap()
}

/// The same database behind an application with today's cost.
async fn at_standard_cost(app: &TestApp) -> TestApp {
    let mut dear = app.clone();
    dear.parts.password_cost = Cost::standard();
    dear.app = app::build(dear.parts.clone()).await.unwrap();
    dear
}

/// [W-20] When the cost rises, a sign-in brings the stored hash up to it, once.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn signing_in_renews_a_cheap_hash(pool: PgPool) {
    let cheap = TestApp::new(&pool).await;
    let ada = cheap.member("acme", "ada", Role::Reader).await.user.email;
    let before = stored_hash(&cheap, &ada).await;
    assert!(before.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{before}");

    let dear = at_standard_cost(&cheap).await;
    let wrong = dear.browser().sign_in(&ada, "not the password at all", "/").await;
    assert_eq!(wrong.status, 403);
    assert_eq!(stored_hash(&cheap, &ada).await, before);
    assert_eq!(dear.browser().sign_in(&ada, PASSWORD, "/").await.status, 303);
    let after = stored_hash(&cheap, &ada).await;
    assert!(after.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{after}");
    assert_eq!(dear.browser().sign_in(&ada, PASSWORD, "/").await.status, 303);
    assert_eq!(stored_hash(&cheap, &ada).await, after);
}

/// [W-22] Long passwords, other scripts and NUL work; beyond 1,024 bytes nothing is hashed.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn passwords_are_taken_whole(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let long = "long word ".repeat(25);
    let most = "x".repeat(1024);
    for (name, chosen, typed) in [
        ("long", long.as_str(), long.as_str()),
        ("most", most.as_str(), most.as_str()),
        ("nul", "before\0after the nul", "before\0after the nul"),
        ("space", "  blanks at both ends  ", "  blanks at both ends  "),
        ("accent", "caf\u{e9} au lait sur la place", "cafe\u{301} au lait sur la place"),
    ] {
        let email = format!("{name}@example.org");
        let new = NewAccount {
            email: email.parse().unwrap(),
            name: name.parse().unwrap(),
            password: Password::presented(chosen).unwrap(),
            is_operator: false,
        };
        app.accounts().create_user(new).await.unwrap().unwrap();
        assert_eq!(app.browser().sign_in(&email, typed, "/").await.status, 303, "{name}");
        let mut shorter = typed.to_owned();
        shorter.pop();
        assert_eq!(app.browser().sign_in(&email, &shorter, "/").await.status, 403, "{name}");
    }
    let beyond = "x".repeat(1025);
    assert_eq!(app.browser().sign_in("most@example.org", &beyond, "/").await.status, 400);
}

/// An answer without what names the request and repeats the address that was typed.
fn essence(answer: &Answer, email: &str) -> (u16, Vec<(String, String)>, String) {
    let mut headers: Vec<(String, String)> = answer
        .headers
        .iter()
        .filter(|(name, _)| *name != "x-request-id")
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    (answer.status.as_u16(), headers, answer.text().replace(email, "TYPED"))
}

/// [W-25] Nothing in the answer tells an unknown address from a wrong password, or from an
/// account that is switched off.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_refusal_does_not_tell_who_exists(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.member("acme", "ada", Role::Reader).await;
    let off = app.member("acme", "off", Role::Reader).await;
    app.accounts().disable_user(off.user.id).await.unwrap();
    let mut browser = app.browser();
    browser.get("/sign-in").await;
    let wrong = browser.sign_in(&ada.user.email, "a wrong password", "/t/acme").await;
    let wrong = essence(&wrong, &ada.user.email);
    assert_eq!(wrong.0, 403);
    for (email, password) in [
        ("eve@acme.example", "a wrong password"),
        ("eve@acme.example", PASSWORD),
        (off.user.email.as_str(), PASSWORD),
        ("no address here!", PASSWORD),
    ] {
        assert_eq!(email.len(), ada.user.email.len(), "the length is part of the answer");
        let answer = browser.sign_in(email, password, "/t/acme").await;
        assert_eq!(essence(&answer, email), wrong, "{email}");
    }
    assert_eq!(browser.session(), None);
}

/// [W-25] An unknown address takes as long as a wrong password, since it costs a hash as well.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_refusal_takes_as_long_for_nobody(pool: PgPool) {
    let cheap = TestApp::new(&pool).await;
    let ada = cheap.member("acme", "ada", Role::Reader).await.user.email;
    let app = at_standard_cost(&cheap).await;
    assert_eq!(app.browser().sign_in(&ada, PASSWORD, "/").await.status, 303); // renews the hash
    let mut browser = app.browser();
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..15 {
        for (email, times) in [ada.as_str(), "eve@acme.example"].iter().zip(&mut times) {
            let begun = Instant::now();
            let answer = browser.sign_in(email, "a wrong password", "/").await;
            times.push(begun.elapsed());
            assert_eq!(answer.status, 403);
        }
    }
    let [known, unknown] = times.map(|mut times| {
        times.sort();
        times[times.len() / 2]
    });
    assert!(known > Duration::from_millis(5), "hashing was skipped: {known:?}");
    let (less, more) = (known.min(unknown), known.max(unknown));
    assert!(more.as_secs_f64() < 1.5 * less.as_secs_f64(), "{known:?} and {unknown:?}");
}

#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_address_is_recognised_however_it_is_typed(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    app.member("acme", "ada", Role::Reader).await;
    let answer = app.browser().sign_in(" ADA@Acme.example ", PASSWORD, "/").await;
    assert_eq!(answer.status, 303);
}

/// Tries are limited by account; waiting helps, and a right password costs nothing.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn guessing_is_slowed_down(pool: PgPool) {
    let app = TestApp::with(&pool, &[("CALLSLIP_RATE_LIMIT_SCALE", "1")]).await;
    let ada = app.member("acme", "ada", Role::Reader).await;
    let bob = app.member("acme", "bob", Role::Reader).await;
    for _ in 0..15 {
        ada.sign_in().await;
    }
    let mut browser = app.browser();
    for _ in 0..10 {
        let answer = browser.sign_in(&ada.user.email, "a wrong password", "/").await;
        assert_eq!(answer.status, 403);
    }
    for typed in [ada.user.email.clone(), ada.user.email.to_uppercase()] {
        let refused = browser.sign_in(&typed, PASSWORD, "/").await;
        assert_eq!(refused.status, 429);
        let seconds: u64 = refused.header("retry-after").parse().unwrap();
        assert!((1..=20).contains(&seconds), "{seconds}");
    }
    bob.sign_in().await;
    app.clock.advance(time::Duration::seconds(20));
    ada.sign_in().await;
}

/// What happened is on record, without what was typed.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn sign_ins_are_audited(pool: PgPool) {
    let app = TestApp::new(&pool).await.with_probes();
    let ada = app.member("acme", "ada", Role::Reader).await;
    app.browser().sign_in(&ada.user.email, "canary wrong password", "/").await;
    let mut browser = ada.sign_in().await;
    let token = browser.get("/probe/token").await.text();
    browser.sign_out(&token).await;
    let events: Vec<(String, Option<uuid::Uuid>, Option<String>, String)> = sqlx::query_as(
        "select kind, user_id, address, installation_events::text
           from installation_events where kind not like 'signing_key.%' order by id",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap();
    let who = Some(ada.user.id.uuid());
    let told: Vec<(&str, Option<uuid::Uuid>)> =
        events.iter().map(|(kind, user, ..)| (kind.as_str(), *user)).collect();
    assert_eq!(
        told,
        [
            ("user.created", who),
            ("session.refused", None),
            ("session.created", who),
            ("session.ended", who)
        ]
    );
    for (_, _, address, row) in &events[1..] {
        assert_eq!(address.as_deref(), Some("192.0.2.0/24"));
        assert!(!row.contains("canary") && !row.contains("ada@"), "{row}");
    }
}
