//! ID tokens that are not believed.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use callslip::tenants::Role;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::json;
use sqlx::PgPool;

use super::{Scene, ada};
use crate::support::{
    ClientKey,
    provider::{CLIENT, CLIENT_SECRET},
};

impl Scene {
    /// Ada comes back with what the provider says now.
    async fn assert_refused(&self, what: &str) {
        let (browser, answer) = self.enter(ada()).await;
        assert_eq!((answer.status.as_u16(), answer.location()), (400, ""), "{what}");
        assert_eq!(browser.session(), None, "{what}");
    }

    async fn assert_taken(&self, what: &str) {
        let (browser, answer) = self.enter(ada()).await;
        assert_eq!(answer.status, 303, "{what} {}", answer.text());
        assert!(browser.session().is_some());
    }
}

/// Whatever is wrong with an ID token, nobody is signed in by it; and the same token without the
/// fault does.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_id_token_with_any_fault_is_refused(pool: PgPool) {
    let scene = Scene::set(&pool).await;
    scene.app.member("acme", "ada", Role::Reader).await;
    let provider = &scene.provider;
    let now = scene.app.clock.now().unix_timestamp();
    for claims in [
        json!({ "nonce": "another" }),
        json!({ "nonce": null }),
        json!({ "iss": "https://other.example" }),
        json!({ "iss": format!("{}/", provider.issuer) }),
        json!({ "iss": null }),
        json!({ "aud": "another" }),
        json!({ "aud": [] }),
        json!({ "aud": null }),
        json!({ "aud": [CLIENT, "another"] }),
        json!({ "aud": [CLIENT, "another"], "azp": "another" }),
        json!({ "azp": "another" }),
        json!({ "exp": now - 31 }),
        json!({ "exp": null }),
        json!({ "iat": now + 60 }),
        json!({ "iat": null }),
        json!({ "nbf": now + 60 }),
        json!({ "sub": "" }),
        json!({ "sub": "a\0b" }),
        json!({ "sub": "x".repeat(256) }),
        json!({ "sub": null }),
    ] {
        provider.lie(json!({}), claims.clone());
        scene.assert_refused(&claims.to_string()).await;
    }
    for header in [
        json!({ "alg": "none" }),
        json!({ "alg": "RS512" }),
        json!({ "alg": "PS256" }),
        json!({ "alg": "HS256" }),
        json!({ "kid": "second" }),
        json!({ "typ": "at+jwt" }),
        json!({ "crit": ["x"], "x": 1 }),
    ] {
        provider.lie(header.clone(), json!({}));
        scene.assert_refused(&header.to_string()).await;
    }
    for claims in [
        json!({}),
        json!({ "aud": [CLIENT] }),
        json!({ "aud": [CLIENT, "another"], "azp": CLIENT }),
        json!({ "exp": now - 20, "iat": now + 20 }),
    ] {
        provider.lie(json!({}), claims.clone());
        scene.assert_taken(&claims.to_string()).await;
    }
    provider.lie(json!({ "typ": null, "kid": null }), json!({}));
    scene.assert_taken("neither typ nor kid").await;
}

/// Unsigned, signed by somebody else, or with the client secret or the public key as a shared one.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_forged_id_token_is_refused(pool: PgPool) {
    let scene = Scene::set(&pool).await;
    scene.app.member("acme", "ada", Role::Reader).await;
    let provider = &scene.provider;
    provider.lie(json!({}), json!({}));
    provider.forge(ClientKey::rsa(Algorithm::RS256));
    scene.assert_refused("another key").await;
    provider.lie(json!({ "alg": "ES256" }), json!({}));
    provider.forge(ClientKey::new());
    scene.assert_refused("another kind of key").await;

    // Forged with all that the attacker knows of the sign-in.
    for alg in ["none", "HS256"] {
        let (mut browser, url) = scene.begun().await;
        let nonce = url::Url::parse(&url).unwrap();
        let (_, nonce) = nonce.query_pairs().find(|(name, _)| name == "nonce").unwrap();
        let now = scene.app.clock.now().unix_timestamp();
        let claims = json!({
            "iss": provider.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": nonce,
            "sub": "ada-there", "email": "ada@acme.example", "email_verified": true,
        });
        let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(&json!({ "alg": alg })), encode(&claims));
        let key = EncodingKey::from_secret(CLIENT_SECRET.as_bytes());
        let signature = match alg {
            "none" => String::new(),
            _ => jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap(),
        };
        provider.lie(json!({}), json!({}));
        provider.say(&format!("{message}.{signature}"));
        let back = provider.authorize(&scene.app, &url, ada());
        let answer = browser.get(&back).await;
        assert_eq!((answer.status.as_u16(), browser.session()), (400, None), "{alg}");
    }
    for garbage in ["", "a.b.c", "not a token"] {
        provider.say(garbage);
        scene.assert_refused(garbage).await;
    }
    provider.lie(json!({}), json!({}));
    scene.assert_taken("the provider’s own").await;
}
