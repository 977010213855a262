//! What expired is forgotten, and what lives is not.

use callslip::{
    oauth::apps::{self, Of},
    tenants::Role,
};
use serde_json::Value;
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
    app.app.forget(app.db(), &app.clock).await.unwrap();
    assert_eq!(count(&pool, "sessions").await, 1, "a living session stays");
    assert_eq!(count(&pool, "oauth_authorization_requests").await, 1);

    app.clock.advance(Duration::days(3));
    app.app.forget(app.db(), &app.clock).await.unwrap();
    assert_eq!(count(&pool, "sessions").await, 0);
    assert_eq!(count(&pool, "oauth_authorization_requests").await, 0);
    let refreshed = assistant.refresh(tokens["refresh_token"].as_str().unwrap(), &[]).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.text());
}

/// [D-08] Who registers and never connects is gone after a day; not while somebody is connecting.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_client_that_nobody_connected_goes_after_a_day(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant().await;
    app.clock.advance(Duration::hours(23));
    app.app.forget(app.db(), &app.clock).await.unwrap();
    assert_eq!(count(&pool, "oauth_clients").await, 1);
    app.clock.advance(Duration::hours(2));
    let sent = assistant.authorize(&mut browser, &[]).await;
    assert!(sent.location().starts_with("/oauth/consent"), "{}", sent.text());
    app.app.forget(app.db(), &app.clock).await.unwrap();
    assert_eq!(count(&pool, "oauth_clients").await, 1, "its user is reading the consent page");
    app.clock.advance(Duration::hours(2));
    app.app.forget(app.db(), &app.clock).await.unwrap();
    assert_eq!(count(&pool, "oauth_clients").await, 0);
}

/// [D-08] A client with a living grant stays, however long it is silent; one whose grants are over
/// stays for ninety days after its last use.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_client_with_a_living_grant_stays(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.member("acme", "ada", Role::Reader).await;
    app.store("acme", "Library").await;
    let (silent, ended) = (app.assistant().await, app.assistant().await);
    let mut browser = ada.sign_in().await;
    silent.tokens(&mut browser, &[]).await;
    let tokens = ended.tokens(&mut browser, &[]).await;
    ended.revoke(tokens["refresh_token"].as_str().unwrap()).await;
    let mut today = 0;
    for (day, grants, clients) in [(6, 2, 2), (8, 1, 2), (89, 1, 2), (91, 1, 1), (98, 0, 0)] {
        app.clock.advance(Duration::days(day - today));
        today = day;
        app.app.forget(app.db(), &app.clock).await.unwrap();
        assert_eq!(count(&pool, "oauth_grants").await, grants, "day {day}");
        assert_eq!(count(&pool, "oauth_clients").await, clients, "day {day}");
    }
    for table in ["oauth_authorization_codes", "oauth_refresh_tokens", "oauth_grant_vector_stores"]
    {
        assert_eq!(count(&pool, table).await, 0, "{table}");
    }
}

/// Codes, requests, spent refresh tokens and revocations go once nobody can tell the difference.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_is_spent_goes_in_its_time(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.member("acme", "ada", Role::Reader).await;
    let assistant = app.assistant().await;
    let tokens = assistant.tokens(&mut ada.sign_in().await, &[]).await;
    let text = |tokens: &Value, name: &str| tokens[name].as_str().unwrap().to_owned();
    assistant.revoke(&text(&tokens, "access_token")).await;
    let life = Duration::seconds(tokens["expires_in"].as_i64().unwrap());
    let day = Duration::DAY;
    let mut now = Duration::ZERO;
    for (at, table, rows) in [
        (Duration::minutes(69), "oauth_authorization_requests", 1),
        (Duration::minutes(71), "oauth_authorization_requests", 0),
        (life + Duration::minutes(59), "oauth_revoked_access_tokens", 1),
        (life + Duration::minutes(61), "oauth_revoked_access_tokens", 0),
        (day, "oauth_authorization_codes", 1),
        (day + Duration::minutes(2), "oauth_authorization_codes", 0),
    ] {
        // In the order of the table's times, whatever the access token's life.
        if at > now {
            app.clock.advance(at - now);
            now = at;
        }
        app.app.forget(app.db(), &app.clock).await.unwrap();
        assert_eq!(count(&pool, table).await, rows, "{table} after {at}");
    }
    app.clock.advance(20 * day - now);
    let next = assistant.refresh(&text(&tokens, "refresh_token"), &[]).await.json();
    app.app.forget(app.db(), &app.clock).await.unwrap();
    assert_eq!(count(&pool, "oauth_refresh_tokens").await, 2, "a replay would still be noticed");
    app.clock.advance(11 * day);
    app.app.forget(app.db(), &app.clock).await.unwrap();
    assert_eq!(count(&pool, "oauth_refresh_tokens").await, 1);
    let refreshed = assistant.refresh(&text(&next, "refresh_token"), &[]).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.text());
}

/// What happened outside any tenant is kept for ninety days, and nobody can take it away sooner.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn events_of_the_installation_go_after_ninety_days(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    sqlx::query!(
        "insert into installation_events (id, at, kind)
         select gen_random_uuid(), now() - days * interval '1 day', 'session.refused'
           from unnest(array[0, 89, 91, 400]) as days"
    )
    .execute(&pool)
    .await
    .unwrap();
    // However far ahead the server's own clock is.
    app.clock.advance(Duration::days(365));
    app.app.forget(app.db(), &app.clock).await.unwrap();
    let kept = count(&pool, "installation_events where kind = 'session.refused'").await;
    assert_eq!(kept, 2);
}

/// A back end that was deleted goes with its grant after a week. One that lives stays though nobody
/// uses it, and one that has expired stays in its admin's list without its grant.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn deleted_back_ends_go_and_others_are_their_admins_to_delete(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let store = app.store("acme", "Library").await.to_string();
    let search = [("may", "search"), ("store", store.as_str()), ("life", "90")];
    let gone = app.back_end("acme", "Gone", &search).await;
    let expired = app.back_end("acme", "Expired", &search).await;
    let idle = app.back_end("acme", "Idle", &[("may", "introspect")]).await;
    gone.own_access_token(&[]).await;
    let mut admin = app.member("acme", "grace", Role::Admin).await.sign_in().await;
    let page = "/t/acme/service-clients";
    admin.submit(page, &format!("{page}/{}/delete", gone.client_id), &[]).await;
    app.clock.advance(Duration::days(6));
    app.app.forget(app.db(), &app.clock).await.unwrap();
    assert_eq!((count(&pool, "oauth_grants").await, count(&pool, "oauth_clients").await), (2, 3));
    app.clock.advance(Duration::days(2));
    app.app.forget(app.db(), &app.clock).await.unwrap();
    assert_eq!((count(&pool, "oauth_grants").await, count(&pool, "oauth_clients").await), (1, 2));
    assert_eq!(expired.own_token(&[]).await.status, 200);

    app.clock.advance(Duration::days(91));
    app.app.forget(app.db(), &app.clock).await.unwrap();
    assert_eq!((count(&pool, "oauth_grants").await, count(&pool, "oauth_clients").await), (0, 2));
    assert_eq!(idle.introspect("x").await.json()["active"], false);
    let mut admin = app.member("acme", "hedy", Role::Admin).await.sign_in().await;
    assert_eq!(admin.get(page).await.select("table .badge"), ["Expired", "Active"]);
}

/// A node whose clock is off sweeps nothing: others still need what it takes for over.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn by_a_wrong_clock_nothing_goes(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant().await;
    let tokens = assistant.tokens(&mut browser, &[]).await;
    assistant.revoke(tokens["access_token"].as_str().unwrap()).await;
    app.clock.advance(Duration::days(200));
    app.app.sweep(app.db(), &app.clock).await.unwrap();
    for table in ["sessions", "oauth_revoked_access_tokens", "oauth_grants", "signing_keys"] {
        assert_eq!(count(&pool, table).await, 1, "{table}");
    }
    app.app.forget(app.db(), &app.clock).await.unwrap();
    assert_eq!(count(&pool, "oauth_revoked_access_tokens").await, 0);
    assert_eq!(count(&pool, "oauth_grants").await, 0);
}

/// However much is over, it goes, and at the right clock.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn more_than_one_part_goes(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    sqlx::query!(
        "insert into oauth_used_proofs (digest, expires_at)
         select sha256(number::text::bytea), now() - interval '1 day'
           from generate_series(1, 11000) as number"
    )
    .execute(&pool)
    .await
    .unwrap();
    app.app.sweep(app.db(), &app.clock).await.unwrap();
    assert_eq!(count(&pool, "oauth_used_proofs").await, 0);
}

/// A grant to a client that has become another one is not listed, and the sweep says that it has
/// ended: once, by however many nodes.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn grants_that_nobody_can_use_end(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.member("acme", "ada", Role::Reader).await;
    let mut browser = ada.sign_in().await;
    let (changed, same) = (app.assistant().await, app.assistant().await);
    changed.tokens(&mut browser, &[]).await;
    let kept = same.tokens(&mut browser, &[]).await;
    sqlx::query!(
        "update oauth_clients set version = version + 1 where client_id = $1",
        changed.client_id
    )
    .execute(&pool)
    .await
    .unwrap();
    let of = Of { user: Some(ada.user.id), ..Of::default() };
    let mut tx = app.db().control().await.unwrap();
    let listed = apps::connections(&mut tx, of, app.clock.now(), (9, 0)).await.unwrap();
    drop(tx);
    assert_eq!(listed.iter().map(|one| one.grants).sum::<i64>(), 1);
    let twin = app.twin().await;
    let (one, other) =
        tokio::join!(app.app.sweep(app.db(), &app.clock), twin.app.sweep(twin.db(), &twin.clock));
    one.and(other).unwrap();
    assert_eq!(count(&pool, "oauth_grants where revoked_for = 'client_changed'").await, 1);
    let event = "audit_events where kind = 'grant.revoked' \
                 and detail->>'reason' = 'client_changed'";
    assert_eq!(count(&pool, event).await, 1);
    assert!(app.accepts(kept["access_token"].as_str().unwrap()).await);
}
