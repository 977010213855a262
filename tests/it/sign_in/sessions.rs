//! Sessions: made at sign-in, over when the server says so.

use callslip::{
    secret::{Kind, Plaintext},
    sign_in::session,
    tenants::{self, Role},
};
use sqlx::PgPool;
use time::Duration;

use crate::support::{Browser, PASSWORD, TestApp};

async fn is_alive(browser: &mut Browser) -> bool {
    browser.get("/probe/signed-in").await.status == 200
}

/// [W-35] 256 random bits in the cookie, their hash in the database.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_database_holds_a_hash(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let browser = app.person("ada").await.sign_in().await;
    let secret = browser.session().unwrap();
    // Prefix, 43 characters of base64url (256 bits), checksum.
    assert_eq!(secret.len(), "csl_se_".len() + 43 + 6);
    let stored: Vec<Vec<u8>> =
        sqlx::query_scalar("select secret_hash from sessions").fetch_all(&pool).await.unwrap();
    let hash = Plaintext::presented(Kind::Session, secret).unwrap().hash();
    assert_eq!(stored, [hash.as_bytes()]);
    let other = app.person("bob").await.sign_in().await;
    assert_ne!(other.session(), Some(secret));
}

/// [W-35] A session that was planted before sign-in is not the one that sign-in makes.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_planted_session_is_worth_nothing(pool: PgPool) {
    let app = TestApp::new(&pool).await.with_probes();
    let ada = app.person("ada").await;
    let planted = Plaintext::generate(Kind::Session).expose().to_owned();
    let mut victim = app.browser();
    victim.cookies.insert("__Host-sid".to_owned(), planted.clone());
    assert_eq!(victim.sign_in(&ada.user.email, PASSWORD, "/").await.status, 303);
    assert_ne!(victim.session(), Some(planted.as_str()));
    assert!(is_alive(&mut victim).await);
    let mut attacker = app.browser();
    attacker.cookies.insert("__Host-sid".to_owned(), planted);
    assert!(!is_alive(&mut attacker).await);
}

/// [W-35] Signing in again ends the session that the browser carried.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn signing_in_again_ends_the_session_before(pool: PgPool) {
    let app = TestApp::new(&pool).await.with_probes();
    let (ada, bob) = (app.person("ada").await, app.person("bob").await);
    let mut browser = ada.sign_in().await;
    let mut before = browser.clone();
    let token = browser.get("/probe/token").await.text();
    let fields =
        [("csrf_token", token.as_str()), ("email", &bob.user.email), ("password", PASSWORD)];
    assert_eq!(browser.post("/sign-in", &fields).await.status, 303);
    assert_eq!(browser.get("/probe/signed-in").await.text(), bob.user.email);
    assert!(!is_alive(&mut before).await);
}

/// Signing out ends the session on the server and leaves the user's others.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn signing_out_ends_one_session(pool: PgPool) {
    let app = TestApp::new(&pool).await.with_probes();
    let ada = app.person("ada").await;
    let (mut here, mut there) = (ada.sign_in().await, ada.sign_in().await);
    let mut copy = here.clone();
    let token = here.get("/probe/token").await.text();
    assert_eq!(here.sign_out(&token).await.location(), "/sign-in");
    assert_eq!(here.session(), None);
    assert!(!is_alive(&mut copy).await);
    assert!(is_alive(&mut there).await);
}

/// [W-36] Unused: half an hour for those who manage something, a day for the others.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_unused_session_ends(pool: PgPool) {
    let app = TestApp::new(&pool).await.with_probes();
    let mut reader = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let mut managers = [
        app.member("acme", "bob", Role::Admin).await.sign_in().await,
        app.member("acme", "cas", Role::Owner).await.sign_in().await,
        app.operator("olga").await.sign_in().await,
    ];
    app.clock.advance(Duration::minutes(29));
    for manager in &mut managers {
        assert!(is_alive(manager).await);
    }
    app.clock.advance(Duration::minutes(29));
    for manager in &mut managers {
        assert!(is_alive(manager).await, "using it prolongs it");
    }
    app.clock.advance(Duration::minutes(30));
    for manager in &mut managers {
        assert!(!is_alive(manager).await);
    }
    assert!(is_alive(&mut reader).await);
    app.clock.advance(Duration::hours(24));
    assert!(!is_alive(&mut reader).await);
}

/// [W-36] However much it is used: half a day for those who manage something, else 30 days.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_used_session_ends_too(pool: PgPool) {
    let app = TestApp::new(&pool).await.with_probes();
    let mut reader = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let mut admin = app.member("acme", "bob", Role::Admin).await.sign_in().await;
    for _ in 0..35 {
        app.clock.advance(Duration::minutes(20));
        assert!(is_alive(&mut admin).await);
    }
    app.clock.advance(Duration::minutes(20));
    assert!(!is_alive(&mut admin).await);
    assert!(is_alive(&mut reader).await); // after twelve hours
    for _ in 0..30 {
        app.clock.advance(Duration::hours(23));
        assert!(is_alive(&mut reader).await);
    }
    app.clock.advance(Duration::hours(17));
    assert!(is_alive(&mut reader).await);
    app.clock.advance(Duration::hours(1));
    assert!(!is_alive(&mut reader).await);
}

/// [W-36] Whoever begins to manage something gets the shorter life at once.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_promotion_shortens_the_session(pool: PgPool) {
    let app = TestApp::new(&pool).await.with_probes();
    let ada = app.member("acme", "ada", Role::Reader).await;
    let mut browser = ada.sign_in().await;
    app.clock.advance(Duration::hours(1));
    let tenant = app.tenant("acme").await;
    let mut tx = app.db().control().await.unwrap();
    let changed =
        tenants::store::change_role(&mut tx, tenant.id, ada.user.id, Role::Admin).await.unwrap();
    assert_eq!(changed, Ok(()));
    tx.commit().await.unwrap();
    assert!(!is_alive(&mut browser).await);
}

/// Disabling an account ends its sessions, and nobody signs in to it.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_disabled_account_is_out_at_once(pool: PgPool) {
    let app = TestApp::new(&pool).await.with_probes();
    let ada = app.person("ada").await;
    let mut browser = ada.sign_in().await;
    assert!(app.accounts().disable_user(ada.user.id).await.unwrap());
    assert!(!is_alive(&mut browser).await);
    assert_eq!(app.browser().sign_in(&ada.user.email, PASSWORD, "/").await.status, 403);
    assert!(!app.accounts().disable_user(ada.user.id).await.unwrap());
}

/// The sweep takes what is over and leaves what is not.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_sweep_takes_only_what_is_over(pool: PgPool) {
    let app = TestApp::new(&pool).await.with_probes();
    app.person("ada").await.sign_in().await;
    app.clock.advance(Duration::hours(23));
    let mut bob = app.person("bob").await.sign_in().await;
    app.clock.advance(Duration::hours(1));
    let mut tx = app.db().control().await.unwrap();
    assert_eq!(session::purge(&mut tx, app.clock.now()).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert!(is_alive(&mut bob).await);
}
