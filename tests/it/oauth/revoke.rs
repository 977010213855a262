//! Revocation, by clients and by people.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use callslip::{
    audit::Origin,
    oauth::apps::{self, By, Of},
    tenants::Role,
};
use serde_json::json;
use sqlx::PgPool;

use crate::support::TestApp;

/// A refresh token takes its grant with it; an access token only itself.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_client_gives_tokens_back(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant().await;
    let first = assistant.tokens(&mut browser, &[]).await;
    let refresh_token = first["refresh_token"].as_str().unwrap();
    let second = assistant.refresh(refresh_token, &[]).await.json();
    let token = |tokens: &serde_json::Value, name: &str| tokens[name].as_str().unwrap().to_owned();
    assert_eq!(assistant.revoke(&token(&first, "access_token")).await.status, 200);
    assert!(!app.accepts(&token(&first, "access_token")).await);
    assert!(app.accepts(&token(&second, "access_token")).await);
    assert_eq!(assistant.revoke(&token(&second, "refresh_token")).await.status, 200);
    assert!(!app.accepts(&token(&second, "access_token")).await);
}

/// What is unknown is a 200; another client's token stays; who does not authenticate
/// revokes nothing.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn nobody_revokes_for_others(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant =
        app.assistant_with(&json!({"token_endpoint_auth_method": "client_secret_post"})).await;
    let tokens = assistant.tokens(&mut browser, &[]).await;
    let access_token = tokens["access_token"].as_str().unwrap();
    let refresh_token = tokens["refresh_token"].as_str().unwrap();
    let other = app.assistant().await;
    for token in [access_token, refresh_token, "unknown", "csl_rt_x", "a.b.c"] {
        assert_eq!(other.revoke(token).await.status, 200);
    }
    let mut unproven = assistant.clone();
    unproven.method = "none".to_owned();
    let answer = unproven.revoke(refresh_token).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (401, &"invalid_client".into()));
    assert!(app.accepts(access_token).await);
    let hinted = [("token", refresh_token), ("token_type_hint", "nonsense")];
    assert_eq!(assistant.call("/oauth/revoke", &hinted, &[]).await.status, 200);
    assert!(!app.accepts(access_token).await);
}

/// [C-08] A user finds what they connected, and ends it; nobody ends another one's, or from
/// another tenant.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn people_see_and_end_grants(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.member("acme", "ada", Role::Reader).await;
    let bob = app.member("acme", "bob", Role::Reader).await;
    let store = app.store("acme", "Library").await;
    let (acme, zenith) = (app.tenant("acme").await.id, app.tenant("zenith").await.id);
    let assistant = app.assistant().await;
    let tokens = assistant.tokens(&mut ada.sign_in().await, &[]).await;
    assistant.tokens(&mut bob.sign_in().await, &[]).await;
    let now = app.clock.now();
    let mut tx = app.db().control().await.unwrap();
    let in_tenant = |tenant| Of { tenant: Some(tenant), ..Of::default() };
    let hers = Of { user: Some(ada.user.id), ..Of::default() };
    let all = apps::connections(&mut tx, in_tenant(acme), now, (9, 0)).await.unwrap();
    assert_eq!(all.len(), 2);
    let none = apps::connections(&mut tx, in_tenant(zenith), now, (9, 0)).await.unwrap();
    assert!(none.is_empty());
    let mine = apps::connections(&mut tx, hers, now, (9, 0)).await.unwrap();
    let [app_of_hers] = mine.as_slice() else { panic!("one grant: {mine:?}") };
    assert_eq!(app_of_hers.face.client_name, "Assistant");
    assert_eq!((app_of_hers.tenant, &app_of_hers.stores), (acme, &vec![store]));
    let grant = app_of_hers.grant;
    let by = |user, only_own| By { user, only_own, origin: Origin::default(), at: now };
    assert!(!apps::revoke(&mut tx, acme, grant, &by(bob.user.id, true)).await.unwrap());
    assert!(!apps::revoke(&mut tx, zenith, grant, &by(bob.user.id, false)).await.unwrap());
    assert!(apps::revoke(&mut tx, acme, grant, &by(ada.user.id, true)).await.unwrap());
    assert!(!apps::revoke(&mut tx, acme, grant, &by(ada.user.id, true)).await.unwrap(), "once");
    tx.commit().await.unwrap();
    assert!(!app.accepts(tokens["access_token"].as_str().unwrap()).await);
    let refused = assistant.refresh(tokens["refresh_token"].as_str().unwrap(), &[]).await;
    assert_eq!(refused.json()["error"], "invalid_grant");
    let mut tx = app.db().control().await.unwrap();
    assert!(apps::connections(&mut tx, hers, now, (9, 0)).await.unwrap().is_empty());
}

/// Names of keys that somebody makes up are looked for with no other connection in hand.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn made_up_keys_do_not_stall_the_pool(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let assistant = app.assistant().await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let tokens = assistant.tokens(&mut browser, &[]).await;
    let token = tokens["access_token"].as_str().unwrap();
    let (_, rest) = token.split_once('.').unwrap();
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let kid = B64.encode(rand::random::<[u8; 32]>());
        let head = B64.encode(json!({"typ": "at+jwt", "alg": "EdDSA", "kid": kid}).to_string());
        let (assistant, token) = (assistant.clone(), format!("{head}.{rest}"));
        crowd.spawn(async move { assistant.revoke(&token).await.status });
    }
    let statuses = crowd.join_all().await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert!(app.accepts(token).await);
}
