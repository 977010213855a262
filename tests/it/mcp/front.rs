//! Methods, hosts, origins, sizes.

use axum::{
    body::Body,
    extract::Request,
    http::{Method, StatusCode},
};
use callslip::http::Phase;
use sqlx::PgPool;

use super::stage::{Stage, ping};
use crate::support::ORIGIN;

/// [H-04] Only POST; everything else is 405 and never 200. Old session headers are ignored.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn only_post_is_answered(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    for path in ["/mcp", "/mcp/", "/t/acme/mcp", "/t/acme/mcp/"] {
        for method in [Method::GET, Method::HEAD, Method::DELETE, Method::PUT, Method::PATCH] {
            let request = Request::builder().method(&method).uri(path).body(Body::empty()).unwrap();
            let answer = stage.app.send(request).await;
            assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
            assert_eq!(answer.header("allow"), "POST");
        }
    }
    let request = stage
        .request("/mcp")
        .await
        .header("mcp-session-id", "of-an-old-server")
        .header("last-event-id", "7");
    let answer = stage.send(request, &ping()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.headers.get("mcp-session-id").is_none());
}

/// [H-01] A foreign origin or host is turned away before its token is looked at.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_foreign_origin_or_host_is_turned_away(pool: PgPool) {
    let app = "https://app.example";
    let stage = Stage::with(&pool, &[("CALLSLIP_ALLOWED_ORIGINS", app)]).await;
    for (origin, status) in [
        (ORIGIN, StatusCode::OK),
        (app, StatusCode::OK),
        ("null", StatusCode::FORBIDDEN),
        ("https://evil.example", StatusCode::FORBIDDEN),
        ("http://callslip.example", StatusCode::FORBIDDEN),
        ("http://localhost:6274", StatusCode::FORBIDDEN),
    ] {
        let request = stage.request("/mcp").await.header("origin", origin);
        let answer = stage.send(request, &ping()).await;
        assert_eq!(answer.status, status, "{origin}");
        let shared = answer.header("access-control-allow-origin");
        assert_eq!(shared, if status == StatusCode::OK { origin } else { "" });
    }
    for (host, status) in [
        ("callslip.example", StatusCode::OK),
        ("callslip.example:443", StatusCode::OK),
        ("evil.example", StatusCode::MISDIRECTED_REQUEST),
        ("localhost:8700", StatusCode::MISDIRECTED_REQUEST),
    ] {
        let request = stage.request("/mcp").await.header("host", host);
        assert_eq!(stage.send(request, &ping()).await.status, status, "{host}");
    }
}

/// [H-14] A browser's script from an allowed origin can read challenges and limits.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_browser_client_may_ask_and_read(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let ask = |origin: &str| {
        Request::options("/mcp")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,mcp-method")
            .body(Body::empty())
            .unwrap()
    };
    let answer = stage.app.send(ask(ORIGIN)).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(answer.header("access-control-allow-origin"), ORIGIN);
    assert_eq!(answer.header("access-control-allow-methods"), "POST");
    assert_eq!(answer.header("vary"), "Origin");
    for name in
        ["authorization", "content-type", "mcp-protocol-version", "mcp-method", "mcp-name", "dpop"]
    {
        assert!(answer.header("access-control-allow-headers").contains(name), "{name}");
    }
    assert!(answer.headers.get("access-control-allow-credentials").is_none());
    assert_eq!(stage.app.send(ask("https://evil.example")).await.status, StatusCode::FORBIDDEN);

    let request = Request::post("/mcp").header("origin", ORIGIN);
    let answer = stage.send(request, &ping()).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let exposed = answer.header("access-control-expose-headers");
    for name in ["www-authenticate", "retry-after", "ratelimit", "mcp-session-id", "dpop-nonce"] {
        assert!(exposed.contains(name), "{exposed}");
    }
    // The SDK asks for a stream and takes a 405 for a no, and a failed request for trouble.
    let asked = Request::get("/mcp").header("origin", ORIGIN).body(Body::empty()).unwrap();
    let answer = stage.app.send(asked).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.header("access-control-allow-origin"), ORIGIN);
}

/// A megabyte and no more; and nothing compressed.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_body_is_bounded_and_plain(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    let huge = format!("\"{}\"", "x".repeat(1 << 20));
    let answer = stage.send_raw(stage.request("/mcp").await, &huge).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    // The same without a declared length.
    let stream =
        futures_util::stream::iter((0..17).map(|_| Ok::<_, std::io::Error>(vec![b' '; 64 << 10])));
    let request = stage.request("/mcp").await.body(Body::from_stream(stream)).unwrap();
    assert_eq!(stage.app.send(request).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let request = stage.request("/mcp").await.header("content-length", "99999999");
    let answer = stage.app.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    let request = stage.request("/mcp").await.header("content-encoding", "gzip");
    let answer = stage.send(request, &ping()).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

/// `Accept` and `Content-Type` are not insisted on; answers are JSON that nobody keeps.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn accept_and_content_type_are_not_insisted_on(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    for (accept, content_type) in [
        ("*/*", "application/json; charset=utf-8"),
        ("application/json", "text/plain"),
        ("text/event-stream", ""),
        ("", "application/octet-stream"),
    ] {
        let mut request = stage.request("/mcp").await;
        if !accept.is_empty() {
            request = request.header("accept", accept);
        }
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        let request = request.body(Body::from(ping().to_string())).unwrap();
        let answer = stage.app.send(request).await;
        assert_eq!(answer.status, StatusCode::OK, "{accept} {content_type}");
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("x-request-id").len(), 36);
    }
}

/// `/livez` and `/readyz` say what they should, also on the way out.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn health_is_told(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    assert_eq!(stage.app.get("/livez").await.status, StatusCode::OK);
    assert_eq!(stage.app.get("/readyz").await.status, StatusCode::OK);
    stage.app.app.draining.advance(Phase::Leaving);
    assert_eq!(stage.app.get("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(stage.app.get("/livez").await.status, StatusCode::OK);
}

/// `/readyz` says no without a database.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn without_a_database_it_is_not_ready(pool: PgPool) {
    let stage = Stage::new(&pool).await;
    stage.app.db().close().await;
    assert_eq!(stage.app.get("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(stage.app.get("/livez").await.status, StatusCode::OK);
}
