//! Keys that clients publish.

use serde_json::json;
use sqlx::PgPool;
use time::Duration;
use tokio::task::JoinSet;

use super::{JWKS_URI, Scene, Signer, assert_refused, knock, set};
use crate::support::{ClientKey, document_host::Reply};

/// Keys are fetched once for everybody who waits, and no connection to the database waits along.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn many_who_wait_share_one_fetch(pool: PgPool) {
    let scene = Scene::new(&pool).await;
    let key = ClientKey::new();
    scene.publish(&[(&key, "k1")], 3600);
    let signer = scene.app.publisher(&key, "k1").await;
    scene.host.hold();
    let mut waiting = JoinSet::new();
    for _ in 0..50 {
        let (app, assertion) = (scene.app.clone(), signer.good());
        waiting.spawn(async move { knock(&app, &assertion).await.status });
    }
    scene.host.until_open(1).await;
    // The pool is smaller than the crowd: this would wait for its turn.
    assert_eq!(signer.assistant.app.get("/readyz").await.status, 200);
    let basic = scene.app.assistant().await;
    assert_eq!(basic.revoke("nothing").await.status, 200);
    scene.host.release();
    assert!(waiting.join_all().await.iter().all(|status| *status == 200));
    assert_eq!(scene.host.asked_for(JWKS_URI), 1);
}

/// An unknown `kid` has the keys read again, at most once in ten seconds; so a client that changes
/// its key is known again at once, and a stranger who invents names causes little.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_unknown_kid_is_looked_for_once_in_ten_seconds(pool: PgPool) {
    let scene = Scene::new(&pool).await;
    let (key, next) = (ClientKey::new(), ClientKey::ed25519());
    scene.publish(&[(&key, "k1")], 3600);
    let signer = scene.app.publisher(&key, "k1").await;
    assert_eq!(signer.knock(&signer.good()).await.status, 200);
    scene.app.clock.advance(Duration::seconds(11));

    scene.publish(&[(&key, "k1"), (&next, "k2")], 3600);
    let rolled = Signer { assistant: signer.assistant.clone(), key: &next, kid: "k2" };
    assert_eq!(rolled.knock(&rolled.good()).await.status, 200);
    assert_eq!(scene.host.asked_for(JWKS_URI), 2);
    for number in 0..20 {
        let invented = signer.assertion(&json!({ "kid": format!("x{number}") }), &json!({}));
        let answer = signer.knock(&invented).await;
        assert_eq!(answer.header("retry-after"), "10", "who has just changed its key comes again");
        assert_refused(&answer, 503, "temporarily_unavailable");
    }
    assert_eq!(scene.host.asked_for(JWKS_URI), 2);
    assert_eq!(signer.knock(&signer.good()).await.status, 200);
    scene.app.clock.advance(Duration::seconds(11));
    let invented = signer.assertion(&json!({ "kid": "y" }), &json!({}));
    assert_refused(&signer.knock(&invented).await, 401, "invalid_client");
    assert_eq!(scene.host.asked_for(JWKS_URI), 3);
}

/// A key without a name is taken where it is the only one that fits, and among several is not.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn without_a_kid_only_one_key_may_fit(pool: PgPool) {
    let scene = Scene::new(&pool).await;
    let (key, ed25519, second) = (ClientKey::new(), ClientKey::ed25519(), ClientKey::new());
    scene.publish(&[(&key, "k1"), (&ed25519, "k2")], 300);
    let signer = scene.app.publisher(&key, "").await;
    assert_eq!(signer.knock(&signer.good()).await.status, 200);
    scene.publish(&[(&key, "k1"), (&second, "k2")], 300);
    scene.app.clock.advance(Duration::seconds(301));
    assert_refused(&signer.knock(&signer.good()).await, 401, "invalid_client");
}

/// What a host withdraws is gone when its time is over; a host that is away is trusted for a day.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn keys_are_kept_for_their_time_and_a_day_at_most(pool: PgPool) {
    let scene = Scene::new(&pool).await;
    let (key, next) = (ClientKey::new(), ClientKey::new());
    scene.publish(&[(&key, "k1")], 1);
    let signer = scene.app.publisher(&key, "k1").await;
    assert_eq!(signer.knock(&signer.good()).await.status, 200);
    scene.app.clock.advance(Duration::seconds(299));
    assert_eq!(signer.knock(&signer.good()).await.status, 200);
    assert_eq!(scene.host.asked_for(JWKS_URI), 1, "five minutes at least");

    let elsewhere = [("location", "https://app.example/jwks.json")];
    for reply in [
        Reply::new(503, &[], ""),
        Reply::new(302, &elsewhere, ""),
        Reply::new(200, &[], "{}"),
        Reply::new(200, &[], &format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(65_536))),
    ] {
        scene.host.say(JWKS_URI, reply);
        scene.app.clock.advance(Duration::seconds(11));
        assert_eq!(signer.knock(&signer.good()).await.status, 200);
    }
    assert_eq!(scene.host.asked_for("https://app.example/jwks.json"), 0);
    scene.app.clock.advance(Duration::DAY);
    let answer = signer.knock(&signer.good()).await;
    assert_refused(&answer, 503, "temporarily_unavailable");

    scene.publish(&[(&next, "k1")], 1);
    scene.app.clock.advance(Duration::seconds(11));
    assert_refused(&signer.knock(&signer.good()).await, 401, "invalid_client");
    let renewed = Signer { assistant: signer.assistant.clone(), key: &next, kid: "k1" };
    assert_eq!(renewed.knock(&renewed.good()).await.status, 200);
}

/// Keys are the client's public ones, at an address that may be read, or it is not registered.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn registered_keys_are_public_and_in_one_place(pool: PgPool) {
    let scene = Scene::new(&pool).await;
    let key = ClientKey::new();
    let good = set(&[(&key, "k1")]);
    let mut private = good.clone();
    private["keys"][0]["d"] = "AAAA".into();
    for (jwks, jwks_uri) in [
        (json!(null), json!(null)),
        (good.clone(), json!(JWKS_URI)),
        (private, json!(null)),
        (json!({ "keys": [] }), json!(null)),
        (json!({ "keys": [{ "kty": "oct", "k": "AAAA" }] }), json!(null)),
        (json!(null), json!("http://keys.example/jwks.json")),
        (json!(null), json!("file:///etc/passwd")),
    ] {
        let metadata = json!({
            "redirect_uris": ["https://assistant.example/cb"],
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": jwks,
            "jwks_uri": jwks_uri,
        });
        let answer = scene.app.register(&metadata).await;
        assert_refused(&answer, 400, "invalid_client_metadata");
    }
    let metadata = json!({
        "redirect_uris": ["https://assistant.example/cb"],
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256",
        "jwks": good,
    });
    let answer = scene.app.register(&metadata).await.json();
    assert_eq!((&answer["jwks"], &answer["client_secret"]), (&good, &json!(null)));
    assert_eq!(answer["token_endpoint_auth_signing_alg"], "ES256");
}

/// An assertion is spent by whatever it was good enough for, be it refused after that.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_refused_request_spends_its_assertion(pool: PgPool) {
    let scene = Scene::new(&pool).await;
    let key = ClientKey::new();
    let signer = scene.app.signer(&key).await;
    for (path, status) in [("/oauth/revoke", 400), ("/oauth/introspect", 403)] {
        let assertion = signer.good();
        let fields =
            [("client_assertion_type", super::TYPE), ("client_assertion", assertion.as_str())];
        assert_eq!(scene.app.post_form(path, None, &fields).await.status, status, "{path}");
        assert_refused(&signer.knock(&assertion).await, 401, "invalid_client");
    }
}
