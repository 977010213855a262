use axum::{body::Body, extract::Request, http::header};
use callslip::tenants::Role;
use serde_json::json;
use sqlx::PgPool;

use super::{Bench, assert_problem, back_end, call, resource};
use crate::support::{ClientKey, ORIGIN, TestApp, resource_of};

const STORES: &str = "/t/acme/api/v1/vector-stores";

/// A token has one audience: what an assistant holds opens no API, and what a back end holds for the
/// API answers no assistant.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn tokens_of_the_api_and_of_mcp_are_no_use_to_each_other(pool: PgPool) {
    let bench = Bench::set(&pool).await;
    assert_eq!(bench.call("GET", "/vector-stores").await.status, 200);
    for path in ["/t/acme/mcp", "/mcp"] {
        let search = json!({ "query": "x" });
        let answer = bench.app.call_tool(path, &bench.token, "search", search).await;
        assert_eq!(answer.status, 401, "{path}");
    }
    for resource in [resource_of("acme"), format!("{ORIGIN}/mcp")] {
        let token = bench.bot.own_access_token(&[("resource", &resource)]).await;
        assert_problem(&call(&bench.app, &token, "GET", STORES).await, 401, "unauthorized");
    }
    // Nor does a user's consent open it.
    let reader = bench.app.member("acme", "ada", Role::Owner).await;
    let mut browser = reader.sign_in().await;
    let assistant = bench.app.assistant().await;
    let tokens = assistant.tokens(&mut browser, &[]).await;
    let token = tokens["access_token"].as_str().unwrap();
    assert_problem(&call(&bench.app, token, "GET", STORES).await, 401, "unauthorized");
    let refused = assistant.refused(&mut browser, &[("resource", &resource("acme"))]).await;
    assert_eq!(refused.told("error"), ["invalid_target"], "{}", refused.text());
    let both = "search:read documents:read documents:write";
    let tokens = assistant.tokens(&mut browser, &[("scope", both)]).await;
    assert_eq!(tokens["scope"], "search:read");
}

#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn who_shows_no_good_token_is_told_where_to_get_one(pool: PgPool) {
    let bench = Bench::set(&pool).await;
    let nothing = bench.app.get(STORES).await;
    assert_problem(&nothing, 401, "unauthorized");
    let metadata = format!("{ORIGIN}/.well-known/oauth-protected-resource/t/acme/api");
    assert_eq!(
        nothing.header("www-authenticate"),
        format!("Bearer resource_metadata=\"{metadata}\"")
    );
    assert_eq!(bench.app.get(&metadata[ORIGIN.len()..]).await.status, 200);
    for bad in ["nonsense", "", &bench.token[1..]] {
        let answer = call(&bench.app, bad, "GET", STORES).await;
        assert_eq!(answer.status, 401, "{bad}");
    }
    let twice = Request::get(STORES)
        .header(header::AUTHORIZATION, format!("Bearer {}", bench.token))
        .header(header::AUTHORIZATION, "Bearer x")
        .body(Body::empty())
        .unwrap();
    let answer = bench.app.send(twice).await;
    assert_problem(&answer, 400, "bad-request");
    assert!(answer.header("www-authenticate").contains("error=\"invalid_request\""));
    let in_query = format!("{STORES}?access_token={}", bench.token);
    assert_eq!(bench.app.get(&in_query).await.status, 401);
}

/// Each scope opens what it says, and the default token is for what the back end mostly does.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn each_scope_opens_its_own(pool: PgPool) {
    let bench = Bench::set(&pool).await;
    let document = bench.document(bench.store, "a.txt", "The pelican keeps a ledger.").await;
    let list = format!("/t/acme/api/v1/vector-stores/{}/documents", bench.store);
    let one = format!("/t/acme/api/v1/documents/{document}");
    for (scope, reads, deletes, searches) in [
        ("documents:read", true, false, false),
        ("documents:write", false, true, false),
        ("search:read", false, false, true),
    ] {
        let asked = [("resource", &*resource("acme")), ("scope", scope)];
        let token = bench.bot.own_access_token(&asked).await;
        assert_eq!(call(&bench.app, &token, "GET", STORES).await.status, 200);
        for (method, path, opens) in
            [("GET", &list, reads), ("GET", &one, reads), ("DELETE", &one, deletes)]
        {
            let answer = call(&bench.app, &token, method, path).await;
            if opens {
                assert!(answer.status.is_success(), "{scope} {method} {path}");
            } else {
                assert_problem(&answer, 403, "insufficient-scope");
                let challenge = answer.header("www-authenticate").to_owned();
                assert!(challenge.contains("error=\"insufficient_scope\""), "{challenge}");
            }
        }
        let answer = bench.post_with(&token, "/search", &json!({ "query": "pelican" })).await;
        assert_eq!(answer.status == 200, searches, "{scope}");
    }
    let wide = [("resource", &*resource_of("acme")), ("scope", "documents:write")];
    assert_eq!(bench.bot.own_token(&wide).await.json()["error"], "invalid_scope");
    let only = [("may", "documents_write")];
    let (bot, _) = back_end(&bench.app, "acme", "Drop box", &only, bench.store).await;
    let tokens = bot.own_token(&[]).await.json();
    assert_eq!(tokens["scope"], "documents:write");
    let token = tokens["access_token"].as_str().unwrap();
    assert_eq!(call(&bench.app, token, "GET", STORES).await.status, 200);
    let mcp = [("resource", &*resource_of("acme"))];
    assert_eq!(bot.own_token(&mcp).await.json()["error"], "invalid_scope");
}

/// What the admin takes back is over with the next call: the store, and the back end.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_is_taken_back_is_over_at_once(pool: PgPool) {
    let bench = Bench::set(&pool).await;
    let mut admin = bench.app.member("acme", "grace", Role::Admin).await.sign_in().await;
    let page = "/t/acme/service-clients";
    let id = &bench.bot.client_id;
    let fields = [("revision", "1"), ("store", &bench.closed.to_string())];
    let done = admin.submit(page, &format!("{page}/{id}/vector-stores"), &fields).await;
    assert_eq!(done.status, 303, "{}", done.text());
    let list = format!("/vector-stores/{}/documents", bench.store);
    assert_problem(&bench.call("GET", &list).await, 404, "not-found");
    let stores = bench.call("GET", "/vector-stores").await.json();
    assert_eq!(stores["vector_stores"][0]["name"], "Payroll");
    assert_eq!(stores["vector_stores"].as_array().unwrap().len(), 1);
    let done = admin.submit(page, &format!("{page}/{id}/delete"), &[]).await;
    assert_eq!(done.status, 303);
    assert_problem(&bench.call("GET", "/vector-stores").await, 401, "unauthorized");
}

/// A token that is bound to a key counts with a proof by that key alone, and once with each.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_bound_token_counts_with_its_key(pool: PgPool) {
    let bench = Bench::set(&pool).await;
    let app = &bench.app;
    let key = ClientKey::new();
    let resource = resource("acme");
    let proof = key.proof(app, "/oauth/token", None).await;
    let id = ("client_id", bench.bot.client_id.as_str());
    let secret = ("client_secret", bench.bot.client_secret.as_deref().unwrap());
    let fields =
        [("grant_type", "client_credentials"), ("resource", resource.as_str()), id, secret];
    let tokens = app.post_proven("/oauth/token", &[&proof], &fields).await.json();
    assert_eq!(tokens["token_type"], "DPoP", "{tokens}");
    let token = tokens["access_token"].as_str().unwrap();
    assert_problem(&call(app, token, "GET", STORES).await, 401, "unauthorized");
    let get = async |proof: &str| {
        let request = Request::get(STORES)
            .header(header::AUTHORIZATION, format!("DPoP {token}"))
            .header("dpop", proof)
            .body(Body::empty())
            .unwrap();
        app.send(request).await
    };
    let mut claims = key.claims(app, STORES, Some(token)).await;
    claims["htm"] = "GET".into();
    let proof = key.sign(&key.header().to_string(), &claims.to_string());
    assert_eq!(get(&proof).await.status, 200);
    let again = get(&proof).await;
    assert_problem(&again, 401, "unauthorized");
    assert!(again.header("www-authenticate").starts_with("DPoP "));
    let mut claims = ClientKey::new().claims(app, STORES, Some(token)).await;
    claims["htm"] = "GET".into();
    let other = ClientKey::new();
    let stolen = other.sign(&other.header().to_string(), &claims.to_string());
    assert_problem(&get(&stolen).await, 401, "unauthorized");
}

#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn calls_are_limited_as_those_of_assistants(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let store = app.store("acme", "Handbook").await;
    let (_, token) = back_end(&app, "acme", "Bot", &super::EVERYTHING, store).await;
    let answer = call(&app, &token, "GET", STORES).await;
    assert!(!answer.header("ratelimit").is_empty(), "{:?}", answer.headers);
}
