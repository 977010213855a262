//! A stream is its owner's, whoever knows its name.

use axum::http::StatusCode;
use callslip::{
    ids::{GrantId, UserId},
    secret::{Kind, Plaintext},
};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{Line, elsewhere, get, request};
use crate::{
    mcp::stage::{Stage, call, ping},
    support::unique,
};

/// A token of another grant, with these members changed in grant and token.
async fn token_of(stage: &Stage, user: UserId, client_id: &str) -> String {
    let grant = GrantId::new();
    sqlx::query!(
        "with someone as (
           insert into users (id, email, name, created_at)
           values ($2, $3, 'Somebody', now()) on conflict do nothing),
         member as (
           insert into memberships (tenant_id, user_id, role, created_at)
           values ($4, $2, 'reader', now()) on conflict do nothing),
         client as (
           insert into oauth_clients (client_id, client_name, redirect_uris, grant_types,
                                      token_endpoint_auth_methods, created_at)
           values ($5, 'Another', '{https://another.example/callback}', '{authorization_code}',
                   '{none}', now()) on conflict do nothing)
         insert into oauth_grants (tenant_id, id, user_id, client_id, redirect_uri, resource,
                                   scope, created_at, expires_at)
         select tenant_id, $6, $2, $5, redirect_uri, resource, scope, created_at, expires_at
           from oauth_grants where id = $1",
        stage.grant.uuid(),
        user.uuid(),
        format!("somebody-{}@{}.example", unique(), stage.slug),
        stage.tenant.uuid(),
        client_id,
        grant.uuid(),
    )
    .execute(&stage.app.pool)
    .await
    .unwrap();
    stage.token_but(json!({ "sub": user, "client_id": client_id, "grant": grant })).await
}

/// [I-12] [H-04] Whoever is not the tenant, user, client and grant of a stream finds nothing at its
/// URL, on any node, and its owner hears nothing of the attempt. Old session headers and event ids
/// open nothing, and there is nothing to subscribe to.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_stream_is_its_owners_alone(pool: PgPool) {
    let here = Stage::new(&pool).await;
    let there = elsewhere(&here).await;
    let stranger = Stage::on(here.app.clone()).await;
    let mut line = Line::open(&here).await;
    let session = line.endpoint.split_once("session_id=").unwrap().1.to_owned();

    let intruders = [
        ("another tenant", stranger.token().await),
        ("another user", token_of(&here, UserId::new(), &here.client_id).await),
        ("another client", token_of(&here, here.user, "another-client-of-the-test").await),
        ("another grant", token_of(&here, here.user, &here.client_id).await),
    ];
    for (who, token) in &intruders {
        for node in [&here, &there] {
            for message in [
                call("search", json!({ "query": "x" })),
                json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
            ] {
                let answer = node.send(node.request_with(&line.endpoint, token), &message).await;
                assert_eq!(answer.status, StatusCode::NOT_FOUND, "{who}");
            }
        }
    }
    // The intruder's own stream is another one, whatever it says of the owner's.
    let mut request_for = get("/sse/", &intruders[0].1);
    for name in ["mcp-session-id", "last-event-id"] {
        request_for.headers_mut().insert(name, session.parse().unwrap());
    }
    let mut own = Line::try_open(&here, request_for).await.map_err(|answer| answer.text()).unwrap();
    assert_ne!(own.endpoint, line.endpoint);
    let mine = own.ask(&stranger, &ping()).await;
    assert_eq!(mine, json!({ "jsonrpc": "2.0", "id": 1, "result": {} }));
    for (method, params) in [
        ("resources/subscribe", json!({ "uri": "callslip://anything" })),
        ("subscriptions/listen", json!({ "subscriptionId": session })),
    ] {
        let answer = own.ask(&stranger, &request(7, method, &params)).await;
        assert_eq!(answer["error"]["code"], -32601, "{method}");
    }
    // The owner's stream carries the owner's answers and nothing else.
    assert_eq!(line.ask(&there, &request("mine", "ping", &json!({}))).await["id"], "mine");
    assert!(here.events().await.is_empty() && stranger.events().await.is_empty());
}

/// [I-12] A name cannot be guessed: 256 random bits with a checksum, and anything else is nothing.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_session_cannot_be_guessed(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let (line, other) = (Line::open(&stage).await, Line::open(&stage).await);
    let name = |line: &Line| line.endpoint.split_once("session_id=").unwrap().1.to_owned();
    assert!(name(&line).len() >= 7 + 43 && name(&line)[7..20] != name(&other)[7..20]);
    let cut = &name(&line)[..30];
    let made_up = Plaintext::generate(Kind::Stream).expose().to_owned();
    let of_another_kind = Plaintext::generate(Kind::Session).expose().to_owned();
    for guess in ["", "1", "%00", "csl_st_", cut, &made_up, &of_another_kind] {
        for node in [&stage, &elsewhere(&stage).await] {
            let path = format!("/sse/messages/?session_id={guess}");
            let answer = node.send(node.request(&path).await, &ping()).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{guess}");
        }
    }
    let nameless = stage.send(stage.request("/sse/messages").await, &ping()).await;
    assert_eq!(
        (nameless.status, nameless.json().get("result")),
        (StatusCode::NOT_FOUND, None::<&Value>)
    );
}

/// A token that was fetched anew meanwhile is the same caller's.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_fresh_token_of_the_same_grant_goes_on(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let mut line = Line::open(&stage).await;
    let claims = stage.claims();
    let fresh = stage.sign(&claims).await;
    let posted = stage.send(stage.request_with(&line.endpoint, &fresh), &ping()).await;
    assert_eq!(posted.status, StatusCode::ACCEPTED);
    assert_eq!(line.message().await["id"], 1);
}
