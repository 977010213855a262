//! RFC 7662.

use callslip::tenants::Role;
use serde_json::{Value, json};
use sqlx::PgPool;
use time::Duration;

use crate::support::{Answer, Assistant, ClientKey, ORIGIN, TestApp, resource_of};

const NO: &str = r#"{"active":false}"#;

async fn guard(app: &TestApp, slug: &str) -> Assistant {
    app.back_end(slug, &format!("Guard of {slug}"), &[("may", "introspect")]).await
}

fn text(tokens: &Value, name: &str) -> String {
    tokens[name].as_str().unwrap().to_owned()
}

/// Exactly what it says of a live token, and that it says nothing of who is behind it but a name.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_live_token_is_described(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.member("acme", "ada", Role::Reader).await;
    app.store("acme", "Library").await;
    let guard = guard(&app, "acme").await;
    let assistant = app.assistant().await;
    let tokens = assistant.tokens(&mut ada.sign_in().await, &[]).await;
    let now = app.clock.now().unix_timestamp();
    let tenant = app.tenant("acme").await.id.to_string();

    let answer = guard.introspect(&text(&tokens, "access_token")).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let mut said = answer.json();
    assert!(said["jti"].as_str().unwrap().len() == 36);
    said.as_object_mut().unwrap().remove("jti");
    let sub = ada.user.id.to_string();
    assert_eq!(
        said,
        json!({
            "active": true, "scope": "search:read", "client_id": assistant.client_id, "sub": sub,
            "username": "ada", "aud": format!("{ORIGIN}/mcp"), "iss": ORIGIN, "exp": now + 1800,
            "iat": now, "token_type": "Bearer", "tenant": tenant,
        })
    );
    let said = guard.introspect(&text(&tokens, "refresh_token")).await.json();
    let expires = now + Duration::days(30).whole_seconds();
    assert_eq!(
        said,
        json!({
            "active": true, "scope": "search:read", "client_id": assistant.client_id, "sub": sub,
            "username": "ada", "aud": format!("{ORIGIN}/mcp"), "iss": ORIGIN, "exp": expires,
            "iat": now, "tenant": tenant,
        })
    );
    // A back end's own token: its subject is the client, and there is no name.
    let store = app.store("acme", "Handbook").await.to_string();
    let bot = app.back_end("acme", "Bot", &[("may", "search"), ("store", &store)]).await;
    let said = guard.introspect(&bot.own_access_token(&[]).await).await.json();
    assert_eq!((&said["active"], &said["sub"]), (&json!(true), &json!(bot.client_id)));
    assert_eq!((said.get("username"), &said["aud"]), (None, &json!(resource_of("acme"))));

    let key = ClientKey::new();
    let code = assistant.code(&mut ada.sign_in().await, &[]).await;
    let proof = key.proof(&app, "/oauth/token", None).await;
    let bound = assistant.exchange_proven(&code, &[&proof]).await.json();
    let said = guard.introspect(&text(&bound, "access_token")).await.json();
    assert_eq!((&said["token_type"], &said["cnf"]["jkt"]), (&json!("DPoP"), &json!(key.jkt)));
}

/// [X-03] Of a token of another tenant's, of a foreign audience, and of everything that is no live
/// token, the answer is the same one word.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn of_anything_else_it_says_one_word(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let guard_of_acme = guard(&app, "acme").await;
    let guard_of_zeta = guard(&app, "zeta").await;
    app.store("zeta", "Library").await;
    let zoe = app.member("zeta", "zoe", Role::Reader).await;
    let mut browser = zoe.sign_in().await;
    let assistant = app.assistant().await;
    let tokens = assistant.tokens(&mut browser, &[]).await;
    let (access, refresh) = (text(&tokens, "access_token"), text(&tokens, "refresh_token"));
    let code = assistant.code(&mut browser, &[]).await;
    let foreign = crate::mcp::stage::Stage::on(app.clone()).await;
    let guard_there = guard(&app, &foreign.slug).await;
    let audience = |aud: &str| json!({ "aud": aud });
    assert_eq!(guard_there.introspect(&foreign.token().await).await.json()["active"], true);
    for aud in ["https://elsewhere.example/mcp", &resource_of("acme"), ORIGIN] {
        let token = foreign.token_but(audience(aud)).await;
        assert_eq!(guard_there.introspect(&token).await.text(), NO, "{aud}");
    }
    let bad_signature = format!("{}A", &access[..access.len() - 1]);
    for token in [&access, &refresh, &code, &bad_signature, "", "x", "a.b.c", "csl_rt_x", "\0"] {
        let answer = guard_of_acme.introspect(token).await;
        if token.is_empty() {
            assert_eq!(answer.json()["error"], "invalid_request");
            continue;
        }
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, NO), "{token}");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    for token in [&access, &refresh] {
        assert_eq!(guard_of_zeta.introspect(token).await.json()["active"], true);
    }
    let secret = guard_of_zeta.client_secret.clone().unwrap();
    let session = browser.session().unwrap().to_owned();
    for token in [&code, &secret, &session, &guard_of_zeta.client_id] {
        assert_eq!(guard_of_zeta.introspect(token).await.text(), NO);
    }
    // Used, given back, expired.
    let next = text(&assistant.refresh(&refresh, &[]).await.json(), "refresh_token");
    let after = assistant.refresh(&next, &[]).await.json();
    assert_eq!(guard_of_zeta.introspect(&refresh).await.text(), NO, "two generations old");
    assistant.revoke(&access).await;
    assert_eq!(guard_of_zeta.introspect(&access).await.text(), NO);
    app.clock.advance(Duration::minutes(31));
    assert_eq!(guard_of_zeta.introspect(&text(&after, "access_token")).await.text(), NO);
    assert_eq!(
        guard_of_zeta.introspect(&text(&after, "refresh_token")).await.json()["active"],
        true
    );
}

/// [X-03] Who asks has proved to be a resource server: 401 for no or wrong credentials, 403 for a
/// client that is known and was not let. A bearer token is no credential here.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn only_a_resource_server_may_ask(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.member("acme", "ada", Role::Reader).await;
    let store = app.store("acme", "Library").await.to_string();
    let guard = guard(&app, "acme").await;
    let public = app.assistant().await;
    let tokens = public.tokens(&mut ada.sign_in().await, &[]).await;
    let token = text(&tokens, "access_token");
    let is = |answer: &Answer, status: u16, error: &str| {
        let body = answer.json();
        assert_eq!((answer.status.as_u16(), &body["error"]), (status, &json!(error)), "{body}");
        assert!(body.get("active").is_none() && !answer.text().contains(&ada.user.id.to_string()));
    };
    let ask = async |authorization: Option<&str>, fields: &[(&str, &str)]| {
        let mut all = vec![("token", token.as_str())];
        all.extend_from_slice(fields);
        app.post_form("/oauth/introspect", authorization, &all).await
    };
    is(&ask(None, &[]).await, 401, "invalid_client");
    is(&ask(None, &[("client_id", &guard.client_id)]).await, 401, "invalid_client");
    is(&ask(Some(&format!("Bearer {token}")), &[]).await, 401, "invalid_client");
    let wrong = [("client_id", guard.client_id.as_str()), ("client_secret", "csl_cs_wrong")];
    is(&ask(None, &wrong).await, 401, "invalid_client");
    is(&public.introspect(&token).await, 401, "invalid_client");
    let confidential = json!({ "token_endpoint_auth_method": "client_secret_post" });
    is(
        &app.assistant_with(&confidential).await.introspect(&token).await,
        403,
        "unauthorized_client",
    );
    let bot = app.back_end("acme", "Bot", &[("may", "search"), ("store", &store)]).await;
    is(&bot.introspect(&token).await, 403, "unauthorized_client");

    let post = Assistant { method: "client_secret_post".to_owned(), ..guard.clone() };
    for good in [&guard, &post] {
        assert_eq!(good.introspect(&token).await.json()["active"], true);
    }
    // No page of another origin asks with somebody's credentials.
    let answer = guard.introspect(&token).await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
}
