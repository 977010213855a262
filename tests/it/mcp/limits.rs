//! Too much: by address before authentication; by token, user, app and tenant after it; and at the
//! same time. Every rule holds in one process and over Valkey alike.

use std::net::SocketAddr;

use axum::{
    body::Body,
    extract::{ConnectInfo, Request},
    http::StatusCode,
};
use callslip::ids::{GrantId, UserId};
use serde_json::json;
use sqlx::PgPool;

use super::{
    slow::{held, stage_with},
    stage::{Stage, call, ping},
};
use crate::support::{Answer, Valkey};

/// A tenth of every limit: 3 calls of a token at once, 6 of a user, 15 of an app, 20 of a tenant.
const TENTH: (&str, &str) = ("CALLSLIP_RATE_LIMIT_SCALE", "0.1");

/// Run a test in one process, and over Valkey.
macro_rules! on_both {
    ($module:ident: $test:ident) => {
        mod $module {
            use crate::support::Valkey;

            #[sqlx::test(migrator = "callslip::db::MIGRATOR")]
            async fn in_one_process(pool: sqlx::PgPool) {
                super::$test(&pool, None).await;
            }

            #[sqlx::test(migrator = "callslip::db::MIGRATOR")]
            async fn over_valkey(pool: sqlx::PgPool) {
                let valkey = Valkey::start().await;
                super::$test(&pool, Some(&valkey)).await;
            }
        }
    };
}

/// What each test plays on.
async fn test_stage(pool: &PgPool, valkey: Option<&Valkey>) -> Stage {
    let url = valkey.map(Valkey::url).unwrap_or_default();
    let stage = Stage::with(pool, &[TENTH, ("CALLSLIP_VALKEY_URL", &url)]).await;
    stage.app.app.limits.ready().await;
    stage
}

/// A tool that is called: what counts for one.
fn fetch() -> serde_json::Value {
    call("fetch", json!({ "id": "nothing" }))
}

/// A 429 that says so in header and body, in the form that both eras read.
fn is_limited(answer: &Answer, by: &str) {
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{}", answer.text());
    let wait: u64 = answer.header("retry-after").parse().unwrap();
    assert!(wait >= 1);
    let body = answer.json();
    let message = body["error"]["message"].as_str().unwrap();
    let counted =
        if message.contains("at the same time") { format!("{by}-at-once") } else { by.to_owned() };
    assert_eq!(answer.header("ratelimit"), format!("\"{counted}\";r=0;t={wait}"));
    // Whose quota it is stays untold, even as a digest.
    let policy = answer.header("ratelimit-policy");
    assert!(
        policy.starts_with(&format!("\"{counted}\";q=")) && !policy.contains("pk="),
        "{policy}"
    );
    assert!(message.contains(by) && message.contains(&wait.to_string()), "{message}");
    let code = body["error"]["code"].as_i64().unwrap();
    assert!(!(-32768..=-32000).contains(&code), "{code} is reserved");
    assert_eq!(
        body["error"]["data"],
        json!({ "limit": by, "retryable": true, "retryAfterSeconds": wait })
    );
    assert_eq!(body["jsonrpc"], "2.0");
    // An answer names the request once that has been read.
    assert_eq!(body.get("id").is_some(), by != "address");
}

/// [L-01] [L-03] One grant's burst; then 429 for that grant alone. Every answer says where its
/// sender stands.
async fn a_token_has_its_burst_and_then_waits(pool: &PgPool, valkey: Option<&Valkey>) {
    let stage = test_stage(pool, valkey).await;
    let other = Stage::on(stage.app.clone()).await;
    for left in [2, 1, 0] {
        let answer = stage.post(&fetch()).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("ratelimit-policy"), "\"token\";q=60;w=60");
        let standing = answer.header("ratelimit");
        assert!(standing.starts_with(&format!("\"token\";r={left};t=")), "{standing}");
    }
    // A fresh token of the same grant is the same caller.
    let limited = stage.post(&fetch()).await;
    is_limited(&limited, "token");
    assert!((9..=12).contains(&limited.header("retry-after").parse::<u32>().unwrap()));
    assert_eq!(other.post(&fetch()).await.status, StatusCode::OK);
}
on_both!(token: a_token_has_its_burst_and_then_waits);

/// [L-06] A tool costs one; what every connection begins with costs a tenth of that, and what makes
/// no sense is not free either.
async fn a_call_costs_what_it_is_worth(pool: &PgPool, valkey: Option<&Valkey>) {
    let stage = test_stage(pool, valkey).await;
    assert_eq!(stage.post(&fetch()).await.status, StatusCode::OK);
    for _ in 0..10 {
        assert_eq!(stage.post(&ping()).await.status, StatusCode::OK);
        assert_eq!(stage.post(&json!([])).await.status, StatusCode::BAD_REQUEST);
    }
    is_limited(&stage.post(&fetch()).await, "token");
}
on_both!(cost: a_call_costs_what_it_is_worth);

/// [L-01] Many clients of one user share the user's limit.
async fn a_user_cannot_multiply_by_connecting_twice(pool: &PgPool, valkey: Option<&Valkey>) {
    let stage = test_stage(pool, valkey).await;
    let mut answers = Vec::new();
    for _ in 0..4 {
        let token = connect(&stage, stage.user, &stage.client_id).await;
        for _ in 0..2 {
            answers.push(stage.send(stage.request_with("/mcp", &token), &fetch()).await);
        }
    }
    // 60 at once, a tenth of it.
    assert!(answers[..6].iter().all(|answer| answer.status == StatusCode::OK));
    is_limited(&answers[6], "user");
}
on_both!(user: a_user_cannot_multiply_by_connecting_twice);

/// [L-01] [L-02] The address is counted first and before authentication.
async fn strangers_spend_their_own_quota(pool: &PgPool, valkey: Option<&Valkey>) {
    let stage = test_stage(pool, valkey).await;
    let token = stage.token().await;
    // A token of ours without its signature: names the grant, proves nothing.
    let forged = token.rsplit_once('.').unwrap().0.to_owned() + ".AAAA";
    // 600 at once, a tenth of it; what is paid back meanwhile passes too.
    let (passed, limited) = exhaust(&stage, "198.51.100.7:1", &forged).await;
    assert!((60..120).contains(&passed), "{passed}");
    is_limited(&limited, "address");
    is_limited(&knock(&stage, "198.51.100.7:2", &token).await, "address");
    // The grant that the forger named has lost nothing.
    for _ in 0..3 {
        assert_eq!(knock(&stage, "198.51.100.8:1", &token).await.status, StatusCode::OK);
    }
    // One household of IPv6 addresses is one address.
    let (passed, _) = exhaust(&stage, "[2001:db8:1:2::1]:1", &forged).await;
    assert!((60..120).contains(&passed), "{passed}");
    let (passed, limited) = exhaust(&stage, "[2001:db8:1:2:ffff::1]:1", &forged).await;
    assert!(passed < 30, "{passed}");
    is_limited(&limited, "address");
    let next_door = knock(&stage, "[2001:db8:1:3::1]:1", &forged).await;
    assert_eq!(next_door.status, StatusCode::UNAUTHORIZED);
    // Where a hosted assistant calls from, one address is many people.
    let (passed, limited) = exhaust(&stage, "160.79.104.9:1", &forged).await;
    assert!(passed > 200, "{passed}");
    is_limited(&limited, "address");
}
on_both!(address: strangers_spend_their_own_quota);

/// [L-01] All users of one app in a tenant share its limit, and leave room for another.
async fn an_app_does_not_take_everything(pool: &PgPool, valkey: Option<&Valkey>) {
    let stage = test_stage(pool, valkey).await;
    let answers = crowd(&stage, &[&stage.client_id], 6).await;
    assert!(answers[..15].iter().all(|answer| answer.status == StatusCode::OK));
    is_limited(&answers[15], "client");
    let other = another_app(&stage).await;
    let token = connect(&stage, stage.user, &other).await;
    let answer = stage.send(stage.request_with("/mcp", &token), &fetch()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
}
on_both!(client: an_app_does_not_take_everything);

/// [L-01] [I-15] All of a tenant's users together share its limit; the next tenant has its own, of
/// which it sees nothing and loses nothing.
async fn a_tenant_has_one_limit_for_all_its_users(pool: &PgPool, valkey: Option<&Valkey>) {
    let stage = test_stage(pool, valkey).await;
    let other = Stage::on(stage.app.clone()).await;
    let app = another_app(&stage).await;
    let answers = crowd(&stage, &[&stage.client_id, &app], 7).await;
    // 200 at once, a tenth of it.
    assert!(answers[..20].iter().all(|answer| answer.status == StatusCode::OK));
    is_limited(&answers[20], "tenant");
    let answer = other.post(&fetch()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.header("ratelimit").starts_with("\"token\";r=2;"));
}
on_both!(tenant: a_tenant_has_one_limit_for_all_its_users);

/// [L-01] So many calls run at the same time, of one grant and of one tenant; when one has ended,
/// another may begin.
async fn calls_at_the_same_time_are_bounded(pool: &PgPool, valkey: Option<&Valkey>) {
    let tested = valkey.map(Valkey::url).unwrap_or_default();
    let (stage, fake, id) = stage_with(pool, &[TENTH, ("CALLSLIP_VALKEY_URL", &tested)]).await;
    stage.app.app.limits.ready().await;
    let message = call("fetch", json!({ "id": id }));
    // One of eight and two of twenty, a tenth of it.
    let token = stage.token().await;
    let first = held(&stage, &fake, &token, &message).await;
    is_limited(&stage.post(&fetch()).await, "token");
    sqlx::query!(
        "insert into tenant_limits (tenant_id, at_once) values ($1, 10)",
        stage.tenant.uuid(),
    )
    .execute(pool)
    .await
    .unwrap();
    let neighbour = connect(&stage, stage.user, &stage.client_id).await;
    let refused = stage.send(stage.request_with("/mcp", &neighbour), &fetch()).await;
    is_limited(&refused, "tenant");
    assert_eq!(
        refused.header("ratelimit-policy"),
        "\"tenant-at-once\";q=1;qu=\"concurrent-requests\""
    );
    assert_eq!(refused.header("retry-after"), "1");
    fake.release();
    assert_eq!(first.await.unwrap().status, StatusCode::OK);
    // The place is given back behind the answer.
    let mut again = stage.send(stage.request_with("/mcp", &neighbour), &ping()).await;
    while again.status != StatusCode::OK {
        is_limited(&again, "tenant");
        tokio::task::yield_now().await;
        again = stage.send(stage.request_with("/mcp", &neighbour), &ping()).await;
    }
}
on_both!(at_once: calls_at_the_same_time_are_bounded);

/// What an admin has chosen holds from the next call on, as far as the operator lets it.
async fn a_tenant_may_have_limits_of_its_own(pool: &PgPool, valkey: Option<&Valkey>) {
    let stage = test_stage(pool, valkey).await;
    let other = Stage::on(stage.app.clone()).await;
    sqlx::query!(
        "insert into tenant_limits (tenant_id, token_per_minute) values ($1, 20)",
        stage.tenant.uuid(),
    )
    .execute(pool)
    .await
    .unwrap();
    let answer = stage.post(&fetch()).await;
    assert_eq!(answer.header("ratelimit-policy"), "\"token\";q=20;w=60");
    let limited = stage.post(&fetch()).await;
    is_limited(&limited, "token");
    assert!((28..=36).contains(&limited.header("retry-after").parse::<u32>().unwrap()));
    let answer = other.post(&fetch()).await;
    assert_eq!(answer.header("ratelimit-policy"), "\"token\";q=60;w=60");
    sqlx::query!(
        "insert into tenant_limits
                (tenant_id, bound_token_per_minute, bound_user_per_minute, token_per_minute,
                 user_per_minute)
         values ($1, 240, 12, 6000, 6000)",
        other.tenant.uuid(),
    )
    .execute(pool)
    .await
    .unwrap();
    // The user's six in a minute are one at once by now, and one has been.
    is_limited(&other.post(&fetch()).await, "user");
}
on_both!(own: a_tenant_may_have_limits_of_its_own);

/// Ask with this token from this address.
async fn knock(stage: &Stage, address: &str, token: &str) -> Answer {
    let peer: SocketAddr = address.parse().unwrap();
    let request = Request::post("/mcp")
        .header("authorization", format!("Bearer {token}"))
        .extension(ConnectInfo(peer))
        .body(Body::from(fetch().to_string()))
        .unwrap();
    stage.app.send(request).await
}

/// Ask until the answer is another one; how often it was 401 before.
async fn exhaust(stage: &Stage, address: &str, forged: &str) -> (u32, Answer) {
    let mut passed = 0;
    loop {
        let answer = knock(stage, address, forged).await;
        if answer.status != StatusCode::UNAUTHORIZED {
            return (passed, answer);
        }
        passed += 1;
    }
}

/// Another grant, and its token.
async fn connect(stage: &Stage, user: UserId, client_id: &str) -> String {
    let grant = GrantId::new();
    sqlx::query!(
        "insert into oauth_grants (tenant_id, id, user_id, client_id, redirect_uri, resource,
                                   scope, created_at, expires_at)
         select tenant_id, $2, $3, $4, redirect_uri, resource, scope, created_at, expires_at
           from oauth_grants where id = $1",
        stage.grant.uuid(),
        grant.uuid(),
        user.uuid(),
        client_id,
    )
    .execute(&stage.app.pool)
    .await
    .unwrap();
    stage.token_but(json!({ "sub": user, "grant": grant, "client_id": client_id })).await
}

async fn another_app(stage: &Stage) -> String {
    let client_id = format!("{}-2", stage.client_id);
    sqlx::query!(
        "insert into oauth_clients (client_id, client_name, redirect_uris, grant_types,
                                    token_endpoint_auth_methods, created_at)
         values ($1, 'Another', '{https://another.example/callback}', '{authorization_code}',
                 '{none}', now())",
        client_id,
    )
    .execute(&stage.app.pool)
    .await
    .unwrap();
    client_id
}

/// Three calls each of so many users, who have these apps in turn.
async fn crowd(stage: &Stage, apps: &[&str], users: u8) -> Vec<Answer> {
    let mut answers = Vec::new();
    for number in 0..users {
        let user = UserId::new();
        sqlx::query!(
            "with someone as (
               insert into users (id, email, name, created_at)
               values ($2, $3, 'Somebody', now()) returning id)
             insert into memberships (tenant_id, user_id, role, created_at)
             select $1, id, 'reader', now() from someone",
            stage.tenant.uuid(),
            user.uuid(),
            format!("user-{number}@{}.example", stage.slug),
        )
        .execute(&stage.app.pool)
        .await
        .unwrap();
        let token = connect(stage, user, apps[usize::from(number) % apps.len()]).await;
        let peer: SocketAddr = format!("203.0.113.{number}:1").parse().unwrap();
        for _ in 0..3 {
            let request = stage.request_with("/mcp", &token).extension(ConnectInfo(peer));
            answers.push(stage.send(request, &fetch()).await);
        }
    }
    answers
}
