//! Assertions: RFC 7523.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use callslip::tenants::Role;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::json;
use sqlx::PgPool;
use tokio::task::JoinSet;

use super::{Scene, Signer, TYPE, assert_refused, knock, set};
use crate::support::{ClientKey, ORIGIN, TestApp, document_host::Reply};

/// [T-18] Each kind of key carries a client through the whole flow; `client_id` need not be sent,
/// and either `typ` is taken.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn every_algorithm_completes_the_flow(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    for key in [
        ClientKey::new(),
        ClientKey::ed25519(),
        ClientKey::rsa(Algorithm::RS256),
        ClientKey::rsa(Algorithm::PS256),
    ] {
        let signer = app.signer(&key).await;
        assert_eq!(signer.assistant.client_secret, None);
        let with = |assertion: &str| {
            [
                ("client_id".to_owned(), String::new()),
                ("client_assertion_type".to_owned(), TYPE.to_owned()),
                ("client_assertion".to_owned(), assertion.to_owned()),
            ]
        };
        let code = signer.assistant.code(&mut browser, &[]).await;
        let alone = signer.assistant.exchange(&code, &[]).await;
        assert_refused(&alone, 401, "invalid_client");
        let typ = json!({ "typ": "client-authentication+jwt" });
        let fields = with(&signer.assertion(&typ, &json!({ "aud": [ORIGIN] })));
        let fields: Vec<_> = fields.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        let answer = signer.assistant.exchange(&code, &fields).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let refresh_token = answer.json()["refresh_token"].as_str().unwrap().to_owned();
        let fields = with(&signer.assertion(&json!({ "typ": null, "kid": null }), &json!({})));
        let fields: Vec<_> = fields.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        let answer = signer.assistant.refresh(&refresh_token, &fields).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(signer.knock(&signer.good()).await.status, 200);
    }
}

/// [T-18] Whatever is wrong with an assertion, it proves nothing.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_assertion_with_any_fault_is_refused(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let (key, other) = (ClientKey::new(), ClientKey::new());
    let signer = app.signer(&key).await;
    let public = app.assistant().await;
    let now = app.clock.now().unix_timestamp();
    let endpoint = format!("{ORIGIN}/oauth/token");
    for claims in [
        json!({ "aud": endpoint }),
        json!({ "aud": [ORIGIN, endpoint] }),
        json!({ "aud": [ORIGIN, ORIGIN] }),
        json!({ "aud": [] }),
        json!({ "aud": null }),
        json!({ "aud": format!("{ORIGIN}/") }),
        json!({ "aud": "https://other.example" }),
        json!({ "iss": "somebody" }),
        json!({ "sub": null }),
        json!({ "iss": public.client_id, "sub": public.client_id }),
        json!({ "iss": "nobody", "sub": "nobody" }),
        json!({ "iss": "a\0b", "sub": "a\0b" }),
        json!({ "exp": null }),
        json!({ "exp": now - 31 }),
        json!({ "exp": now + 340 }),
        json!({ "exp": now + 86_400 }),
        json!({ "iat": now + 40 }),
        json!({ "nbf": now + 40 }),
        json!({ "jti": null }),
        json!({ "jti": "" }),
        json!({ "jti": 7 }),
    ] {
        let answer = signer.knock(&signer.assertion(&json!({}), &claims)).await;
        assert_refused(&answer, 401, "invalid_client");
    }
    for header in [
        json!({ "alg": "none" }),
        json!({ "alg": "HS256" }),
        json!({ "alg": "ES384" }),
        json!({ "alg": "EdDSA" }),
        json!({ "alg": null }),
        json!({ "kid": "another" }),
        json!({ "typ": "at+jwt" }),
        json!({ "typ": "dpop+jwt" }),
        json!({ "crit": ["exp"] }),
        json!({ "kid": "k1", "jwk": other.jwk, "jku": "https://keys.example/", "alg": "none" }),
    ] {
        let answer = signer.knock(&signer.assertion(&header, &json!({}))).await;
        assert_refused(&answer, 401, "invalid_client");
    }
    // Somebody else's key, with the key itself in the header; and no signature at all.
    let forger = Signer { assistant: signer.assistant.clone(), key: &other, kid: "k1" };
    let forged = forger.assertion(&json!({ "jwk": other.jwk }), &json!({}));
    assert_refused(&knock(&app, &forged).await, 401, "invalid_client");
    let unsigned = format!("{}.", signer.good().rsplit_once('.').unwrap().0);
    assert_refused(&knock(&app, &unsigned).await, 401, "invalid_client");
    // The public key as the secret of an HMAC.
    let body = signer.good().split('.').nth(1).unwrap().to_owned();
    let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT","kid":"k1"}"#);
    let message = format!("{head}.{body}");
    let secret = EncodingKey::from_secret(key.jwk.to_string().as_bytes());
    let mac = jsonwebtoken::crypto::sign(message.as_bytes(), &secret, Algorithm::HS256).unwrap();
    assert_refused(&knock(&app, &format!("{message}.{mac}")).await, 401, "invalid_client");
    for text in ["", ".", "..", "a.b.c", "e30.e30.", "\u{fffd}"] {
        let answer = knock(&app, &format!("x{text}")).await;
        assert_refused(&answer, 401, "invalid_client");
    }
    assert_eq!(app.count("oauth_used_proofs").await, 0, "nothing was spent by all that");
    assert_eq!(signer.knock(&signer.good()).await.status, 200);
}

/// [T-18] The algorithm that a client registered is the only one, and a key is for its own.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_registered_algorithm_is_the_only_one(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let key = ClientKey::rsa(Algorithm::RS256);
    let metadata = |alg: &str| {
        json!({
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": alg,
            "jwks": set(&[(&key, "k1")]),
        })
    };
    for (alg, status) in [("RS256", 200), ("PS256", 401)] {
        let assistant = app.assistant_with(&metadata(alg)).await;
        let signer = Signer { assistant, key: &key, kid: "k1" };
        assert_eq!(signer.knock(&signer.good()).await.status.as_u16(), status, "{alg}");
    }
    let mut bad = metadata("HS256");
    bad["redirect_uris"] = json!(["https://assistant.example/cb"]);
    assert_refused(&app.register(&bad).await, 400, "invalid_client_metadata");
    bad["token_endpoint_auth_signing_alg"] = "RS256".into();
    bad["jwks_uri"] = "https://keys.example/jwks.json".into();
    assert_refused(&app.register(&bad).await, 400, "invalid_client_metadata");
}

/// [T-18] One assertion, a hundred callers, two processes: one success; and none after a restart.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_assertion_is_good_once_on_any_node(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let other = TestApp::new(&pool).await;
    let key = ClientKey::new();
    let signer = app.signer(&key).await;
    let assertion = signer.good();
    let mut race = JoinSet::new();
    for place in 0..100 {
        let node = if place % 2 == 0 { app.clone() } else { other.clone() };
        let assertion = assertion.clone();
        race.spawn(async move { knock(&node, &assertion).await });
    }
    let answers = race.join_all().await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 200);
    assert_eq!(won.len(), 1);
    for answer in lost {
        assert_refused(answer, 401, "invalid_client");
    }
    let restarted = TestApp::new(&pool).await;
    assert_refused(&knock(&restarted, &assertion).await, 401, "invalid_client");
    // Another client's assertion may bear the same name.
    let neighbour = app.signer(&key).await;
    for one in [&signer, &neighbour] {
        let named = one.assertion(&json!({}), &json!({ "jti": "same" }));
        assert_eq!(one.knock(&named).await.status, 200);
    }
}

/// [T-18] A request that is refused spends its assertion too.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_refusal_leaves_no_assertion_behind(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let key = ClientKey::ed25519();
    let signer = app.signer(&key).await;
    let assertion = signer.good();
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", "csl_rt_nothing"),
        ("client_assertion_type", TYPE),
        ("client_assertion", &assertion),
    ];
    let answer = app.post_form("/oauth/token", None, &fields).await;
    assert_refused(&answer, 400, "invalid_grant");
    assert_refused(&signer.knock(&assertion).await, 401, "invalid_client");
}

/// [T-10] An assertion beside a secret or a header is two ways; and its two parameters belong
/// together.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_assertion_is_the_only_way_in_its_request(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let key = ClientKey::new();
    let signer = app.signer(&key).await;
    let assertion = signer.good();
    let fields =
        [("token", "x"), ("client_assertion_type", TYPE), ("client_assertion", &assertion)];
    let mut with_secret = fields.to_vec();
    with_secret.push(("client_secret", "x"));
    let answer = app.post_form("/oauth/revoke", None, &with_secret).await;
    assert_refused(&answer, 400, "invalid_request");
    let answer = app.post_form("/oauth/revoke", Some("Basic eDp5"), &fields).await;
    assert_refused(&answer, 400, "invalid_request");
    for (kind, text) in [(TYPE, ""), ("", &*assertion), ("urn:other", &*assertion)] {
        let fields = [("token", "x"), ("client_assertion_type", kind), ("client_assertion", text)];
        let answer = app.post_form("/oauth/revoke", None, &fields).await;
        assert_refused(&answer, 401, "invalid_client");
    }
    let mut of_another = fields.to_vec();
    of_another.push(("client_id", "another"));
    let answer = app.post_form("/oauth/revoke", None, &of_another).await;
    assert_refused(&answer, 401, "invalid_client");
    // A client that registered for assertions gets nowhere without, nor one that did not with.
    let answer = signer.assistant.revoke("x").await;
    assert_refused(&answer, 401, "invalid_client");
    let public = Signer { assistant: app.assistant().await, key: &key, kid: "k1" };
    assert_refused(&public.knock(&public.good()).await, 401, "invalid_client");
    assert_eq!(signer.knock(&assertion).await.status, 200, "it was not spent meanwhile");
}

/// [K-09] A document like ChatGPT's, which offers two methods and prefers the one with keys: the
/// flow completes by either, and by both audiences that ChatGPT is known to name.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_document_may_offer_assertions_and_nothing(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    let key = ClientKey::rsa(Algorithm::RS256);
    for (client_id, jwks_uri, endpoint_status) in [
        ("https://chatgpt.com/oauth/client.json", "https://chatgpt.com/oauth/jwks.json", 200),
        ("https://app.example/oauth/client.json", "https://app.example/jwks.json", 401),
    ] {
        let redirect_uri = "https://chatgpt.com/connector_platform_oauth_redirect";
        scene.host.put(&json!({
            "client_id": client_id,
            "client_name": "ChatGPT",
            "redirect_uris": [redirect_uri],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
            "token_endpoint_auth_signing_alg": "RS256",
            "jwks_uri": jwks_uri,
        }));
        scene.host.say(jwks_uri, Reply::json(&set(&[(&key, "c1")])));
        let mut assistant = scene.app.assistant().await;
        client_id.clone_into(&mut assistant.client_id);
        redirect_uri.clone_into(&mut assistant.redirect_uri);
        let signer = Signer { assistant, key: &key, kid: "c1" };

        let tokens = signer.assistant.tokens(&mut scene.browser, &[]).await;
        assert!(scene.app.accepts(tokens["access_token"].as_str().unwrap()).await);
        let code = signer.assistant.code(&mut scene.browser, &[]).await;
        let assertion = signer.good();
        let by_assertion =
            [("client_id", ""), ("client_assertion_type", TYPE), ("client_assertion", &*assertion)];
        let answer = signer.assistant.exchange(&code, &by_assertion).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let endpoint = json!({ "aud": format!("{ORIGIN}/oauth/token") });
        let answer = signer.knock(&signer.assertion(&json!({}), &endpoint)).await;
        assert_eq!(answer.status, endpoint_status, "{client_id}: {}", answer.text());
        assert_eq!(scene.host.asked_for(jwks_uri), 1);
    }
}
