//! Back ends that buy tokens in their own name: OAuth 2.1 §4.2.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use callslip::{ids::VectorStoreId, tenants::Role};
use serde_json::{Value, json};
use sqlx::PgPool;
use time::Duration;
use uuid::Uuid;

use crate::support::{Assistant, ClientKey, ORIGIN, TestApp, resource_of};

fn claims(token: &str) -> Value {
    let body = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap()
}

/// Two stores of acme's with a document each, and a back end that may search the first.
async fn bot(app: &TestApp) -> (Assistant, VectorStoreId, VectorStoreId) {
    let open = app.store("acme", "Handbook").await;
    let closed = app.store("acme", "Payroll").await;
    app.document("acme", open, "open.txt", "The pelican keeps a ledger of herrings.").await;
    app.document("acme", closed, "closed.txt", "The pelican earns forty herrings a week.").await;
    let ticks = [("may", "search"), ("store", &open.to_string())];
    (app.back_end("acme", "Billing bot", &ticks).await, open, closed)
}

/// [T-19] The token has no user, no tenant but the client's, no refresh token beside it, and the
/// rights that the admin ticked.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_back_end_acts_in_its_own_name(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let (bot, ..) = bot(&app).await;
    let answer = bot.own_token(&[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    let tokens = answer.json();
    assert_eq!(tokens.get("refresh_token"), None);
    assert_eq!(
        (&tokens["token_type"], &tokens["scope"]),
        (&json!("Bearer"), &json!("search:read"))
    );
    let token = tokens["access_token"].as_str().unwrap();
    let said = claims(token);
    assert_eq!(said["sub"], bot.client_id.as_str());
    assert_eq!(said["client_id"], bot.client_id.as_str());
    assert_eq!(said["tenant"], app.tenant("acme").await.id.to_string());
    assert_eq!(said["aud"], resource_of("acme"));

    let found = app.call_tool("/t/acme/mcp", token, "search", json!({ "query": "pelican" })).await;
    assert_eq!(found.status, 200, "{}", found.text());
    assert!(found.text().contains("ledger") && !found.text().contains("forty"), "{}", found.text());
    let row = sqlx::query!(
        "select user_id, client_id from audit_events where kind = 'tool.search' limit 1"
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!((row.user_id, row.client_id.as_deref()), (None, Some(bot.client_id.as_str())));
    let mut admin = app.member("acme", "grace", Role::Admin).await.sign_in().await;
    let activity = admin.get("/t/acme/activity").await;
    assert!(activity.text().contains("Billing bot"));
    let rows = activity.select("tbody tr");
    let searched: Vec<_> = rows.iter().filter(|row| row.contains("Searched")).collect();
    assert!(
        !searched.is_empty() && searched.iter().all(|row| row.contains("Billing bot")),
        "{rows:?}"
    );
}

/// [T-19] Only whom an admin let: not who registers itself, however it asks and whatever its row says.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn nobody_registers_for_tokens_of_their_own(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let asked = json!({ "client_name": "x", "redirect_uris": ["https://a.example/cb"],
        "grant_types": ["client_credentials"], "token_endpoint_auth_method": "client_secret_basic" });
    let refused = app.register(&asked).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["error"]),
        (400, &json!("invalid_client_metadata"))
    );
    for method in ["none", "client_secret_basic", "client_secret_post"] {
        let both = json!({ "client_name": "x", "redirect_uris": ["https://a.example/cb"],
            "grant_types": ["authorization_code", "client_credentials"],
            "token_endpoint_auth_method": method });
        assert_eq!(app.register(&both).await.json()["error"], "invalid_client_metadata");
        let client = app.assistant_with(&json!({ "token_endpoint_auth_method": method })).await;
        let refused = client.own_token(&[]).await;
        assert_eq!(refused.json()["error"], "unauthorized_client", "{}", refused.text());
        sqlx::query("update oauth_clients set grant_types = '{client_credentials}'")
            .execute(&pool)
            .await
            .unwrap();
        let refused = client.own_token(&[("resource", &resource_of("acme"))]).await;
        assert_eq!(refused.json()["error"], "unauthorized_client", "{}", refused.text());
    }
    // One that may only introspect is none either.
    let guard = app.back_end("acme", "Guard", &[("may", "introspect")]).await;
    assert_eq!(guard.own_token(&[]).await.json()["error"], "unauthorized_client");
}

/// The resource is the tenant's own or the shared one; the scope is what was given, or less.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn resource_and_scope_are_narrowed_and_never_widened(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    app.tenant("zeta").await;
    let (bot, ..) = bot(&app).await;
    let search = json!({ "query": "pelican" });
    for (resource, aud, path) in [
        (resource_of("acme"), resource_of("acme"), "/t/acme/mcp"),
        (format!("{ORIGIN}/t/acme/sse/"), resource_of("acme"), "/t/acme/mcp"),
        (ORIGIN.to_owned(), format!("{ORIGIN}/mcp"), "/mcp"),
    ] {
        let token = bot.own_access_token(&[("resource", &resource)]).await;
        assert_eq!(claims(&token)["aud"], aud);
        assert_eq!(app.call_tool(path, &token, "search", search.clone()).await.status, 200);
        for other in ["/mcp", "/t/acme/mcp", "/t/zeta/mcp"] {
            let answer = app.call_tool(other, &token, "search", search.clone()).await;
            assert_eq!(answer.status == 200, other == path, "{aud} at {other}");
        }
    }
    for foreign in [&resource_of("zeta"), &resource_of("nope"), "https://evil.example/mcp", "acme"]
    {
        let refused = bot.own_token(&[("resource", foreign)]).await;
        assert_eq!(refused.json()["error"], "invalid_target", "{foreign}");
    }
    assert_eq!(bot.own_token(&[("scope", "search:read")]).await.status, 200);
    for wide in ["offline_access", "search:read offline_access", "admin"] {
        assert_eq!(bot.own_token(&[("scope", wide)]).await.json()["error"], "invalid_scope");
    }
}

/// What its admin changes holds at the next call, for the tokens that it has.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_the_admin_changes_holds_at_the_next_call(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let (bot, _, closed) = bot(&app).await;
    let token = bot.own_access_token(&[]).await;
    let search = json!({ "query": "pelican" });
    let ask = || app.call_tool("/t/acme/mcp", &token, "search", search.clone());
    let mut admin = app.member("acme", "grace", Role::Admin).await.sign_in().await;
    let page = "/t/acme/service-clients";
    let at = format!("{page}/{}", bot.client_id);
    let foreign = app.store("zeta", "Zeta's").await.to_string();
    let ticks = [("revision", "1"), ("store", &closed.to_string()), ("store", &foreign)];
    let changed = admin.submit(page, &format!("{at}/vector-stores"), &ticks).await;
    assert_eq!(changed.status, 303, "{}", changed.text());
    let found = ask().await.text();
    assert!(found.contains("forty") && !found.contains("ledger"), "{found}");
    assert_eq!(app.count("oauth_grant_vector_stores").await, 1, "another tenant's is no choice");

    let deleted = admin.submit(page, &format!("{at}/delete"), &[]).await;
    assert_eq!(deleted.status, 303);
    assert_eq!(ask().await.status, 401);
    assert_eq!(bot.own_token(&[]).await.json()["error"], "invalid_client");
    assert_eq!(admin.submit(page, &format!("{at}/delete"), &[]).await.status, 404);
    let kinds: Vec<String> = sqlx::query_scalar(
        "select kind from audit_events where kind like 'service_client%' order by id",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let expected = ["service_client.created", "service_client.changed", "service_client.deleted"];
    assert_eq!(kinds, expected);
}

/// On its last day it is refused, and the token that it bought the day before with it.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_back_end_ends_on_its_day(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let store = app.store("acme", "Handbook").await.to_string();
    let ticks =
        [("may", "search"), ("may", "introspect"), ("store", store.as_str()), ("life", "90")];
    let bot = app.back_end("acme", "Bot", &ticks).await;
    app.clock.advance(Duration::days(90) - Duration::minutes(10));
    let answer = bot.own_token(&[]).await.json();
    assert!(answer["expires_in"].as_i64().unwrap() <= 600, "no token outlives it: {answer}");
    let token = answer["access_token"].as_str().unwrap();
    assert!(app.accepts(token).await);
    app.clock.advance(Duration::minutes(10));
    assert!(!app.accepts(token).await);
    for answer in [bot.own_token(&[]).await, bot.introspect(token).await] {
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["error"]),
            (401, &json!("invalid_client"))
        );
    }
}

/// With a key of its own, whose public half was pasted: RFC 7523, and a bound token by RFC 9449.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_back_end_proves_itself_by_a_key(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let store = app.store("acme", "Handbook").await.to_string();
    let key = ClientKey::new();
    let jwks = json!({ "keys": [key.jwk] }).to_string();
    let ticks = [("may", "search"), ("store", store.as_str()), ("proof", "jwks"), ("jwks", &jwks)];
    let bot = app.back_end("acme", "Key bot", &ticks).await;
    assert_eq!(bot.client_secret, None);
    let assertion = || {
        let now = app.clock.now().unix_timestamp();
        let said = json!({ "iss": bot.client_id, "sub": bot.client_id, "aud": ORIGIN,
                           "jti": Uuid::new_v4(), "iat": now, "exp": now + 60 });
        key.sign(&json!({ "alg": "ES256", "typ": "JWT" }).to_string(), &said.to_string())
    };
    let ask = async |assertion: &str, proofs: &[&str]| {
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", kind),
            ("client_assertion", assertion),
        ];
        app.post_proven("/oauth/token", proofs, &fields).await
    };
    let once = assertion();
    let answer = ask(&once, &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(app.accepts(answer.json()["access_token"].as_str().unwrap()).await);
    assert_eq!(ask(&once, &[]).await.json()["error"], "invalid_client");

    let holder = ClientKey::new();
    let proof = holder.proof(&app, "/oauth/token", None).await;
    let bound = ask(&assertion(), &[&proof]).await.json();
    assert_eq!(bound["token_type"], "DPoP", "{bound}");
    assert_eq!(claims(bound["access_token"].as_str().unwrap())["cnf"]["jkt"], holder.jkt);
    // Without a proof the next one is not bound: the grant is the client's and not the key's.
    assert_eq!(ask(&assertion(), &[]).await.json()["token_type"], "Bearer");
}

/// The limits of the endpoint count a back end by its grant, where others are counted by user.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_limits_hold_for_back_ends(pool: PgPool) {
    let app = TestApp::with(&pool, &[("CALLSLIP_RATE_LIMIT_SCALE", "0.1")]).await;
    let store = app.store("acme", "Handbook").await.to_string();
    let ticks = [("may", "search"), ("store", store.as_str())];
    let bot = app.back_end("acme", "Bot", &ticks).await;
    let token = bot.own_access_token(&[]).await;
    let mut seen = Vec::new();
    for _ in 0..5 {
        let answer = app.call_tool("/t/acme/mcp", &token, "search", json!({ "query": "x" })).await;
        seen.push(answer.status.as_u16());
    }
    assert_eq!(seen, [200, 200, 200, 429, 429]);
}
