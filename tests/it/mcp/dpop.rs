//! Tokens that are bound to a key: the resource's part of RFC 9449.

use axum::{
    body::Body,
    extract::{ConnectInfo, Request},
    http::StatusCode,
};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use sqlx::PgPool;
use time::Duration;
use tokio::task::JoinSet;

use super::{sse::Line, stage::Stage};
use crate::support::{Answer, ClientKey, ORIGIN, TestApp};

/// A good token that is bound to a key.
async fn bound(stage: &Stage, key: &ClientKey) -> String {
    stage.token_but(json!({ "cnf": { "jkt": key.jkt } })).await
}

async fn call(stage: &Stage, token: &str, proofs: &[&str]) -> Answer {
    stage.app.ping("/mcp", &format!("DPoP {token}"), proofs).await
}

/// 401, with one challenge in the caller's own scheme, and the nonce to go on with.
#[track_caller]
fn assert_challenged(answer: &Answer, error: &str) {
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.text());
    let challenge = answer.header("www-authenticate");
    let begin = "DPoP algs=\"EdDSA Ed25519 ES256 PS256 RS256\", resource_metadata=\"";
    assert!(challenge.starts_with(begin), "{challenge}");
    assert!(challenge.contains(&format!(", error=\"{error}\", ")), "{error}: {challenge}");
    assert!(!challenge.contains("Bearer"));
    assert!(!answer.header("dpop-nonce").is_empty());
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.json()["error"], error);
}

/// [P-03] A proof that holds lets its bearer in, by every algorithm that metadata list.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_proof_by_the_tokens_key_opens(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    for key in [
        ClientKey::new(),
        ClientKey::ed25519(),
        ClientKey::rsa(Algorithm::RS256),
        ClientKey::rsa(Algorithm::PS256),
    ] {
        let token = bound(&stage, &key).await;
        for path in ["/mcp", "/mcp/", "/sse/"] {
            let proof = key.proof(&stage.app, path, Some(&token)).await;
            let answer = stage.app.ping(path, &format!("dpop {token}"), &[&proof]).await;
            assert_eq!(answer.status, StatusCode::OK, "{path} {}", answer.text());
            assert!(!answer.header("dpop-nonce").is_empty());
        }
        let mut claims = key.claims(&stage.app, "/mcp", Some(&token)).await;
        claims["htu"] = format!("{}/mcp", ORIGIN.to_uppercase()).into();
        claims["iat"] = (claims["iat"].as_i64().unwrap() - 59).into();
        let proof = key.sign(&key.header().to_string(), &claims.to_string());
        assert_eq!(call(&stage, &token, &[&proof]).await.status, StatusCode::OK);
    }
    // Nobody else hears of nonces.
    assert_eq!(stage.post(&super::stage::ping()).await.header("dpop-nonce"), "");
}

/// What makes a good proof bad: a change of its claims, and what is said of it.
fn spoiled_claims(good: &Value) -> Vec<(Value, &'static str)> {
    let iat = good["iat"].as_i64().unwrap();
    let but = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let without = |name: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(name);
        claims
    };
    let (bad, nonce) = ("invalid_dpop_proof", "use_dpop_nonce");
    let mut all: Vec<_> =
        ["jti", "htm", "htu", "iat", "ath"].iter().map(|name| (without(name), bad)).collect();
    all.push((without("nonce"), nonce));
    all.push((but("nonce", json!("AAAAAAAAAAAAAAAAAAAAAA")), nonce));
    for htm in ["GET", "post", ""] {
        all.push((but("htm", json!(htm)), bad));
    }
    let authority = ORIGIN.strip_prefix("https://").unwrap();
    for htu in [
        format!("{ORIGIN}/mcp?"),
        format!("{ORIGIN}/mcp?a=b"),
        format!("{ORIGIN}/mcp#"),
        format!("{ORIGIN}/mcp/"),
        format!("{ORIGIN}/sse"),
        format!("{ORIGIN}/t/acme/mcp"),
        ORIGIN.to_owned(),
        "/mcp".to_owned(),
        format!("http://{authority}/mcp"),
        format!("https://ada@{authority}/mcp"),
        format!("https://{authority}.evil.example/mcp"),
        "https://evil.example/mcp".to_owned(),
    ] {
        all.push((but("htu", json!(htu)), bad));
    }
    for value in [
        json!(iat - 61),
        json!(iat + 63),
        json!(iat as f64 + 0.5),
        json!(iat.to_string()),
        json!(-iat),
        Value::Null,
    ] {
        all.push((but("iat", value), bad));
    }
    for value in [json!(""), json!("x".repeat(129)), json!(7), Value::Null] {
        all.push((but("jti", value), bad));
    }
    for value in [json!(""), json!("x".repeat(43)), json!(["x"])] {
        all.push((but("ath", value), bad));
    }
    all
}

/// [P-03] Every claim of a proof is looked at: whatever is changed, it opens nothing.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_proof_with_a_wrong_claim_opens_nothing(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let key = ClientKey::new();
    let token = bound(&stage, &key).await;
    let header = key.header().to_string();
    let good = key.claims(&stage.app, "/mcp", Some(&token)).await;
    for (claims, error) in spoiled_claims(&good) {
        let proof = key.sign(&header, &claims.to_string());
        let answer = call(&stage, &token, &[&proof]).await;
        assert!(answer.status == StatusCode::UNAUTHORIZED, "{claims}");
        assert_challenged(&answer, error);
    }
    // The proof of a call with another token.
    let other = bound(&stage, &key).await;
    let proof = key.proof(&stage.app, "/mcp", Some(&other)).await;
    assert_challenged(&call(&stage, &token, &[&proof]).await, "invalid_dpop_proof");
    // Members twice, and what is not an object.
    let text = good.to_string();
    for claims in [format!("{},\"iat\":1}}", text.trim_end_matches('}')), format!("[{text}]")] {
        let proof = key.sign(&header, &claims);
        assert_challenged(&call(&stage, &token, &[&proof]).await, "invalid_dpop_proof");
    }
    let proof = key.sign(&header, &good.to_string());
    assert_eq!(call(&stage, &token, &[&proof]).await.status, StatusCode::OK, "nothing was spent");
    assert_challenged(&call(&stage, &token, &[&proof]).await, "invalid_dpop_proof");
    // The jti is what is unique, not the text around it; and it is remembered for as long as the
    // proof's time lasts.
    stage.app.clock.advance(Duration::seconds(50));
    let mut again = good.clone();
    again["iat"] = stage.app.clock.now().unix_timestamp().into();
    let proof = key.sign(&header, &again.to_string());
    assert_challenged(&call(&stage, &token, &[&proof]).await, "invalid_dpop_proof");
}

/// [P-03] The header: its type, an asymmetric algorithm that fits the key, a public key and a
/// signature by it, once.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_proof_with_a_wrong_header_opens_nothing(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let (key, other) = (ClientKey::new(), ClientKey::new());
    let token = bound(&stage, &key).await;
    let claims = key.claims(&stage.app, "/mcp", Some(&token)).await.to_string();
    let mut headers = vec![json!([]), json!({})];
    let mut but = |name: &str, value: Value| {
        let mut header = key.header();
        header[name] = value;
        headers.push(header);
    };
    for typ in ["JWT", "dpop", "at+jwt", "DPOP+JWT", ""] {
        but("typ", json!(typ));
    }
    for alg in ["none", "None", "HS256", "ES384", "es256", "RS256", "PS256", "EdDSA", ""] {
        but("alg", json!(alg));
    }
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        let mut jwk = key.jwk.clone();
        jwk[name] = json!("AAAA");
        but("jwk", jwk);
    }
    for jwk in [
        Value::Null,
        json!("key"),
        json!({ "kty": "oct", "k": "AAAA" }),
        json!({ "kty": "EC", "crv": "P-256", "x": key.jwk["x"] }),
        other.jwk.clone(),
    ] {
        but("jwk", jwk);
    }
    but("crit", json!(["b64"]));
    for header in headers {
        let proof = key.sign(&header.to_string(), &claims);
        let answer = call(&stage, &token, &[&proof]).await;
        assert!(answer.status == StatusCode::UNAUTHORIZED, "{header}");
        assert_challenged(&answer, "invalid_dpop_proof");
    }

    let good = key.sign(&key.header().to_string(), &claims);
    let (message, signature) = good.rsplit_once('.').unwrap();
    let by_other = other.sign(&key.header().to_string(), &claims);
    let padded = format!("{claims}{}", " ".repeat(8 * 1024));
    for proof in [
        format!("{message}."),
        format!("{message}.{}", signature.chars().rev().collect::<String>()),
        message.to_owned(),
        format!("{good}.{signature}"),
        format!("{good}="),
        String::new(),
        "x".to_owned(),
        by_other,
        key.sign(&key.header().to_string(), &padded),
    ] {
        assert_challenged(&call(&stage, &token, &[&proof]).await, "invalid_dpop_proof");
    }
    // Somebody else's proof, good in itself.
    let theirs = other.proof(&stage.app, "/mcp", Some(&token)).await;
    assert_challenged(&call(&stage, &token, &[&theirs]).await, "invalid_dpop_proof");
    // None, and two.
    assert_challenged(&call(&stage, &token, &[]).await, "invalid_dpop_proof");
    let again = key.proof(&stage.app, "/mcp", Some(&token)).await;
    assert_challenged(&call(&stage, &token, &[&good, &again]).await, "invalid_dpop_proof");
    assert_eq!(call(&stage, &token, &[&good]).await.status, StatusCode::OK);
}

/// The scheme is the token's: a bound one is no bearer token, and one that is not bound proves
/// nothing by a proof.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_token_is_shown_under_its_own_scheme(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let key = ClientKey::new();
    let (token, unbound) = (bound(&stage, &key).await, stage.token().await);
    for proofs in [true, false] {
        let proof = key.proof(&stage.app, "/mcp", Some(&token)).await;
        let proofs: &[&str] = if proofs { &[&proof] } else { &[] };
        let answer = stage.app.ping("/mcp", &format!("Bearer {token}"), proofs).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        let challenge = answer.header("www-authenticate");
        assert!(challenge.starts_with("Bearer resource_metadata="), "{challenge}");
        assert!(challenge.contains("error=\"invalid_token\""));
        assert!(!challenge.contains("DPoP"), "SDKs parse one challenge: {challenge}");
    }
    let proof = key.proof(&stage.app, "/mcp", Some(&unbound)).await;
    assert_challenged(&call(&stage, &unbound, &[&proof]).await, "invalid_token");
    assert_challenged(&call(&stage, "junk", &[]).await, "invalid_token");
    // What a client that uses DPoP throughout may add to a bearer token harms nobody.
    let answer = stage.app.ping("/mcp", &format!("Bearer {unbound}"), &["x"]).await;
    assert_eq!(answer.status, StatusCode::OK);
    // A token's key is one key, as RFC 9449 §6.1 writes it.
    for cnf in [json!({}), json!({ "jkt": [key.jkt] }), json!({ "jkt": key.jkt, "kid": "x" })] {
        let odd = stage.token_but(json!({ "cnf": cnf })).await;
        let proof = key.proof(&stage.app, "/mcp", Some(&odd)).await;
        assert_challenged(&call(&stage, &odd, &[&proof]).await, "invalid_token");
    }
}

/// [S-05] A proof is no token: not as bearer, and not next to itself.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_proof_is_no_access_token(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let key = ClientKey::new();
    let proof = key.proof(&stage.app, "/mcp", None).await;
    let answer = stage.app.ping("/mcp", &format!("Bearer {proof}"), &[]).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.header("www-authenticate").contains("error=\"invalid_token\""));
    assert_challenged(&call(&stage, &proof, &[&proof]).await, "invalid_token");
}

/// [P-03] The same proof at once at two nodes: one call passes.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn of_racing_calls_with_one_proof_one_passes(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let other = TestApp::new(&pool).await;
    let key = ClientKey::new();
    let token = bound(&stage, &key).await;
    let proof = key.proof(&stage.app, "/mcp", Some(&token)).await;
    let mut race = JoinSet::new();
    for place in 0..20 {
        let app = if place % 2 == 0 { stage.app.clone() } else { other.clone() };
        let (token, proof) = (format!("DPoP {token}"), proof.clone());
        race.spawn(async move { app.ping("/mcp", &token, &[&proof]).await });
    }
    let answers = race.join_all().await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!(won.len(), 1);
    lost.into_iter().for_each(|answer| assert_challenged(answer, "invalid_dpop_proof"));
}

/// When nobody can say whether a proof was shown before, it opens nothing; and a token whose grant
/// has ended is told so whatever the proof.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_dead_token_stays_dead_next_to_a_proof(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let key = ClientKey::new();
    let token = bound(&stage, &key).await;
    sqlx::query!(
        "update oauth_grants set revoked_at = now(), revoked_for = 'user' where id = $1",
        stage.grant.uuid()
    )
    .execute(&pool)
    .await
    .unwrap();
    let proof = key.proof(&stage.app, "/mcp", Some(&token)).await;
    assert_challenged(&call(&stage, &token, &[&proof]).await, "invalid_token");
    assert_eq!(stage.app.count("oauth_used_proofs").await, 0);
}

/// Step-up is told in the caller's own scheme too.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_missing_scope_is_told_in_the_callers_scheme(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let key = ClientKey::new();
    let token =
        stage.token_but(json!({ "cnf": { "jkt": key.jkt }, "scope": "offline_access" })).await;
    let proof = key.proof(&stage.app, "/mcp", Some(&token)).await;
    let request = Request::post("/mcp")
        .header("authorization", format!("DPoP {token}"))
        .header("dpop", proof);
    let body = super::stage::call("search", json!({ "query": "x" }));
    let answer = stage.send(request, &body).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let challenge = answer.header("www-authenticate");
    assert!(challenge.starts_with("DPoP algs="), "{challenge}");
    assert!(challenge.contains("error=\"insufficient_scope\""), "{challenge}");
}

/// [P-03] A stream of a bound token opens with a proof for its `GET`, and takes messages with
/// proofs of their own; to anybody else it is closed.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn streams_are_bound_too(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let (key, other) = (ClientKey::new(), ClientKey::new());
    let token = bound(&stage, &key).await;
    let proof = async |key: &ClientKey, method: &str, path: &str| {
        let mut claims = key.claims(&stage.app, path, Some(&token)).await;
        claims["htm"] = method.into();
        key.sign(&key.header().to_string(), &claims.to_string())
    };
    let get = |scheme: &str, proof: Option<&str>| {
        let peer: std::net::SocketAddr = "192.0.2.1:40000".parse().unwrap();
        let mut request = Request::get("/sse/")
            .header("accept", "text/event-stream")
            .header("authorization", format!("{scheme} {token}"))
            .extension(ConnectInfo(peer));
        if let Some(proof) = proof {
            request = request.header("dpop", proof);
        }
        request.body(Body::empty()).unwrap()
    };
    let post = proof(&key, "POST", "/sse/").await;
    let stolen = proof(&other, "GET", "/sse/").await;
    for (scheme, proof) in
        [("Bearer", None), ("DPoP", None), ("DPoP", Some(&*post)), ("DPoP", Some(&*stolen))]
    {
        let refused = stage.app.send(get(scheme, proof)).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{scheme} {proof:?}");
    }
    let good = proof(&key, "GET", "/sse/").await;
    let opened = Line::try_open(&stage, get("DPoP", Some(&good))).await;
    let mut line = opened.map_err(|answer| answer.text()).unwrap();
    assert_eq!(stage.app.send(get("DPoP", Some(&good))).await.status, 401, "a proof opens once");

    let endpoint = line.endpoint.clone();
    let path = endpoint.split_once('?').unwrap().0.to_owned();
    let stolen = proof(&other, "POST", &path).await;
    let scheme = format!("DPoP {token}");
    for proofs in [&[][..], &[stolen.as_str()]] {
        let refused = stage.app.ping(&endpoint, &scheme, proofs).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    }
    let refused = stage.app.ping(&endpoint, &format!("Bearer {token}"), &[]).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let good = proof(&key, "POST", &path).await;
    let posted = stage.app.ping(&endpoint, &scheme, &[&good]).await;
    assert_eq!(posted.status, StatusCode::ACCEPTED, "{}", posted.text());
    assert_eq!(line.message().await["id"], 1);
}
