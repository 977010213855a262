//! Who passes.

use axum::{body::Body, extract::Request, http::StatusCode};
use callslip::{
    secret::{Kind, Plaintext},
    tenants::Role,
};
use serde_json::json;
use sqlx::PgPool;

use super::stage::{Stage, ping};
use crate::support::{Answer, ORIGIN};

const SCOPE: &str = "scope=\"search:read\"";

fn metadata(path: &str) -> String {
    format!("resource_metadata=\"{ORIGIN}/.well-known/oauth-protected-resource{path}\"")
}

/// 401, with a challenge that names an error.
fn is_invalid_token(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.text());
    let challenge = answer.header("www-authenticate");
    let begin = format!(
        "Bearer {}, {SCOPE}, error=\"invalid_token\", error_description=\"",
        metadata("/mcp")
    );
    assert!(challenge.starts_with(&begin), "{challenge}");
    assert_eq!(challenge.matches("Bearer").count(), 1);
    assert_eq!(answer.header("cache-control"), "no-store");
}

/// [S-01] Without a token: where to get one, and no error code. The same for every probe, before
/// anything is read.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn without_a_token_the_challenge_names_the_metadata_and_no_error(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    for path in ["/mcp", "/sse", "/t/acme/mcp", "/t/acme/sse", "/t/nobody/mcp"] {
        for body in ["", "{}", "[]", "junk", r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#] {
            let request = Request::post(path).body(Body::from(body)).unwrap();
            let answer = stage.app.send(request).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path} {body}");
            let challenge = answer.header("www-authenticate");
            assert_eq!(challenge, format!("Bearer {}, {SCOPE}", metadata(path)), "{path}");
        }
    }
    // Another scheme is no token either.
    let request = Request::post("/mcp").header("authorization", "Basic YTpi");
    let answer = stage.app.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.header("www-authenticate"), format!("Bearer {}, {SCOPE}", metadata("/mcp")));
}

/// [S-02] Malformed, expired, from another issuer, for another resource: `invalid_token`.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_token_that_is_not_good_here_is_invalid(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let good = stage.token().await;
    let now = stage.app.clock.now().unix_timestamp();
    let mut forged = good.clone();
    let place = good.len() - 4..good.len() - 3;
    forged.replace_range(place.clone(), if &good[place] == "A" { "B" } else { "A" });
    let (head, rest) = good.split_once('.').unwrap();
    let (body, _) = rest.split_once('.').unwrap();
    let bad = [
        String::new(),
        "nonsense".to_owned(),
        "a.b.c".to_owned(),
        forged,
        format!("{head}.{body}."),
        format!("eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{body}."),
        stage.token_but(json!({ "exp": now - 30 })).await,
        stage.token_but(json!({ "iss": "https://elsewhere.example" })).await,
        stage.token_but(json!({ "aud": ORIGIN })).await,
        stage.token_but(json!({ "aud": format!("{ORIGIN}/t/{}/mcp", stage.slug) })).await,
        stage.token_but(json!({ "aud": "https://elsewhere.example/mcp" })).await,
        stage.token_but(json!({ "aud": [format!("{ORIGIN}/mcp")] })).await,
    ];
    for token in bad {
        let answer = stage.send(stage.request_with("/mcp", &token), &ping()).await;
        is_invalid_token(&answer);
    }
    assert_eq!(stage.send(stage.request_with("/mcp", &good), &ping()).await.status, StatusCode::OK);
}

/// [S-05] Whatever else we hand out, or anybody else's, is no access token.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn other_secrets_are_no_access_token(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let claims = stage.claims();
    let mut others = vec![
        stage.sign_as("JWT", &claims).await,
        stage.sign_as("id_token+jwt", &claims).await,
        stage.sign_as("application/at+jwt", &claims).await,
    ];
    // What is good elsewhere, of a user with a living grant.
    let mut browser = stage.app.member("other", "ada", Role::Reader).await.sign_in().await;
    let assistant = stage.app.assistant().await;
    let tokens = assistant.tokens(&mut browser, &[]).await;
    others.push(tokens["refresh_token"].as_str().unwrap().to_owned());
    others.push(assistant.code(&mut browser, &[]).await);
    let session = browser.session().unwrap().to_owned();
    others.push(session.clone());
    for kind in [Kind::RefreshToken, Kind::AuthorizationCode, Kind::Session, Kind::ClientSecret] {
        others.push(Plaintext::generate(kind).expose().to_owned());
    }
    for token in others {
        is_invalid_token(&stage.send(stage.request_with("/mcp", &token), &ping()).await);
    }
    let request = Request::post("/mcp").header("cookie", format!("__Host-sid={session}"));
    let answer = stage.send(request, &ping()).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.headers.get("set-cookie").is_none());
}

/// [S-04] One token, in one place: the header.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_token_comes_in_one_header_and_nowhere_else(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let token = stage.token().await;

    let in_query = Request::post(format!("/mcp?access_token={token}"));
    let answer = stage.send(in_query, &ping()).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(!answer.header("www-authenticate").contains("error"));
    let both = stage.request_with("/mcp?access_token=junk", &token);
    assert_eq!(stage.send(both, &ping()).await.status, StatusCode::OK);

    let twice =
        stage.request_with("/mcp", &token).header("authorization", format!("Bearer {token}"));
    let answer = stage.send(twice, &ping()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.header("www-authenticate").contains("error=\"invalid_request\""));

    let form = "application/x-www-form-urlencoded";
    let body = format!("access_token={token}");
    let request = stage.request_with("/mcp", &token).header("content-type", form);
    let answer = stage.app.send(request.body(Body::from(body.clone())).unwrap()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let request = Request::post("/mcp").header("content-type", form);
    let answer = stage.app.send(request.body(Body::from(body)).unwrap()).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);

    // Nothing of a body is read for somebody who shows no good token: not even that it is too long.
    let long = "x".repeat((1 << 20) + 1);
    for request in [Request::post("/mcp"), stage.request_with("/mcp", "junk")] {
        let request = request.header("content-type", form);
        let answer = stage.app.send(request.body(Body::from(long.clone())).unwrap()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    }

    for scheme in ["bearer", "BEARER", "Bearer ", "bEaReR"] {
        let request = Request::post("/mcp").header("authorization", format!("{scheme} {token}"));
        assert_eq!(stage.send(request, &ping()).await.status, StatusCode::OK, "{scheme}");
    }
}

/// [S-03] A token without the scope may list, and is told which scope a call needs.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn without_the_scope_a_call_is_403_and_says_what_it_needs(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let token = stage.token_but(json!({ "scope": "offline_access" })).await;
    for tool in ["search", "fetch"] {
        let body = super::stage::call(tool, json!({ "query": "x" }));
        let answer = stage.send(stage.request_with("/mcp", &token), &body).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        let challenge = answer.header("www-authenticate");
        let begin = format!("Bearer {}, {SCOPE}, error=\"insufficient_scope\"", metadata("/mcp"));
        assert!(challenge.starts_with(&begin), "{challenge}");
        let result = &answer.json()["result"];
        assert_eq!(result["isError"], true);
        assert_eq!(result["_meta"]["mcp/www_authenticate"], json!([challenge]));
    }
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    let answer = stage.send(stage.request_with("/mcp", &token), &list).await;
    assert_eq!(answer.status, StatusCode::OK);
    // The two calls are on record as refused; the list needs no record.
    let events = stage.events().await;
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|(_, detail)| detail["outcome"] == "refused"));
}

/// [S-07] Asked of the database on every call: whatever ends behind a token, the next call is 401.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn whatever_ends_behind_a_token_the_next_call_is_401(pool: PgPool) {
    let endings = [
        "update oauth_grants set revoked_at = now(), revoked_for = 'user' where id = $1::uuid",
        "update oauth_grants set expires_at = '2000-01-01' where id = $1::uuid",
        "update oauth_clients set disabled_at = now()
          where client_id = (select client_id from oauth_grants where id = $1::uuid)",
        "update users set disabled_at = now()
          where id = (select user_id from oauth_grants where id = $1::uuid)",
        "update tenants set suspended_at = now()
          where id = (select tenant_id from oauth_grants where id = $1::uuid)",
        "delete from memberships
          where user_id = (select user_id from oauth_grants where id = $1::uuid)",
        "delete from oauth_grants where id = $1::uuid",
    ];
    let first = Stage::new(&pool).await;
    for ending in endings {
        let stage = Stage::on(first.app.clone()).await;
        let token = stage.token().await;
        let call = async || stage.send(stage.request_with("/mcp", &token), &ping()).await;
        assert_eq!(call().await.status, StatusCode::OK);
        #[expect(clippy::disallowed_methods, reason = "a list of statements")]
        let done = sqlx::query(ending).bind(stage.grant.uuid()).execute(&pool).await.unwrap();
        assert_eq!(done.rows_affected(), 1, "{ending}");
        is_invalid_token(&call().await);
    }
}

/// [S-07] One token revoked by itself, its grant living on.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn one_token_can_be_revoked_alone(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let (claims, other) = (stage.claims(), stage.token().await);
    let token = stage.sign(&claims).await;
    let jti: uuid::Uuid = claims["jti"].as_str().unwrap().parse().unwrap();
    sqlx::query!(
        "insert into oauth_revoked_access_tokens (tenant_id, jti, expires_at)
         values ($1, $2, now() + interval '1 hour')",
        stage.tenant.uuid(),
        jti,
    )
    .execute(&pool)
    .await
    .unwrap();
    is_invalid_token(&stage.send(stage.request_with("/mcp", &token), &ping()).await);
    assert_eq!(
        stage.send(stage.request_with("/mcp", &other), &ping()).await.status,
        StatusCode::OK
    );
}

/// A token works at every spelling of its resource and at no other resource.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_token_opens_every_spelling_of_its_resource_and_no_other(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let (slug, general) = (&stage.slug, stage.token().await);
    let own = stage.token_but(json!({ "aud": format!("{ORIGIN}/t/{slug}/mcp") })).await;
    let tenant_paths = ["mcp", "mcp/", "sse", "sse/"].map(|end| format!("/t/{slug}/{end}"));
    let general_paths = ["/mcp", "/mcp/", "/sse", "/sse/"].map(str::to_owned);
    for (paths, right, wrong) in [(tenant_paths, &own, &general), (general_paths, &general, &own)] {
        for path in paths {
            let status = async |token: &str| {
                stage.send(stage.request_with(&path, token), &ping()).await.status
            };
            assert_eq!(status(right).await, StatusCode::OK, "{path}");
            assert_eq!(status(wrong).await, StatusCode::UNAUTHORIZED, "{path}");
        }
    }
    // Another tenant's path, even with a token that names it.
    let other = Stage::on(stage.app.clone()).await;
    let aimed = stage.token_but(json!({ "aud": format!("{ORIGIN}/t/{}/mcp", other.slug) })).await;
    let path = format!("/t/{}/mcp", other.slug);
    let answer = stage.send(stage.request_with(&path, &aimed), &ping()).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let strange = stage.send(stage.request_with("/t/a%22b/mcp", &own), &ping()).await;
    assert_eq!(strange.status, StatusCode::NOT_FOUND);
}

/// When the database does not say that the grant lives, nobody passes.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn without_an_answer_about_the_grant_nobody_passes(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let request = stage.request("/mcp").await;
    stage.app.db().close().await;
    let answer = stage.send(request, &ping()).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.text());
    assert!(answer.json().get("result").is_none());
}
