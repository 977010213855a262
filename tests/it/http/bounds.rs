//! How much is taken: connections, headers, bodies.

use axum::{Router, body::Body, extract::Request, http::StatusCode, routing::get};
use callslip::http::{Access, Draining, server::Settings};
use sqlx::PgPool;
use tokio::net::TcpListener;

use super::desk::{Desk, Wire, frames, settings};
use crate::support::TestApp;

fn hello() -> Router {
    Router::new().route("/", get(async || "hello"))
}

/// One address gets its share, and gets it back.
#[tokio::test]
async fn an_address_has_so_many_connections() {
    let settings = Settings { per_address: 3, ..settings() };
    let desk = Desk::with(hello(), settings, Draining::default()).await;
    let mut wires = Vec::new();
    for _ in 0..3 {
        let mut wire = desk.connect().await;
        assert!(wire.get("/").await.ends_with("hello"));
        wires.push(wire);
    }
    let mut fourth = desk.connect().await;
    assert!(fourth.answer().await.starts_with("HTTP/1.1 503"));
    fourth.ended().await;
    for wire in &mut wires {
        assert!(wire.get("/").await.ends_with("hello"));
    }
    drop(wires.pop());
    // That it is gone is noticed a moment later.
    loop {
        if desk.connect().await.get("/").await.ends_with("hello") {
            break;
        }
    }
}

/// Who comes through a trusted proxy does not count as the proxy.
#[tokio::test]
async fn a_trusted_proxy_has_as_many_as_there_are() {
    let trusted = ["127.0.0.1".parse().unwrap()].into();
    let settings = Settings { total: 5, per_address: 1, trusted, ..settings() };
    let desk = Desk::with(hello(), settings, Draining::default()).await;
    let mut wires = Vec::new();
    for _ in 0..5 {
        let mut wire = desk.connect().await;
        assert!(wire.get("/").await.ends_with("hello"));
        wires.push(wire);
    }
    assert!(desk.connect().await.answer().await.starts_with("HTTP/1.1 503"));
}

/// [Q-02] 64 headers and 16 KiB of them; more is answered 431, in both protocols.
#[tokio::test]
async fn headers_are_bounded() {
    let desk = Desk::open(hello()).await;
    let ask = async |headers: String| {
        let mut wire = desk.connect().await;
        wire.send(format!("GET / HTTP/1.1\r\nhost: x\r\n{headers}\r\n")).await;
        wire.answer().await
    };
    assert!(ask("a: b\r\n".repeat(63)).await.starts_with("HTTP/1.1 200"));
    assert!(ask("a: b\r\n".repeat(64)).await.starts_with("HTTP/1.1 431"));
    assert!(ask(format!("a: {}\r\n", "b".repeat(15 << 10))).await.starts_with("HTTP/1.1 200"));
    assert!(ask(format!("a: {}\r\n", "b".repeat(16 << 10))).await.starts_with("HTTP/1.1 431"));
    assert!(ask(format!("a: {}\r\n", "b".repeat(1 << 20))).await.starts_with("HTTP/1.1 431"));

    // HTTP/2: 65 times a header of one letter, and 20 KiB of one.
    let many = [&frames::head(2, "/")[..], &b"\x00\x01a\x01b".repeat(65)].concat();
    let long = [&frames::head(2, "/")[..], b"\x00\x01a\x7f\x81\x9f\x01", &b"b".repeat(20_480)];
    let long = long.concat();
    for block in [many, long] {
        let mut wire = desk.connect().await;
        wire.send(frames::hello(&[])).await;
        let (first, rest) = block.split_at(block.len().min(16_000));
        let flags = frames::END_STREAM;
        let end = frames::END_HEADERS;
        if rest.is_empty() {
            wire.send(frames::frame(frames::HEADERS, flags | end, 1, first)).await;
        } else {
            wire.send(frames::frame(frames::HEADERS, flags, 1, first)).await;
            wire.send(frames::frame(frames::CONTINUATION, end, 1, rest)).await;
        }
        let (answer, _) = wire.ended().await;
        // 431, in the code that HTTP/2 has for strings.
        assert!(answer.windows(3).any(|three| three == [0x69, 0x90, 0xff]), "{answer:?}");
    }
}

/// Ask the real application; what it said, until it ended the connection.
async fn whole(app: &TestApp, request: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    app.serve(listener);
    let mut wire = Wire(tokio::net::TcpStream::connect(address).await.unwrap());
    wire.send(request).await;
    String::from_utf8_lossy(&wire.ended().await.0).into_owned()
}

/// [Q-02] A declared length that is a lie, two of them, and a body without an end.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn lies_about_a_body_lead_nowhere(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ask = async |path: &str, lengths: &str, body: &[u8]| {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: callslip.example\r\n\
             content-type: application/x-www-form-urlencoded\r\n{lengths}\r\n"
        );
        whole(&app, [head.as_bytes(), body].concat()).await
    };
    // Shorter than it is: what follows is the next request, and none at all.
    let answer = ask("/oauth/token", "content-length: 1\r\n", b"a=b\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 2, "{answer}");
    assert!(answer.contains("HTTP/1.1 400 Bad Request\r\nconnection: close"), "{answer}");
    // Two that differ.
    let answer = ask("/oauth/token", "content-length: 1\r\ncontent-length: 2\r\n", b"aa").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    // More than the endpoint takes, declared and not.
    for (path, most) in [("/oauth/token", 16 << 10), ("/oauth/register", 16 << 10)] {
        let large = vec![b'a'; most + 1];
        let answer =
            ask(path, &format!("connection: close\r\ncontent-length: {}\r\n", large.len()), &large)
                .await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{path} {answer}");
        let endless = format!("2000\r\n{}\r\n", "a".repeat(0x2000)).repeat(40);
        let answer = ask(path, "transfer-encoding: chunked\r\n", endless.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{path} {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{path} {answer}");
    }
}

/// [Q-05] No route of ours unpacks anything: a compressed body is refused before it is looked at.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn nothing_compressed_is_taken(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut asked = 0;
    for entry in app.app.table.iter().filter(|entry| entry.method == "POST") {
        // A compressed body on the endpoint itself: `mcp::front`, where there is a token.
        if entry.access == Access::Bearer {
            continue;
        }
        let path: String = entry
            .path
            .split('/')
            .map(|part| if part.starts_with('{') { "x" } else { part })
            .collect::<Vec<_>>()
            .join("/");
        for encoding in ["gzip", "br", "identity, gzip", "zstd"] {
            let request = Request::post(&path).header("content-encoding", encoding);
            let answer = app.send(request.body(Body::from("\x1f\u{8b}")).unwrap()).await;
            assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{path} {encoding}");
        }
        asked += 1;
    }
    assert!(asked > 20, "{asked}");
    let request = Request::post("/oauth/token").header("content-encoding", "identity");
    let answer = app.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
}
