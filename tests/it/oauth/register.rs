//! Dynamic client registration.

use axum::{body::Body, extract::Request};
use callslip::tenants::Role;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{ORIGIN, TestApp};

/// [D-01] A registration is answered with what was registered, and nothing null.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_was_registered_is_echoed(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let answer = app
        .register(&json!({
            "client_name": "ChatGPT",
            "redirect_uris": ["https://chatgpt.com/connector/oauth/abc"],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "client_uri": "",
            "logo_uri": null,
            "something_new": {"x": 1},
        }))
        .await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (201, "no-store"));
    let mut registered = answer.json();
    let client_id = registered["client_id"].take();
    let issued_at = registered["client_id_issued_at"].take();
    let uri = registered["registration_client_uri"].take();
    let token = registered["registration_access_token"].take();
    assert_eq!(uri, format!("{ORIGIN}/oauth/register/{}", client_id.as_str().unwrap()));
    assert!(token.as_str().unwrap().starts_with("csl_ra_"));
    assert!(client_id.as_str().is_some_and(|id| !id.starts_with("https://") && id.len() >= 32));
    assert!(issued_at.is_i64());
    registered["client_id"] = json!("id");
    registered["client_id_issued_at"] = json!(0);
    registered.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    assert_eq!(
        registered,
        json!({
            "client_id": "id",
            "client_id_issued_at": 0,
            "client_name": "ChatGPT",
            "redirect_uris": ["https://chatgpt.com/connector/oauth/abc"],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        })
    );
    let again = app.register(&json!({"redirect_uris": ["https://a.example/cb"]})).await.json();
    assert_ne!(again["client_id"], client_id);
    // RFC 7591's defaults: confidential, with a secret that does not expire.
    assert_eq!(again["token_endpoint_auth_method"], "client_secret_basic");
    assert!(again["client_secret"].as_str().unwrap().starts_with("csl_cs_"));
    assert_eq!(again["client_secret_expires_at"], 0);
    assert_eq!(again["grant_types"], json!(["authorization_code", "refresh_token"]));
}

/// [D-01] What the well-known clients send is accepted as they send it.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_real_clients_can_register(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let cursor = json!([
        "cursor://anysphere.cursor-mcp/oauth/callback",
        "http://localhost:8787/callback",
        "https://www.cursor.com/agents/mcp/oauth/callback"
    ]);
    let vs_code = json!([
        "http://127.0.0.1:33418/",
        "http://127.0.0.1/",
        "https://vscode.dev/redirect",
        "https://insiders.vscode.dev/redirect"
    ]);
    for metadata in [
        json!({"client_name": "Cursor", "redirect_uris": cursor, "application_type": "web",
               "token_endpoint_auth_method": "none"}),
        json!({"client_name": "Visual Studio Code", "redirect_uris": vs_code,
               "grant_types": ["authorization_code", "refresh_token",
                               "urn:ietf:params:oauth:grant-type:device_code"],
               "client_uri": "https://code.visualstudio.com", "application_type": "native"}),
        json!({"client_name": "Claude", "scope": "search:read offline_access openid",
               "redirect_uris": ["https://claude.ai/api/mcp/auth_callback"],
               "token_endpoint_auth_method": "client_secret_post"}),
        json!({"redirect_uris": ["http://localhost:3335/oauth/callback"], "contacts": [],
               "software_id": "mcp-remote", "software_version": "0.15.1"}),
    ] {
        let answer = app.register(&metadata).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let registered = answer.json();
        assert_eq!(registered["redirect_uris"], metadata["redirect_uris"]);
        assert!(registered.as_object().unwrap().values().all(|value| !value.is_null()));
    }
}

/// [D-02] A redirect URI that could run something, or go anywhere, is not registered.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn dangerous_redirect_uris_are_refused(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    for uri in [
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "vbscript:x",
        "blob:https://a.example/x",
        "about:blank",
        "ftp://a.example/",
        "wss://a.example/",
        "intent://x#Intent;end",
        "http://a.example/cb",
        "http://127.0.0.1.evil.example/cb",
        "https://a.example/cb#x",
        "https://*.example/cb",
        "https://user@a.example/cb",
        "cb",
        "",
    ] {
        let good = "https://a.example/cb";
        for uris in [json!([uri]), json!([good, uri])] {
            let answer = app.register(&json!({"redirect_uris": uris})).await;
            assert_eq!(answer.status, 400, "{uri}");
            assert_eq!(answer.json()["error"], "invalid_redirect_uri", "{uri}");
        }
    }
    for uris in [json!([]), json!(null), json!("https://a.example/cb"), json!([1])] {
        assert_eq!(app.register(&json!({"redirect_uris": uris})).await.status, 400, "{uris}");
    }
    assert_eq!(app.count("oauth_clients").await, 0);
}

/// [D-05] What is too long or too much is refused.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn registrations_are_bounded(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let one = "https://a.example/cb";
    let long = format!("https://a.example/{}", "x".repeat(500));
    for metadata in [
        json!({"redirect_uris": vec![one; 11]}),
        json!({"redirect_uris": [long]}),
        json!({"redirect_uris": [one], "client_name": "n".repeat(61)}),
        json!({"redirect_uris": [one], "contacts": ["a@x", "b@x", "c@x", "d@x"]}),
        json!({"redirect_uris": [one], "client_uri": "http://a.example"}),
        json!({"redirect_uris": [one], "logo_uri#de": "javascript:alert(1)"}),
        json!({"redirect_uris": [one], "token_endpoint_auth_method": "client_secret_jwt"}),
        json!({"redirect_uris": [one], "grant_types": ["client_credentials"]}),
        json!({"redirect_uris": [one], "response_types": ["token"]}),
        json!({"redirect_uris": [one], "software_statement": "eyJ"}),
        json!({"redirect_uris": [one], "software_id": "a\u{0}b"}),
        json!({"redirect_uris": [one], "contacts": ["a\u{0}b"]}),
        json!({"redirect_uris": [one], "client_uri": "https://a.example/\u{0}"}),
        json!({"redirect_uris": ["https://a.example/\u{0}"]}),
        json!([]),
        json!("x"),
    ] {
        let answer = app.register(&metadata).await;
        assert_eq!(answer.status, 400, "{metadata}");
        assert_eq!(answer.header("cache-control"), "no-store");
        let error = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(error.starts_with("invalid_") || error == "unapproved_software_statement");
    }
    let huge = json!({"redirect_uris": [one], "x": "x".repeat(17_000)});
    assert!([400, 413].contains(&app.register(&huge).await.status.as_u16()));
    for junk in ["", "{", "{\"redirect_uris\":[\"https://a.example/cb\"]}x", "\u{0}"] {
        let request = Request::post("/oauth/register").body(Body::from(junk)).unwrap();
        assert_eq!(app.send(request).await.status, 400, "{junk:?}");
    }
    assert_eq!(app.count("oauth_clients").await, 0);
    let most = json!({"redirect_uris": vec![one; 10], "client_name": "n".repeat(60),
                      "contacts": ["a@x", "b@x", "c@x"]});
    assert_eq!(app.register(&most).await.status, 201);
}

/// [D-06] A client does not choose its id, its tenant or its standing.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_is_not_the_clients_to_choose_is_ignored(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let extra = ["client_id", "tenant_id", "trusted", "skip_consent", "owner", "client_secret"];
    let mut metadata = json!({"redirect_uris": ["https://a.example/cb"],
                              "token_endpoint_auth_method": "none"});
    for name in extra {
        metadata[name] = json!("chosen-by-me");
    }
    let answer = app.register(&metadata).await;
    assert_eq!(answer.status, 201);
    assert!(!answer.text().contains("chosen-by-me"), "{}", answer.text());
    let stored: Value = sqlx::query_scalar("select to_jsonb(c) from oauth_clients c")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert!(!stored.to_string().contains("chosen-by-me"));
}

/// A client's name is shown without what could hide or turn it around.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn names_are_cleaned(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let answer = app
        .register(&json!({"redirect_uris": ["https://a.example/cb"],
                          "client_name": "Ａcme\u{202e} \u{200b}Reader\n"}))
        .await;
    assert_eq!(answer.json()["client_name"], "Acme Reader");
}

/// A member that is null is absent: serializers write what they do not have.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn null_is_absent(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let answer = app
        .register(&json!({
            "redirect_uris": ["https://a.example/cb"],
            "software_statement": null,
            "scope": null,
            "logo_uri": null,
            "contacts": null,
            "grant_types": null,
        }))
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

/// [D-09] What we lack, or what contradicts itself, is refused before anything is stored.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_cannot_be_kept_is_not_promised(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let key = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "1",
                               "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]});
    let mut private = key.clone();
    private["keys"][0]["d"] = json!("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A");
    for metadata in [
        json!({"grant_types": ["refresh_token"]}),
        json!({"grant_types": []}),
        json!({"grant_types": ["implicit"]}),
        json!({"grant_types": ["authorization_code", "implicit"]}),
        json!({"grant_types": ["authorization_code", "password"]}),
        json!({"grant_types": ["authorization_code", "client_credentials"]}),
        json!({"grant_types": ["urn:ietf:params:oauth:grant-type:device_code"]}),
        json!({"grant_types": "authorization_code"}),
        json!({"response_types": []}),
        json!({"response_types": ["token"]}),
        json!({"response_types": ["code", "token"]}),
        json!({"response_types": ["code id_token"]}),
        json!({"response_types": ["none"]}),
        json!({"token_endpoint_auth_method": "client_secret_jwt"}),
        json!({"token_endpoint_auth_method": "tls_client_auth"}),
        json!({"token_endpoint_auth_method": "self_signed_tls_client_auth"}),
        json!({"token_endpoint_auth_method": ["none"]}),
        json!({"token_endpoint_auth_method": "private_key_jwt"}),
        json!({"jwks": key, "jwks_uri": "https://a.example/keys"}),
        json!({"jwks": private}),
        json!({"jwks": {"keys": [{"kty": "oct", "k": "AAAA"}]}}),
        json!({"jwks": {"keys": [], "x": "\u{0}"}}),
        json!({"jwks": "x"}),
        json!({"dpop_bound_access_tokens": "yes"}),
    ] {
        let mut all = json!({"redirect_uris": ["https://a.example/cb"]});
        for (name, value) in metadata.as_object().unwrap() {
            all[name] = value.clone();
        }
        let answer = app.register(&all).await;
        assert_eq!(answer.status, 400, "{metadata}");
        assert_eq!(answer.json()["error"], "invalid_client_metadata", "{metadata}");
    }
    // Nobody's word counts for a client's here, signed or not.
    for statement in ["eyJhbGciOiJub25lIn0.eyJzb2Z0d2FyZV9pZCI6IngifQ.", "x"] {
        let answer = app
            .register(&json!({"redirect_uris": ["https://a.example/cb"],
                              "software_statement": statement}))
            .await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.json()["error"], "unapproved_software_statement");
    }
    assert_eq!(app.count("oauth_clients").await, 0);
    // Extension grants that we lack are left out, and the answer says so.
    let answer = app
        .register(&json!({
            "redirect_uris": ["https://a.example/cb"],
            "grant_types": ["authorization_code", "urn:ietf:params:oauth:grant-type:device_code"],
        }))
        .await;
    assert_eq!(answer.json()["grant_types"], json!(["authorization_code"]));
    let bound = app
        .register(&json!({"redirect_uris": ["https://a.example/cb"], "jwks": key,
                          "dpop_bound_access_tokens": true}))
        .await
        .json();
    assert_eq!((&bound["dpop_bound_access_tokens"], &bound["jwks"]), (&json!(true), &key));
}

/// [D-03] [D-04] A link is https or refused, in every language; where people look at the app, it is
/// neither followed nor fetched nor framed.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn links_are_kept_and_never_followed(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let names = ["client_uri", "logo_uri", "tos_uri", "policy_uri", "jwks_uri"];
    let one = || json!({"redirect_uris": ["https://a.example/cb"]});
    for name in names {
        for suffix in ["", "#de", "#ja-Jpan-JP"] {
            for link in [
                "http://a.example/x",
                "javascript:alert(1)",
                "data:text/html,x",
                "//a.example/x",
                "/x",
                "https://user:pw@a.example/x",
                "ftp://a.example",
            ] {
                let mut metadata = one();
                metadata[format!("{name}{suffix}")] = json!(link);
                let answer = app.register(&metadata).await;
                assert_eq!(answer.status, 400, "{name}{suffix} {link}");
                assert_eq!(answer.json()["error"], "invalid_client_metadata");
            }
        }
    }
    assert_eq!(app.count("oauth_clients").await, 0);
    let mut metadata = json!({});
    for name in names {
        metadata[name] = json!(format!("https://linked.example/{name}"));
        if name != "jwks_uri" {
            metadata[format!("{name}#de")] = json!(format!("https://linked.example/{name}/de"));
        }
    }
    let assistant = app.assistant_with(&metadata).await;
    app.store("acme", "Library").await;
    let mut browser = app.member("acme", "ada", Role::Admin).await.sign_in().await;
    let sent = assistant.authorize(&mut browser, &[]).await;
    let consent = browser.get(sent.location()).await;
    assert_eq!(consent.status, 200);
    assistant.tokens(&mut browser, &[]).await;
    for page in [consent, browser.get("/t/acme/apps").await, browser.get("/account").await] {
        for attribute in ["href", "src", "action", "srcset", "data"] {
            for value in page.attribute(&format!("[{attribute}]"), attribute) {
                assert!(!value.contains("linked.example"), "{attribute}={value}");
            }
        }
    }
}

/// [C-06] Under a well-known app's name, people read where the app really is; mixed alphabets are
/// pointed out; the real apps keep their names.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_borrowed_name_is_not_shown(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    app.store("acme", "Library").await;
    let mut browser = app.member("acme", "ada", Role::Admin).await.sign_in().await;
    for (name, uri, shown) in [
        ("ChatGPT", "https://evil.example/cb", "evil.example"),
        ("СhаtGРТ", "https://evil.example/cb", "evil.example"),
        ("Callslip", "http://localhost/cb", "localhost"),
        ("Claude", "https://claude.ai/api/mcp/auth_callback", "Claude"),
        ("Claude Code (callslip)", "http://localhost:3118/callback", "Claude Code (callslip)"),
        ("<script>alert(1)</script>", "https://a.example/cb", "<script>alert(1)</script>"),
        ("Acme\u{202e}\u{200b} Reader", "https://a.example/cb", "Acme Reader"),
    ] {
        let assistant =
            app.assistant_with(&json!({"client_name": name, "redirect_uris": [uri]})).await;
        let sent = assistant.authorize(&mut browser, &[]).await;
        let page = browser.get(sent.location()).await;
        assert_eq!(page.select("h1 bdi"), [shown], "{name}");
        assistant.tokens(&mut browser, &[]).await;
        let apps = browser.get("/t/acme/apps").await;
        assert_eq!(apps.select("tbody th bdi").first().map(String::as_str), Some(shown), "{name}");
        assert!(page.select("script:not([src])").is_empty());
    }
    let mixed = app.assistant_with(&json!({"client_name": "Аcme Reader"})).await;
    let sent = mixed.authorize(&mut browser, &[]).await;
    assert!(browser.get(sent.location()).await.text().contains("several alphabets"));
    let long = json!({"redirect_uris": ["https://a.example/cb"], "client_name": "n".repeat(300)});
    assert_eq!(app.register(&long).await.status, 400);
}

/// Of a key set is kept what makes its keys: whatever else JSON can hold costs no registration.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn odd_keys_are_kept_without_what_is_odd(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": "1",
                     "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let mut odd = key.clone();
    odd["x5c"] = json!(["\u{0}"]);
    odd["y"] = json!(vec![1e308; 60]);
    let answer = app
        .register(&json!({"redirect_uris": ["https://a.example/cb"], "jwks": {"keys": [odd]},
                          "token_endpoint_auth_method": "private_key_jwt"}))
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert_eq!(answer.json()["jwks"], json!({"keys": [key]}));
}
