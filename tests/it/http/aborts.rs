//! Clients that go in the middle, and handlers that break.

use axum::{Router, body::Body, extract::Request, http::StatusCode, routing::get};
use callslip::app;
use serde_json::json;
use sqlx::PgPool;
use tokio::net::{TcpListener, TcpStream};

use super::desk::{Desk, Wire};
use crate::{
    mcp::stage::{Stage, call},
    support::TestApp,
};

/// [H-12] Hung up at each of 50 places of a call, politely and not: the next call is answered.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_client_may_go_at_any_byte(pool: PgPool) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let origin = format!("http://{address}");
    let stage = Stage::with(&pool, &[("CALLSLIP_PUBLIC_URL", &origin)]).await;
    stage.app.serve(listener);
    let token = stage.token().await;
    let body = call("search", json!({ "query": "anything" })).to_string();
    let request = format!(
        "POST /mcp HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let connect = async || Wire(TcpStream::connect(address).await.unwrap());
    for place in 1..=50 {
        let sent = &request[..request.len() * place / 50];
        for is_polite in [true, false] {
            let mut wire = connect().await;
            wire.send(sent).await;
            if !is_polite {
                // With a reset instead of an end.
                wire.0.set_zero_linger().unwrap();
            }
        }
        let mut wire = connect().await;
        wire.send(&request).await;
        let answer = wire.answer().await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{place}: {answer}");
        assert!(answer.contains(r#""results":[]"#), "{place}: {answer}");
    }
}

/// [H-12] A handler that panics answers 500, and both its connection and the process go on.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_handler_that_panics_is_a_fault(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let routes = Router::new()
        .route("/panic", get(async || -> &'static str { panic!("on purpose") }))
        .route("/fine", get(async || "fine"));
    let surrounded = app::wrap(routes, &app.parts.config, &app.app.problems);
    let desk = Desk::open(surrounded).await;
    let mut wire = desk.connect().await;
    let mut get = async |path: &str| {
        wire.send(format!("GET {path} HTTP/1.1\r\nhost: callslip.example\r\n\r\n")).await;
        wire.answer().await
    };
    for _ in 0..3 {
        let answer = get("/panic").await;
        assert!(answer.starts_with("HTTP/1.1 500") && answer.contains("x-request-id"), "{answer}");
        assert!(!answer.contains("on purpose"), "{answer}");
        assert!(get("/fine").await.ends_with("fine"));
    }
    let request = Request::get("/livez").body(Body::empty()).unwrap();
    assert_eq!(app.send(request).await.status, StatusCode::OK);
}
