//! Refresh tokens: rotation, lost answers, theft.

use std::collections::HashSet;

use callslip::tenants::{self, Role};
use sqlx::PgPool;
use time::Duration;
use tokio::task::JoinSet;

use super::waiters;
use crate::support::{Answer, Assistant, ORIGIN, TestApp};

struct Line {
    app: TestApp,
    assistant: Assistant,
    access_token: String,
    refresh_token: String,
}

/// A connected assistant.
async fn line(pool: &PgPool) -> Line {
    let app = TestApp::new(pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant().await;
    let tokens = assistant.tokens(&mut browser, &[]).await;
    let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
    let (access_token, refresh_token) = (text("access_token"), text("refresh_token"));
    Line { app, assistant, access_token, refresh_token }
}

impl Line {
    /// Refresh, which must succeed: the next refresh token.
    async fn next(&self, refresh_token: &str) -> String {
        let answer = self.assistant.refresh(refresh_token, &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["refresh_token"].as_str().unwrap().to_owned()
    }

    /// Refresh, which must be refused.
    async fn refused(&self, refresh_token: &str) {
        assert_refused(&self.assistant.refresh(refresh_token, &[]).await);
    }

    /// The same assistant, connected once more.
    async fn again(&self) -> Self {
        let mut browser = self.app.browser();
        browser.sign_in("ada@acme.example", crate::support::PASSWORD, "/").await;
        let tokens = self.assistant.tokens(&mut browser, &[]).await;
        let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
        let (access_token, refresh_token) = (text("access_token"), text("refresh_token"));
        let (app, assistant) = (self.app.clone(), self.assistant.clone());
        Self { app, assistant, access_token, refresh_token }
    }

    async fn is_alive(&self) -> bool {
        self.app.accepts(&self.access_token).await
    }
}

#[track_caller]
fn assert_refused(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (400, &"invalid_grant".into()));
}

/// Every refresh rotates: a new token each time, the scope as it was.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn every_refresh_rotates(pool: PgPool) {
    let line = line(&pool).await;
    let mut token = line.refresh_token.clone();
    for _ in 0..4 {
        let next = line.next(&token).await;
        assert_ne!(next, token);
        token = next;
    }
    assert!(line.is_alive().await);
    assert_eq!(line.app.count("oauth_refresh_tokens").await, 5);
}

/// Who lost the answer tries again with the predecessor: three times, within a
/// minute, until the successor is used.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_lost_answer_strands_nobody(pool: PgPool) {
    let line = line(&pool).await;
    line.next(&line.refresh_token).await;
    line.next(&line.refresh_token).await;
    line.app.clock.advance(Duration::seconds(50));
    line.next(&line.refresh_token).await;
    let last = line.next(&line.refresh_token).await;
    // Once more is too often, and harms nobody.
    line.refused(&line.refresh_token).await;
    assert!(line.is_alive().await);
    line.next(&last).await;
    assert!(line.is_alive().await);
}

/// After a minute the predecessor is spent for good.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_window_closes_after_a_minute(pool: PgPool) {
    let line = line(&pool).await;
    line.next(&line.refresh_token).await;
    line.app.clock.advance(Duration::seconds(61));
    line.refused(&line.refresh_token).await;
    assert!(!line.is_alive().await);
}

/// A tenant's own window, in seconds.
async fn set_window(pool: &PgPool, seconds: i16) {
    sqlx::query(
        "insert into tenant_oauth_policies (tenant_id, refresh_retry_seconds, updated_at)
         select id, $1, now() from tenants
             on conflict (tenant_id) do update set refresh_retry_seconds = $1",
    )
    .bind(seconds)
    .execute(pool)
    .await
    .unwrap();
}

/// A tenant's window is neither longer nor shorter than it says, and no tenant's is longer
/// than five minutes.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_tenant_sets_its_window(pool: PgPool) {
    let line = line(&pool).await;
    for seconds in [20, 60, 300] {
        set_window(&pool, seconds).await;
        let connected = line.again().await;
        connected.next(&connected.refresh_token).await;
        connected.app.clock.advance(Duration::seconds(i64::from(seconds) - 10));
        // Three times and no more, however long the window is.
        for _ in 0..3 {
            connected.next(&connected.refresh_token).await;
        }
        connected.refused(&connected.refresh_token).await;
        assert!(connected.is_alive().await, "{seconds}");
        connected.app.clock.advance(Duration::seconds(11));
        connected.refused(&connected.refresh_token).await;
        assert!(!connected.is_alive().await, "{seconds}");
    }
    let too_long = "update tenant_oauth_policies set refresh_retry_seconds = 301";
    assert!(sqlx::query(too_long).execute(&pool).await.is_err());
}

/// With a window of nothing, the predecessor is spent at once.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_tenant_may_have_no_window(pool: PgPool) {
    let line = line(&pool).await;
    set_window(&pool, 0).await;
    let second = line.next(&line.refresh_token).await;
    let third = line.next(&second).await;
    assert!(line.is_alive().await);
    line.refused(&second).await;
    assert!(!line.is_alive().await);
    line.refused(&third).await;
}

/// Two generations old is theft, however little time has passed and however long the window:
/// everything of the grant ends.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn two_generations_old_is_theft_inside_the_window(pool: PgPool) {
    let line = line(&pool).await;
    set_window(&pool, 300).await;
    let second = line.next(&line.refresh_token).await;
    let third = line.next(&second).await;
    // No second has passed, and the predecessor itself would still do.
    assert_eq!(line.next(&second).await, third);
    assert!(line.is_alive().await);
    line.refused(&line.refresh_token).await;
    assert!(!line.is_alive().await);
    line.refused(&second).await;
    line.refused(&third).await;
    let told: i64 = sqlx::query_scalar(
        "select count(*) from audit_events
          where kind = 'token.reused' and detail ->> 'reason' = 'refresh_reuse'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(told, 1);
}

/// A predecessor that comes back after its successor was used is in two hands: everything
/// of the grant ends, and an event says so.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_spent_token_ends_the_family(pool: PgPool) {
    let line = line(&pool).await;
    let second = line.next(&line.refresh_token).await;
    let third = line.next(&second).await;
    line.refused(&line.refresh_token).await;
    assert!(!line.is_alive().await);
    line.refused(&third).await;
    let reason: String = sqlx::query_scalar(
        "select detail ->> 'reason' from audit_events where kind = 'token.reused'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(reason, "refresh_reuse");
}

/// A client with two processes refreshes in both: they get the same token, and go on
/// with it in both.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_retry_gets_the_same_token(pool: PgPool) {
    let line = line(&pool).await;
    let mut token = line.refresh_token.clone();
    for _ in 0..3 {
        let here = line.assistant.refresh(&token, &[]).await.json();
        let there = line.assistant.refresh(&token, &[]).await.json();
        assert_eq!(here["refresh_token"], there["refresh_token"]);
        assert_ne!(here["access_token"], there["access_token"]);
        assert_ne!(here["refresh_token"], token);
        here["refresh_token"].as_str().unwrap().clone_into(&mut token);
        for tokens in [here, there] {
            assert!(line.app.accepts(tokens["access_token"].as_str().unwrap()).await);
        }
        line.app.clock.advance(Duration::minutes(55));
    }
    assert_eq!(line.app.count("oauth_refresh_tokens").await, 4, "no token has a sibling");
}

/// Fifty at once, over two processes: one lineage, and the three answers of the window.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn of_fifty_racing_refreshes_one_lineage_comes(pool: PgPool) {
    let line = line(&pool).await;
    let other = TestApp::new(&pool).await;
    let mut race = JoinSet::new();
    for place in 0..50 {
        let assistant = line.assistant.at(if place % 2 == 0 { &line.app } else { &other });
        let token = line.refresh_token.clone();
        race.spawn(async move { assistant.refresh(&token, &[]).await });
    }
    let answers = race.join_all().await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 200);
    assert_eq!(won.len(), 4);
    lost.into_iter().for_each(assert_refused);
    let successors: HashSet<String> =
        won.iter().map(|answer| answer.json()["refresh_token"].to_string()).collect();
    assert_eq!(successors.len(), 1, "all of them got the same token");
    let successor = won[0].json()["refresh_token"].as_str().unwrap().to_owned();
    assert_eq!(line.app.count("oauth_refresh_tokens").await, 2);
    assert!(line.is_alive().await);
    line.next(&successor).await;
    assert!(line.is_alive().await, "the line goes on from there");
}

/// However often one token comes while its grant is held, there are connections for everybody else.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn one_token_does_not_occupy_the_pool(pool: PgPool) {
    let line = line(&pool).await;
    let other = line.app.assistant().await;
    let mut browser = line.app.member("acme", "bob", Role::Reader).await.sign_in().await;
    let code = other.code(&mut browser, &[]).await;
    let mut lock = pool.begin().await.unwrap();
    sqlx::query!(
        "select id from oauth_grants where client_id = $1 for update",
        line.assistant.client_id
    )
    .fetch_one(&mut *lock)
    .await
    .unwrap();
    let mut waiting = JoinSet::new();
    for _ in 0..60 {
        let (assistant, token) = (line.assistant.clone(), line.refresh_token.clone());
        waiting.spawn(async move { assistant.refresh(&token, &[]).await.status });
    }
    // Until the first of them waits for the grant.
    waiters(&pool).await;
    assert_eq!(other.exchange(&code, &[]).await.status, 200);
    lock.rollback().await.unwrap();
    let statuses = waiting.join_all().await;
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 4, "{statuses:?}");
}

/// Who was let go and is taken back in begins with nothing: what they had connected stays dead.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn coming_back_revives_nothing(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.member("acme", "ada", Role::Reader).await;
    app.member("acme", "olga", Role::Owner).await;
    ada.join("borealis", Role::Reader).await;
    let acme = app.tenant("acme").await;
    let assistant = app.assistant().await;
    let mut browser = ada.sign_in().await;
    let mut connected = Vec::new();
    for tenant in ["acme", "borealis"] {
        let resource = format!("{ORIGIN}/t/{tenant}/mcp");
        let tokens = assistant.tokens(&mut browser, &[("resource", &resource)]).await;
        let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
        connected.push((text("access_token"), text("refresh_token")));
    }
    let mut tx = app.db().control().await.unwrap();
    let removed = tenants::store::remove_member(&mut tx, acme.id, ada.user.id).await.unwrap();
    assert!(removed.is_ok());
    tx.commit().await.unwrap();
    ada.join("acme", Role::Reader).await;
    assert!(!app.accepts(&connected[0].0).await);
    assert_refused(&assistant.refresh(&connected[0].1, &[]).await);
    // What they connected elsewhere is none of that tenant's business.
    assert!(app.accepts(&connected[1].0).await);
    assert_eq!(assistant.refresh(&connected[1].1, &[]).await.status, 200);
}

/// In another client's hands a refresh token has leaked: the grant ends.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn in_other_hands_it_ends_the_grant(pool: PgPool) {
    let line = line(&pool).await;
    let thief = line.app.assistant().await;
    assert_refused(&thief.refresh(&line.refresh_token, &[]).await);
    assert!(!line.is_alive().await);
}

/// Unused for thirty days it ends; after ninety it ends however often it was used.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn it_ends_when_idle_and_at_last(pool: PgPool) {
    let idle = line(&pool).await;
    idle.app.clock.advance(Duration::days(30));
    idle.refused(&idle.refresh_token).await;

    let mut browser = idle.app.browser();
    let email = "ada@acme.example";
    browser.sign_in(email, crate::support::PASSWORD, "/").await;
    let tokens = idle.assistant.tokens(&mut browser, &[]).await;
    let mut token = tokens["refresh_token"].as_str().unwrap().to_owned();
    for _ in 0..4 {
        idle.app.clock.advance(Duration::days(22));
        token = idle.next(&token).await;
    }
    idle.app.clock.advance(Duration::days(2));
    idle.refused(&token).await;
}

/// What ends the user's, the tenant's or the client's life ends the next refresh and call.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn it_dies_with_what_it_stands_on(pool: PgPool) {
    let line = line(&pool).await;
    for (end, undo) in [
        ("update users set disabled_at = now()", "update users set disabled_at = null"),
        ("update tenants set suspended_at = now()", "update tenants set suspended_at = null"),
        (
            "update oauth_clients set disabled_at = now()",
            "update oauth_clients set disabled_at = null",
        ),
        ("delete from memberships", "select 1"),
    ] {
        assert!(line.is_alive().await, "before: {end}");
        sqlx::query(end).execute(&pool).await.unwrap();
        assert!(!line.is_alive().await, "{end}");
        let answer = line.assistant.refresh(&line.refresh_token, &[]).await;
        assert!(answer.status == 400 || answer.status == 401, "{end}: {}", answer.text());
        sqlx::query(undo).execute(&pool).await.unwrap();
    }
}

/// In the database there is a hash and nothing that could be presented.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn only_a_hash_is_stored(pool: PgPool) {
    let line = line(&pool).await;
    assert_eq!(line.refresh_token.len(), "csl_rt_".len() + 43 + 6);
    let dump: String = sqlx::query_scalar(
        "select concat((select jsonb_agg(to_jsonb(t)) from oauth_refresh_tokens t),
                       (select jsonb_agg(to_jsonb(t)) from oauth_authorization_codes t),
                       (select jsonb_agg(to_jsonb(t)) from oauth_authorization_requests t),
                       (select jsonb_agg(to_jsonb(t)) from oauth_grants t),
                       (select jsonb_agg(to_jsonb(t)) from oauth_clients t),
                       (select jsonb_agg(to_jsonb(t)) from audit_events t))",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert!(dump.contains("secret_hash"));
    let secret = &line.refresh_token[7..27];
    let in_bytes: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    assert!(!dump.contains(secret) && !dump.contains(&in_bytes));
    assert!(!dump.contains("csl_"));
    // The hash itself is not accepted.
    let hash: String =
        sqlx::query_scalar("select encode(secret_hash, 'hex') from oauth_refresh_tokens")
            .fetch_one(&pool)
            .await
            .unwrap();
    line.refused(&hash).await;
}
