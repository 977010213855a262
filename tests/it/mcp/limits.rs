//! Too much, by address before authentication, by token, user and tenant after it.

use axum::{
    body::Body,
    extract::{ConnectInfo, Request},
    http::StatusCode,
};
use serde_json::json;
use sqlx::PgPool;

use super::stage::{Stage, ping};
use crate::support::Answer;

const TENTH: [(&str, &str); 1] = [("CALLSLIP_RATE_LIMIT_SCALE", "0.1")];

/// A 429 that says so in header and body, in the form that both eras read.
fn is_limited(answer: &Answer, by: &str) {
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{}", answer.text());
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!(wait >= 1);
    assert_eq!(answer.header("ratelimit"), format!("\"{by}\";r=0;t={wait}"));
    assert!(answer.header("ratelimit-policy").starts_with(&format!("\"{by}\";q=")));
    let body = answer.json();
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains(by) && message.contains(&wait.to_string()), "{message}");
    let code = body["error"]["code"].as_i64().unwrap();
    assert!(!(-32768..=-32000).contains(&code), "{code} is reserved");
    assert_eq!(
        body["error"]["data"],
        json!({ "limit": by, "retryable": true, "retryAfterSeconds": wait })
    );
    assert!(body.get("id").is_none() && body["jsonrpc"] == "2.0");
}

/// [L-01] [L-03] One grant's burst; then 429 for that grant alone.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_token_has_its_burst_and_then_waits(pool: PgPool) {
    let stage = Stage::with(&pool, &TENTH).await;
    let other = Stage::on(stage.app.clone()).await;
    for _ in 0..3 {
        assert_eq!(stage.post(&ping()).await.status, StatusCode::OK);
    }
    // A fresh token of the same grant is the same caller.
    is_limited(&stage.post(&ping()).await, "token");
    assert_eq!(other.post(&ping()).await.status, StatusCode::OK);
}

/// [L-01] Many clients of one user share the user's limit.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_user_cannot_multiply_by_connecting_twice(pool: PgPool) {
    let stage = Stage::with(&pool, &TENTH).await;
    let mut answers = Vec::new();
    for number in 0..4 {
        let grant = callslip::ids::GrantId::new();
        sqlx::query!(
            "insert into oauth_grants (tenant_id, id, user_id, client_id, redirect_uri, resource,
                                       scope, created_at, expires_at)
             select tenant_id, $2, user_id, client_id, redirect_uri, resource, scope, created_at,
                    expires_at
               from oauth_grants where id = $1",
            stage.grant.uuid(),
            grant.uuid(),
        )
        .execute(&pool)
        .await
        .unwrap();
        let token = stage.token_but(json!({ "grant": grant })).await;
        for _ in 0..2 {
            answers.push((number, stage.send(stage.request_with("/mcp", &token), &ping()).await));
        }
    }
    // 60 at once, a tenth of it.
    assert!(answers[..6].iter().all(|(_, answer)| answer.status == StatusCode::OK));
    is_limited(&answers[6].1, "user");
}

/// [L-01] [L-02] The address is counted first and before authentication.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn strangers_spend_their_addresss_quota_and_nobody_elses(pool: PgPool) {
    let stage = Stage::with(&pool, &TENTH).await;
    let knock = async |address: &str, token: &str| {
        let peer: std::net::SocketAddr = address.parse().unwrap();
        let mut request = Request::post("/mcp")
            .header("authorization", format!("Bearer {token}"))
            .body(Body::from(ping().to_string()))
            .unwrap();
        request.extensions_mut().insert(ConnectInfo(peer));
        stage.app.send(request).await
    };
    let token = stage.token().await;
    // A token of ours without its signature: names the grant, proves nothing.
    let forged = token.rsplit_once('.').unwrap().0.to_owned() + ".AAAA";
    // 600 at once, a tenth of it; what is paid back meanwhile passes too.
    let exhaust = async |address: &str| {
        let mut passed = 0;
        loop {
            let answer = knock(address, &forged).await;
            if answer.status != StatusCode::UNAUTHORIZED {
                return (passed, answer);
            }
            passed += 1;
        }
    };
    let (passed, limited) = exhaust("198.51.100.7:1").await;
    assert!((60..120).contains(&passed), "{passed}");
    is_limited(&limited, "address");
    is_limited(&knock("198.51.100.7:2", &token).await, "address");
    // The grant that the forger named has lost nothing.
    for _ in 0..3 {
        assert_eq!(knock("198.51.100.8:1", &token).await.status, StatusCode::OK);
    }
    // One household of IPv6 addresses is one address.
    let (passed, _) = exhaust("[2001:db8:1:2::1]:1").await;
    assert!((60..120).contains(&passed), "{passed}");
    let (passed, limited) = exhaust("[2001:db8:1:2:ffff::1]:1").await;
    assert!(passed < 30, "{passed}");
    is_limited(&limited, "address");
    assert_eq!(knock("[2001:db8:1:3::1]:1", &forged).await.status, StatusCode::UNAUTHORIZED);
}

/// [L-01] All of a tenant's users together share its limit, and the next tenant has its own.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_tenant_has_one_limit_for_all_its_users(pool: PgPool) {
    let stage = Stage::with(&pool, &TENTH).await;
    let mut answers = Vec::new();
    for number in 0..7 {
        let (user, grant) = (callslip::ids::UserId::new(), callslip::ids::GrantId::new());
        sqlx::query!(
            "with someone as (
               insert into users (id, email, name, created_at)
               values ($2, $4, 'Somebody', now()) returning id),
             member as (
               insert into memberships (tenant_id, user_id, role, created_at)
               select $5, id, 'reader', now() from someone)
             insert into oauth_grants (tenant_id, id, user_id, client_id, redirect_uri, resource,
                                       scope, created_at, expires_at)
             select tenant_id, $3, $2, client_id, redirect_uri, resource, scope, created_at,
                    expires_at
               from oauth_grants where id = $1",
            stage.grant.uuid(),
            user.uuid(),
            grant.uuid(),
            format!("user-{number}@{}.example", stage.slug),
            stage.tenant.uuid(),
        )
        .execute(&pool)
        .await
        .unwrap();
        let token = stage.token_but(json!({ "sub": user, "grant": grant })).await;
        let peer: std::net::SocketAddr = format!("203.0.113.{number}:1").parse().unwrap();
        for _ in 0..3 {
            let request = stage.request_with("/mcp", &token).extension(ConnectInfo(peer));
            answers.push(stage.send(request, &ping()).await);
        }
    }
    // 200 at once, a tenth of it.
    assert!(answers[..20].iter().all(|answer| answer.status == StatusCode::OK));
    is_limited(&answers[20], "tenant");
    let other = Stage::on(stage.app.clone()).await;
    assert_eq!(other.post(&ping()).await.status, StatusCode::OK);
}
