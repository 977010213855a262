//! Discovery.

use axum::{body::Body, extract::Request, http::Method};
use serde_json::json;
use sqlx::PgPool;

use crate::support::{ORIGIN, TestApp};

/// [M-01] [M-03] The document, whole: nothing null, nothing that is not served.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_authorization_server_describes_itself(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let answer = app.get("/.well-known/oauth-authorization-server").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(
        answer.json(),
        json!({
            "issuer": ORIGIN,
            "authorization_endpoint": format!("{ORIGIN}/oauth/authorize"),
            "token_endpoint": format!("{ORIGIN}/oauth/token"),
            "registration_endpoint": format!("{ORIGIN}/oauth/register"),
            "revocation_endpoint": format!("{ORIGIN}/oauth/revoke"),
            "introspection_endpoint": format!("{ORIGIN}/oauth/introspect"),
            "pushed_authorization_request_endpoint": format!("{ORIGIN}/oauth/par"),
            "jwks_uri": format!("{ORIGIN}/oauth/jwks.json"),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported":
                ["authorization_code", "refresh_token", "client_credentials"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported":
                ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported":
                ["EdDSA", "Ed25519", "ES256", "PS256", "RS256"],
            "revocation_endpoint_auth_methods_supported":
                ["none", "client_secret_basic", "client_secret_post", "private_key_jwt"],
            "revocation_endpoint_auth_signing_alg_values_supported":
                ["EdDSA", "Ed25519", "ES256", "PS256", "RS256"],
            "introspection_endpoint_auth_methods_supported":
                ["client_secret_basic", "client_secret_post", "private_key_jwt"],
            "introspection_endpoint_auth_signing_alg_values_supported":
                ["EdDSA", "Ed25519", "ES256", "PS256", "RS256"],
            "dpop_signing_alg_values_supported": ["EdDSA", "Ed25519", "ES256", "PS256", "RS256"],
            "scopes_supported": ["search:read", "offline_access"],
            "authorization_response_iss_parameter_supported": true,
            "client_id_metadata_document_supported": true,
            "protected_resources": [format!("{ORIGIN}/mcp")],
        })
    );
}

/// [M-05] Every spelling of a resource has its document, which names it letter for letter.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn every_resource_describes_itself(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    for (path, resource) in [
        ("", "/mcp"),
        ("/", "/mcp"),
        ("/mcp", "/mcp"),
        ("/mcp/", "/mcp/"),
        ("/sse", "/sse"),
        ("/sse/", "/sse/"),
        ("/t/acme/mcp", "/t/acme/mcp"),
        ("/t/acme/mcp/", "/t/acme/mcp/"),
        ("/t/acme/sse", "/t/acme/sse"),
        ("/t/acme/sse/", "/t/acme/sse/"),
    ] {
        let answer = app.get(&format!("/.well-known/oauth-protected-resource{path}")).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(
            answer.json(),
            json!({
                "resource": format!("{ORIGIN}{resource}"),
                "authorization_servers": [ORIGIN],
                "scopes_supported": ["search:read"],
                "bearer_methods_supported": ["header"],
                "dpop_signing_alg_values_supported": ["EdDSA", "Ed25519", "ES256", "PS256", "RS256"],
                "resource_name": "Callslip",
            }),
            "{path}"
        );
    }
    let api = app.get("/.well-known/oauth-protected-resource/t/acme/api").await.json();
    assert_eq!(api["resource"], format!("{ORIGIN}/t/acme/api"));
    let scopes = json!(["search:read", "documents:read", "documents:write"]);
    assert_eq!(api["scopes_supported"], scopes);
}

#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn any_other_well_known_document_is_a_json_404(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    for path in [
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server/t/acme",
        "/.well-known/oauth-protected-resource/nonsense",
        "/.well-known/oauth-protected-resource/t/acme",
        "/.well-known/oauth-protected-resource/t/ACME/mcp",
        "/.well-known/",
        "/mcp/.well-known/openid-configuration",
        "/t/acme/.well-known/openid-configuration",
        "/t/acme/mcp/.well-known/oauth-authorization-server",
        "/sse/.well-known/openid-configuration",
    ] {
        let answer = app.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.header("content-type"), "application/json", "{path}");
        assert!(answer.json().is_object(), "{path}");
    }
}

/// [M-07] Any origin may read what is public and call what takes no cookie; no other origin may
/// call what the browser's user decides.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn only_what_takes_no_cookie_is_open_to_other_origins(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ask = |method: Method, path: &str| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("origin", "https://inspector.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type")
            .body(Body::empty())
            .unwrap();
        app.send(request)
    };
    for path in [
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-protected-resource/mcp",
        "/oauth/jwks.json",
        "/oauth/register",
        "/oauth/token",
        "/oauth/revoke",
    ] {
        let answer = ask(Method::OPTIONS, path).await;
        assert_eq!(answer.status, 204, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
        assert_eq!(answer.header("access-control-allow-credentials"), "", "{path}");
        assert!(answer.header("access-control-allow-headers").contains("authorization"));
    }
    // Errors can be read too.
    let refused = app.post_form("/oauth/token", None, &[("grant_type", "x")]).await;
    assert_eq!(refused.header("access-control-allow-origin"), "*");
    for path in ["/oauth/authorize", "/oauth/consent", "/sign-in"] {
        for method in [Method::OPTIONS, Method::GET, Method::POST] {
            let answer = ask(method, path).await;
            let open =
                answer.headers.keys().any(|name| name.as_str().starts_with("access-control"));
            assert!(!open, "{path} {:?}", answer.headers);
        }
    }
}

/// The keys are public halves, and verify what the server signs.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_key_set_is_public_and_shared(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let answer = app.get("/oauth/jwks.json").await;
    let document = answer.json();
    let keys = document["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 1);
    let mut members: Vec<&str> = keys[0].as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x"]);
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    // Another process on the same database signs with the same key.
    let other = TestApp::new(&pool).await;
    assert_eq!(other.get("/oauth/jwks.json").await.json(), document);
    let sealed: Vec<u8> =
        sqlx::query_scalar("select sealed_key from signing_keys").fetch_one(&pool).await.unwrap();
    assert!(!sealed.windows(5).any(|part| part == [0x06, 0x03, 0x2b, 0x65, 0x70]), "in clear");
}
