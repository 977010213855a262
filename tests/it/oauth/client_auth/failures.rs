//! What failing costs, and what refusals say.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request},
    http::header,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use callslip::{config::LogFormat, telemetry, tenants::Role};
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use time::Duration;

use super::{TYPE, assert_refused};
use crate::support::{Answer, ClientKey, TestApp};

/// Ask for something by a secret, from an address.
async fn attempt(app: &TestApp, from: &str, client_id: &str, secret: &str) -> Answer {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("token", "x"), ("client_id", client_id), ("client_secret", secret)])
        .finish();
    let peer: SocketAddr = format!("{from}:4000").parse().unwrap();
    let request = Request::post("/oauth/revoke")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .extension(ConnectInfo(peer))
        .body(Body::from(body))
        .unwrap();
    app.send(request).await
}

/// [T-12] Ten failures of a client at an address within a minute, and the next attempt waits, be
/// the secret right or wrong, the client known or not. Others do not wait, and success is free.
/// A secret is 256 random bits, and kept as its SHA-256 alone.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_address_that_keeps_failing_waits(pool: PgPool) {
    let app = TestApp::with(&pool, &[("CALLSLIP_RATE_LIMIT_SCALE", "1")]).await;
    let method = json!({ "token_endpoint_auth_method": "client_secret_post" });
    let client = app.assistant_with(&method).await;
    let secret = client.client_secret.clone().unwrap();
    assert_eq!(secret.len(), "csl_cs_".len() + 43 + 6);
    let stored: Vec<u8> =
        sqlx::query_scalar("select secret_hash from oauth_clients").fetch_one(&pool).await.unwrap();
    assert_eq!(stored, Sha256::digest(&secret).to_vec());

    let stranger = "3f5f1e6c-5ab0-4a4c-8f0e-0a1b2c3d4e5f";
    for _ in 0..30 {
        assert_eq!(attempt(&app, "192.0.2.1", &client.client_id, &secret).await.status, 200);
    }
    let mut answers = Vec::new();
    for client_id in [client.client_id.as_str(), stranger] {
        let mut of_one = Vec::new();
        for number in 0..12 {
            let wrong = format!("{}{number:02}", &secret[..secret.len() - 2]);
            let answer = attempt(&app, "192.0.2.1", client_id, &wrong).await;
            assert_eq!(answer.status, if number < 10 { 401 } else { 429 }, "{number}");
            of_one.push(answer.text());
        }
        answers.push(of_one);
    }
    assert_eq!(answers[0], answers[1], "an unknown client reads the same");
    let limited = attempt(&app, "192.0.2.1", &client.client_id, &secret).await;
    assert_eq!(limited.status, 429, "the right secret is not told apart while it lasts");
    assert!((1..=60).contains(&limited.header("retry-after").parse::<u32>().unwrap()));
    assert_eq!(attempt(&app, "192.0.2.2", &client.client_id, &secret).await.status, 200);
    let other = app.assistant_with(&method).await;
    let its_secret = other.client_secret.clone().unwrap();
    assert_eq!(attempt(&app, "192.0.2.1", &other.client_id, &its_secret).await.status, 200);
    app.clock.advance(Duration::seconds(61));
    assert_eq!(attempt(&app, "192.0.2.1", &client.client_id, &secret).await.status, 200);
}

/// Who has no secret cannot be kept out by others who try some.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn wrong_secrets_do_not_block_a_public_client(pool: PgPool) {
    let app = TestApp::with(&pool, &[("CALLSLIP_RATE_LIMIT_SCALE", "1")]).await;
    let public = app.assistant().await;
    for number in 0..12 {
        let answer = attempt(&app, "192.0.2.1", &public.client_id, "wrong").await;
        assert_eq!(answer.status, if number < 10 { 401 } else { 429 }, "{number}");
    }
    assert_eq!(public.revoke("nothing").await.status, 200);
}

/// Assertions that prove nothing count like wrong secrets.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn failing_assertions_are_counted(pool: PgPool) {
    let app = TestApp::with(&pool, &[("CALLSLIP_RATE_LIMIT_SCALE", "1")]).await;
    let (key, other) = (ClientKey::new(), ClientKey::new());
    let signer = app.signer(&key).await;
    let forger = super::Signer { assistant: signer.assistant.clone(), key: &other, kid: "k1" };
    for _ in 0..10 {
        assert_refused(&forger.knock(&forger.good()).await, 401, "invalid_client");
    }
    assert_eq!(signer.knock(&signer.good()).await.status, 429);
    app.clock.advance(Duration::seconds(61));
    assert_eq!(signer.knock(&signer.good()).await.status, 200);
}

/// [T-13] Grants that there are not, and grants that are not the client's.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn foreign_grants_are_refused(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let public = app.assistant().await;
    for grant_type in [
        "password",
        "implicit",
        "token",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "Authorization_Code",
        "authorization_code ",
        "nonsense\u{1F408}",
    ] {
        let fields = [("grant_type", grant_type), ("username", "ada"), ("password", "x")];
        let answer = public.call("/oauth/token", &fields, &[]).await;
        assert_refused(&answer, 400, "unsupported_grant_type");
    }
    let once = app.assistant_with(&json!({ "grant_types": ["authorization_code"] })).await;
    let answer = once.refresh("csl_rt_nothing", &[]).await;
    assert_refused(&answer, 400, "unauthorized_client");
}

/// [T-16] Whatever goes wrong, the description is ASCII without quotes and backslashes, repeats
/// nothing that was sent, and says nothing of the inside; and who names an unknown client, a wrong
/// secret or a wrong method reads one sentence.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn refusals_say_nothing_that_they_should_not(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let canary = "c4nary\"\\\u{e9}";
    let secret = json!({ "token_endpoint_auth_method": "client_secret_post" });
    let client = app.assistant_with(&secret).await;
    let public = app.assistant().await;
    let mut walked = 0;
    for path in ["/oauth/token", "/oauth/revoke", "/oauth/par", "/oauth/introspect"] {
        for client_id in [public.client_id.as_str(), client.client_id.as_str(), canary, "a\0b", ""]
        {
            for extra in [
                vec![],
                vec![("grant_type", "authorization_code"), ("code", canary)],
                vec![("grant_type", "refresh_token"), ("refresh_token", canary)],
                vec![("grant_type", canary)],
                vec![("client_secret", canary)],
                vec![("client_assertion_type", TYPE), ("client_assertion", canary)],
                vec![("client_assertion_type", canary), ("client_assertion", canary)],
                vec![("response_type", canary), ("redirect_uri", canary), ("scope", canary)],
                vec![("resource", canary), ("grant_type", "client_credentials")],
                vec![("a", canary), ("a", canary)],
            ] {
                let mut fields = vec![("client_id", client_id)];
                fields.extend(extra);
                for authorization in
                    [None, Some("Basic Y2FuYXJ5OmNhbmFyeQ=="), Some("Basic \u{7f}")]
                {
                    if authorization.is_some_and(|text| text.contains('\u{7f}')) {
                        continue;
                    }
                    let answer = app.post_form(path, authorization, &fields).await;
                    if answer.status == 200 || answer.status == 404 {
                        continue;
                    }
                    walked += 1;
                    assert!(answer.status.is_client_error(), "{}", answer.text());
                    let refusal = answer.json();
                    let text = refusal["error_description"].as_str().unwrap();
                    let plain = |c: char| (' '..='~').contains(&c) && c != '"' && c != '\\';
                    assert!(!text.is_empty() && text.chars().all(plain), "{text}");
                    for inside in ["c4nary", "canary", "sql", "postgres", "src/", "panic", "oauth_"]
                    {
                        assert!(!text.to_lowercase().contains(inside), "{text}");
                    }
                }
            }
        }
    }
    assert!(walked > 200, "{walked}");

    let key = ClientKey::new();
    let signer = app.signer(&key).await;
    let stranger = ClientKey::new();
    let basic = |id: &str| format!("Basic {}", STANDARD.encode(format!("{id}:{canary}")));
    let by_basic = |id: &str| {
        let (app, basic) = (app.clone(), basic(id));
        async move { app.post_form("/oauth/revoke", Some(&basic), &[("token", "x")]).await }
    };
    let forger = super::Signer { assistant: signer.assistant.clone(), key: &stranger, kid: "k1" };
    let unknown = json!({ "iss": "nobody", "sub": "nobody" });
    let generic: BTreeSet<String> = [
        attempt(&app, "192.0.2.1", "nobody", "x").await,
        attempt(&app, "192.0.2.1", &client.client_id, "x").await,
        attempt(&app, "192.0.2.1", &public.client_id, "x").await,
        client.at(&app).call("/oauth/revoke", &[("token", "x")], &[("client_secret", "")]).await,
        by_basic("nobody").await,
        by_basic(&client.client_id).await,
        by_basic(&public.client_id).await,
        forger.knock(&forger.good()).await,
        signer.knock(&signer.assertion(&json!({ "kid": "other" }), &json!({}))).await,
        signer.knock(&signer.assertion(&json!({}), &unknown)).await,
    ]
    .iter()
    .map(|answer| format!("{} {}", answer.status, answer.text()))
    .collect();
    assert_eq!(generic.len(), 1, "{generic:?}");
}

/// The texts behind those descriptions, wherever they stand in the source.
#[test]
fn every_text_of_a_refusal_can_be_sent() {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/oauth")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let source = fs::read_to_string(&path).unwrap();
            let code = source.split("#[cfg(test)]").next().unwrap().lines();
            let code = code.filter(|line| !line.trim_start().starts_with("//"));
            let code = code.collect::<Vec<_>>().join("\n");
            for start in ["refuse(", "invalid(", "wrong(", "error_description: ", "self.failed("] {
                for (at, _) in code.match_indices(start) {
                    // The code of the error, if any, and then one literal.
                    let rest: String = code[at + start.len()..].chars().take(400).collect();
                    let Some(end) = rest.find([';', ')', '}']) else { continue };
                    let Some(text) = rest[..end].split('"').nth(1) else { continue };
                    seen += 1;
                    let text = text.replace("\\\n", " ");
                    let plain = |c: char| (' '..='~').contains(&c) && c != '\\';
                    assert!(text.chars().all(plain), "{}: {text}", path.display());
                }
            }
        }
    }
    assert!(seen > 40, "{seen}");
}

/// [T-20] Everything that is handed out has its kind's prefix and a checksum, access tokens apart,
/// which are JWTs; and no log, however loud, shows more of it than the prefix and four characters.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn secrets_have_their_form_and_stay_out_of_the_log(pool: PgPool) {
    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let sink = Sink::default();
    let loud = || {
        let writer = sink.clone();
        telemetry::subscriber("trace", LogFormat::Json, move || writer.clone()).unwrap()
    };
    // With a single subscriber alive, what other tests log first on their threads is off for good.
    let _second = tracing::Dispatch::new(loud());
    let logging = tracing::subscriber::set_default(loud());

    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let mut issued = vec![("csl_se_", browser.session().unwrap().to_owned())];
    let key = ClientKey::new();
    let signer = app.signer(&key).await;
    let assertion = signer.good();
    assert_eq!(signer.knock(&assertion).await.status, 200);
    for method in ["client_secret_basic", "client_secret_post"] {
        let method = json!({ "token_endpoint_auth_method": method });
        let client = app.assistant_with(&method).await;
        issued.push(("csl_cs_", client.client_secret.clone().unwrap()));
        let sent = client.authorize(&mut browser, &[]).await;
        let request = sent.location().rsplit_once('=').unwrap().1.to_owned();
        issued.push(("csl_ar_", request));
        let code = client.code(&mut browser, &[("scope", "search:read offline_access")]).await;
        issued.push(("csl_ac_", code.clone()));
        assert_eq!(client.exchange(&code, &[("code_verifier", &"w".repeat(43))]).await.status, 400);
        let tokens = client.exchange(&code, &[]).await.json();
        let refresh_token = tokens["refresh_token"].as_str().unwrap();
        issued.push(("csl_rt_", refresh_token.to_owned()));
        let refreshed = client.refresh(refresh_token, &[]).await.json();
        issued.push(("csl_rt_", refreshed["refresh_token"].as_str().unwrap().to_owned()));
        for tokens in [&tokens, &refreshed] {
            issued.push(("eyJ", tokens["access_token"].as_str().unwrap().to_owned()));
        }
        client.revoke(refresh_token).await;
    }
    issued.push(("eyJ", assertion));
    drop(logging);

    let logged = String::from_utf8_lossy(&sink.0.lock().unwrap()).into_owned();
    assert!(logged.contains("answered"), "{logged}");
    for (prefix, secret) in &issued {
        assert!(secret.starts_with(prefix), "{prefix}: {secret}");
        if *prefix == "eyJ" {
            let signature = secret.rsplit_once('.').unwrap().1;
            assert!(!logged.contains(signature) && !logged.contains(&secret[..80]), "{secret}");
            continue;
        }
        let (body, checksum) = secret.split_at(secret.len() - 6);
        let digest = Sha256::digest(body);
        let expected = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&digest[..5]);
        assert_eq!(checksum, &expected[..6]);
        assert_eq!(body.len(), prefix.len() + 43);
        assert!(!logged.contains(&secret[..prefix.len() + 5]), "{secret}");
        assert!(!logged.contains(&secret[prefix.len() + 4..]), "{secret}");
    }
}
