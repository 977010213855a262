//! Tokens that are bound to a key: the authorization server's part of RFC 9449.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use callslip::tenants::Role;
use serde_json::{Value, json};
use sqlx::PgPool;
use time::Duration;
use tokio::task::JoinSet;

use crate::support::{Answer, Assistant, Browser, ClientKey, TestApp};

const TOKEN: &str = "/oauth/token";

struct Stage {
    app: TestApp,
    browser: Browser,
    assistant: Assistant,
    key: ClientKey,
}

/// An assistant that has a key, and a user who is signed in.
async fn stage(pool: &PgPool) -> Stage {
    let app = TestApp::new(pool).await;
    let browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant().await;
    Stage { app, browser, assistant, key: ClientKey::new() }
}

impl Stage {
    async fn code(&mut self) -> String {
        self.assistant.code(&mut self.browser, &[]).await
    }

    async fn proof(&self, key: &ClientKey) -> String {
        key.proof(&self.app, TOKEN, None).await
    }

    /// Redeem a new code with a proof by our key.
    async fn tokens(&mut self) -> (String, String) {
        let code = self.code().await;
        let proof = self.proof(&self.key).await;
        let answer = self.assistant.exchange_proven(&code, &[&proof]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        both(&answer)
    }

    /// The tenant demands bound tokens from now on.
    async fn demand(&self, pool: &PgPool) {
        sqlx::query(
            "insert into tenant_oauth_policies (tenant_id, require_dpop, updated_at)
             select id, true, now() from tenants",
        )
        .execute(pool)
        .await
        .unwrap();
    }
}

fn both(answer: &Answer) -> (String, String) {
    let tokens = answer.json();
    let text = |name: &str| tokens[name].as_str().unwrap().to_owned();
    (text("access_token"), text("refresh_token"))
}

fn claims(token: &str) -> Value {
    let body = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap()
}

#[track_caller]
fn assert_refused(answer: &Answer, error: &str) {
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["error"]),
        (400, &error.into()),
        "{answer:?}"
    );
    assert_eq!(answer.header("cache-control"), "no-store");
}

/// [P-04] What a key was shown for is bound to it: the access token says so, is worth nothing as a
/// bearer token, and is refreshed for that key alone; a wrong one costs its owner nothing.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_bound_grant_stays_bound(pool: PgPool) {
    let mut stage = stage(&pool).await;
    let code = stage.code().await;
    let proof = stage.proof(&stage.key).await;
    let answer = stage.assistant.exchange_proven(&code, &[&proof]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["token_type"], "DPoP");
    let (token, mut refresh_token) = both(&answer);
    assert_eq!(claims(&token)["cnf"], json!({ "jkt": stage.key.jkt }));

    let other = ClientKey::new();
    for _ in 0..2 {
        let wrong = stage.proof(&other).await;
        for proofs in [&[wrong.as_str()][..], &[]] {
            let answer = stage.assistant.refresh_proven(&refresh_token, proofs).await;
            assert_refused(&answer, "invalid_grant");
        }
        assert!(stage.app.accepts(&token).await, "the grant lives on");
        let proof = stage.proof(&stage.key).await;
        let answer = stage.assistant.refresh_proven(&refresh_token, &[&proof]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["token_type"], "DPoP");
        let (access_token, next) = both(&answer);
        assert_eq!(claims(&access_token)["cnf"], json!({ "jkt": stage.key.jkt }));
        refresh_token = next;
    }
    assert_eq!(stage.app.count("oauth_refresh_tokens").await, 3, "nothing else was rotated");

    // At the resource: RFC 9449 §7.2.
    let bearer = stage.app.ping("/mcp", &format!("Bearer {token}"), &[]).await;
    assert_eq!(bearer.status, 401);
    assert!(bearer.header("www-authenticate").starts_with("Bearer "));
    assert!(bearer.header("www-authenticate").contains("error=\"invalid_token\""));
    let proof = stage.key.proof(&stage.app, "/mcp", Some(&token)).await;
    let proven = stage.app.ping("/mcp", &format!("DPoP {token}"), &[&proof]).await;
    assert_eq!(proven.status, 200, "{}", proven.text());
}

/// [P-04] A code whose request named a key is redeemed with that key and no other.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_code_that_names_a_key_wants_that_key(pool: PgPool) {
    let mut stage = stage(&pool).await;
    let named = [("dpop_jkt", stage.key.jkt.as_str())];
    let code = stage.assistant.code(&mut stage.browser, &named).await;
    let wrong = stage.proof(&ClientKey::new()).await;
    assert_refused(&stage.assistant.exchange_proven(&code, &[&wrong]).await, "invalid_grant");
    assert_refused(&stage.assistant.exchange_proven(&code, &[]).await, "invalid_grant");
    let proof = stage.proof(&stage.key).await;
    let answer = stage.assistant.exchange_proven(&code, &[&proof]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// RFC 9449 §8: without a nonce, or with an old one, the client is given one and nothing is spent.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_nonce_is_asked_for_and_handed_out(pool: PgPool) {
    let mut stage = stage(&pool).await;
    let code = stage.code().await;
    let mut claims = stage.key.claims(&stage.app, TOKEN, None).await;
    let old = claims["nonce"].take();
    stage.app.clock.advance(Duration::seconds(50));
    claims["iat"] = stage.app.clock.now().unix_timestamp().into();
    for nonce in [Value::Null, "".into(), "AAAAAAAAAAAAAAAAAAAAAA".into()] {
        claims["nonce"] = nonce;
        let proof = stage.key.sign(&stage.key.header().to_string(), &claims.to_string());
        let answer = stage.assistant.exchange_proven(&code, &[&proof]).await;
        assert_refused(&answer, "use_dpop_nonce");
        claims["nonce"] = answer.header("dpop-nonce").into();
    }
    // The same claims, now with the nonce: it is no replay, since nothing was accepted before.
    let proof = stage.key.sign(&stage.key.header().to_string(), &claims.to_string());
    let answer = stage.assistant.exchange_proven(&code, &[&proof]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!answer.header("dpop-nonce").is_empty(), "the next one comes with the answer");
    assert!(answer.header("access-control-expose-headers").contains("dpop-nonce"));

    let (_, refresh_token) = both(&answer);
    stage.app.clock.advance(Duration::seconds(260));
    let mut claims = stage.key.claims(&stage.app, TOKEN, None).await;
    assert_ne!(claims["nonce"], old);
    claims["nonce"] = old;
    let proof = stage.key.sign(&stage.key.header().to_string(), &claims.to_string());
    let answer = stage.assistant.refresh_proven(&refresh_token, &[&proof]).await;
    assert_refused(&answer, "use_dpop_nonce");
}

/// Who shows no proof never hears of any of this.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn bearer_tokens_stay_the_default(pool: PgPool) {
    let mut stage = stage(&pool).await;
    let code = stage.code().await;
    let answer = stage.assistant.exchange_proven(&code, &[]).await;
    assert_eq!(answer.json()["token_type"], "Bearer");
    assert_eq!(answer.header("dpop-nonce"), "");
    let (token, refresh_token) = both(&answer);
    assert_eq!(claims(&token).get("cnf"), None);
    // A proof next to its refresh token binds the access token that comes of it, and no more: a
    // thief cannot bind somebody's grant to a key of their own.
    let proof = stage.proof(&stage.key).await;
    let answer = stage.assistant.refresh_proven(&refresh_token, &[&proof]).await;
    assert_eq!(answer.json()["token_type"], "DPoP");
    let (token, refresh_token) = both(&answer);
    assert_eq!(claims(&token)["cnf"]["jkt"], stage.key.jkt.as_str());
    let answer = stage.assistant.refresh_proven(&refresh_token, &[]).await;
    assert_eq!(answer.json()["token_type"], "Bearer", "{}", answer.text());
}

/// A client that registered for bound tokens gets no others, and a tenant that demands them hands
/// out no others; neither costs the code.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn who_must_bind_gets_no_bearer_token(pool: PgPool) {
    let mut stage = stage(&pool).await;
    let (unbound, code) = (stage.code().await, stage.code().await);
    let (_, unbound) = both(&stage.assistant.exchange_proven(&unbound, &[]).await);
    let by_client = "update oauth_clients set dpop_bound = true";
    sqlx::query(by_client).execute(&pool).await.unwrap();
    assert_refused(&stage.assistant.exchange_proven(&code, &[]).await, "invalid_dpop_proof");
    assert_refused(&stage.assistant.refresh_proven(&unbound, &[]).await, "invalid_dpop_proof");
    sqlx::query("update oauth_clients set dpop_bound = false").execute(&pool).await.unwrap();

    stage.demand(&pool).await;
    assert_refused(&stage.assistant.exchange_proven(&code, &[]).await, "invalid_dpop_proof");
    assert_refused(&stage.assistant.refresh_proven(&unbound, &[]).await, "invalid_dpop_proof");
    let proof = stage.proof(&stage.key).await;
    let answer = stage.assistant.exchange_proven(&code, &[&proof]).await;
    assert_eq!(answer.status, 200, "the code was not spent: {}", answer.text());
    let (_, bound) = both(&answer);
    let proof = stage.proof(&stage.key).await;
    assert_eq!(stage.assistant.refresh_proven(&bound, &[&proof]).await.status, 200);
    // A grant from before has a refresh token that anybody could use: it is over.
    let proof = stage.proof(&stage.key).await;
    assert_refused(&stage.assistant.refresh_proven(&unbound, &[&proof]).await, "invalid_grant");
}

/// A proof is good for one request, at whichever node and whatever comes of it.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_proof_is_good_for_one_request(pool: PgPool) {
    let mut stage = stage(&pool).await;
    let other = TestApp::new(&pool).await;
    let mut race = JoinSet::new();
    let proof = stage.proof(&stage.key).await;
    for place in 0..20 {
        let code = stage.code().await;
        let assistant = stage.assistant.at(if place % 2 == 0 { &stage.app } else { &other });
        let proof = proof.clone();
        race.spawn(async move { assistant.exchange_proven(&code, &[&proof]).await });
    }
    let answers = race.join_all().await;
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert_eq!(won.len(), 1);
    lost.into_iter().for_each(|answer| assert_refused(answer, "invalid_dpop_proof"));
    assert_eq!(stage.app.count("oauth_refresh_tokens").await, 1);

    // A request that is refused for another reason leaves no proof to be picked up.
    let (_, refresh_token) = both(won[0]);
    let proof = stage.proof(&stage.key).await;
    let answer = stage.assistant.refresh_proven("csl_rt_unknown", &[&proof]).await;
    assert_refused(&answer, "invalid_grant");
    let answer = stage.assistant.refresh_proven(&refresh_token, &[&proof]).await;
    assert_refused(&answer, "invalid_dpop_proof");
}

/// [P-03] At the token endpoint, each field that does not hold.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_bad_proof_buys_nothing(pool: PgPool) {
    let mut stage = stage(&pool).await;
    let code = stage.code().await;
    let good = stage.key.claims(&stage.app, TOKEN, None).await;
    let header = stage.key.header().to_string();
    for (name, value) in [
        ("htm", json!("GET")),
        ("htu", json!(format!("{}/oauth/revoke", crate::support::ORIGIN))),
        ("htu", json!(format!("{}/oauth/token?x", crate::support::ORIGIN))),
        ("iat", json!(good["iat"].as_i64().unwrap() - 61)),
        ("iat", json!(good["iat"].as_i64().unwrap() + 63)),
        ("jti", json!("")),
    ] {
        let mut claims = good.clone();
        claims[name] = value;
        let proof = stage.key.sign(&header, &claims.to_string());
        let answer = stage.assistant.exchange_proven(&code, &[&proof]).await;
        assert_refused(&answer, "invalid_dpop_proof");
    }
    let good = stage.key.sign(&header, &good.to_string());
    let again = stage.proof(&stage.key).await;
    let both = stage.assistant.exchange_proven(&code, &[&good, &again]).await;
    assert_refused(&both, "invalid_dpop_proof");
    let answer = stage.assistant.exchange_proven(&code, &[&good]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Giving a token back needs no proof: whoever finds one may only end it.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn bound_tokens_can_be_given_back(pool: PgPool) {
    let mut stage = stage(&pool).await;
    let (first, refresh_token) = stage.tokens().await;
    assert_eq!(stage.assistant.revoke(&first).await.status, 200);
    assert!(!stage.app.accepts(&first).await);
    let proof = stage.proof(&stage.key).await;
    let (second, refresh_token) =
        both(&stage.assistant.refresh_proven(&refresh_token, &[&proof]).await);
    assert!(stage.app.accepts(&second).await);
    assert_eq!(stage.assistant.revoke(&refresh_token).await.status, 200);
    assert!(!stage.app.accepts(&second).await);
}
