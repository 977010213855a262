//! Nobody holds a connection by being slow.

use std::time::Duration;

use axum::{
    Router,
    body::{Body, Bytes},
    http::StatusCode,
    routing::{get, post},
};
use tokio::sync::mpsc;

use super::desk::{Desk, Wire, frames, settings};

fn routes() -> Router {
    let echo = async |body: Body| match axum::body::to_bytes(body, 2 << 20).await {
        Ok(body) => (StatusCode::OK, body.len().to_string()),
        Err(_) => (StatusCode::REQUEST_TIMEOUT, String::new()),
    };
    Router::new().route("/", get(async || "hello")).route("/echo", post(echo))
}

/// A bit early is the clocks' grain; a bit late is a busy machine.
fn assert_about(took: Duration, expected: Duration) {
    let least = expected.saturating_sub(Duration::from_millis(60));
    assert!(took >= least && took < expected + Duration::from_secs(5), "{took:?}, {expected:?}");
}

/// Silence before the first byte, and headers that never end, in both protocols.
#[tokio::test]
async fn headers_are_whole_in_time_or_never() {
    let desk = Desk::open(routes()).await;
    let head = settings().deadlines.head;
    for begun in [
        &b""[..],
        b"G",
        b"GET / HTTP/1.1\r\nhost: x\r\n",
        &frames::PREFACE[..5],
        frames::PREFACE,
        &frames::hello(&[]),
        &[&frames::hello(&[])[..], &frames::frame(frames::HEADERS, 0, 1, &frames::head(2, "/"))]
            .concat(),
    ] {
        let mut wire = desk.connect().await;
        wire.send(begun).await;
        let (_, took) = wire.ended().await;
        assert_about(took, head);
    }
}

/// A header line now and then does not help.
#[tokio::test]
async fn drops_of_a_header_do_not_move_the_deadline() {
    let desk = Desk::open(routes()).await;
    let mut wire = desk.connect().await;
    wire.send("GET / HTTP/1.1\r\nhost: x\r\n").await;
    let (mut reading, mut writing) = wire.0.into_split();
    let mut pause = tokio::time::interval(Duration::from_millis(40));
    let dripping = async {
        loop {
            pause.tick().await;
            if tokio::io::AsyncWriteExt::write_all(&mut writing, b"a: b\r\n").await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let mut read = Vec::new();
    let reading = tokio::io::AsyncReadExt::read_to_end(&mut reading, &mut read);
    let since = std::time::Instant::now();
    tokio::select! { _ = reading => {}, () = dripping => {} }
    assert_about(since.elapsed(), settings().deadlines.head);
}

/// A connection may rest between requests, for a while, and a later request may not be slower than
/// the first.
#[tokio::test]
async fn a_pause_is_longer_than_a_request() {
    let desk = Desk::open(routes()).await;
    let mut wire = desk.connect().await;
    assert!(wire.get("/").await.ends_with("hello"));
    let (read, took) = wire.ended().await;
    assert!(read.is_empty());
    assert_about(took, settings().deadlines.idle);

    let mut wire = desk.connect().await;
    for _ in 0..3 {
        assert!(wire.get("/").await.ends_with("hello"));
    }
    wire.send("GET").await;
    assert_about(wire.ended().await.1, settings().deadlines.head);

    // Sent ahead, it has begun when the first was answered.
    let mut wire = desk.connect().await;
    wire.send("GET / HTTP/1.1\r\nhost: x\r\n\r\nGET").await;
    assert!(wire.answer().await.ends_with("hello"));
    assert_about(wire.ended().await.1, settings().deadlines.head);
}

async fn post_slowly(wire: &mut Wire, declared: usize, piece: usize, every: u64) -> String {
    wire.send(format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {declared}\r\n\r\n"))
        .await;
    let mut pause = tokio::time::interval(Duration::from_millis(every));
    let mut byte = [0];
    for _ in 0..declared / piece {
        let tick = async {
            pause.tick().await;
        };
        tokio::select! {
            biased;
            _ = wire.0.peek(&mut byte) => break,
            () = tick => {}
        }
        wire.send(vec![b'x'; piece]).await;
    }
    wire.answer().await
}

/// A body comes at a pace or not at all; how long it takes is bounded too.
#[tokio::test]
async fn a_body_comes_at_a_pace() {
    let desk = Desk::open(routes()).await;
    let mut wire = desk.connect().await;
    let answer = post_slowly(&mut wire, 6000, 1000, 50).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("6000"), "{answer}");
    // Slower than a kilobyte a second.
    let mut wire = desk.connect().await;
    let answer = post_slowly(&mut wire, 1000, 1, 20).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    wire.ended().await;
    // Quick enough, and too long.
    let mut wire = desk.connect().await;
    let answer = post_slowly(&mut wire, 1 << 20, 1000, 20).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    wire.ended().await;
    // A body that says it is large may take its time, at a better pace.
    let mut wire = desk.connect().await;
    let answer = post_slowly(&mut wire, 3 << 19, 3 << 14, 40).await;
    assert!(answer.ends_with(&(3 << 19).to_string()), "{answer}");
    // One that does not come at all.
    let mut wire = desk.connect().await;
    wire.send("POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let (answer, took) = wire.ended().await;
    assert!(answer.starts_with(b"HTTP/1.1 408"));
    assert_about(took, settings().deadlines.behind);
}

/// An answer without end, and word of when it is given up.
fn endless() -> (Router, mpsc::Receiver<()>) {
    let (alive, given_up) = mpsc::channel::<()>(1);
    let answer = async move || {
        let piece = Bytes::from(vec![b'x'; 100_000]);
        let pieces = futures_util::stream::unfold(alive, move |alive| {
            let piece = piece.clone();
            async move { Some((Ok::<_, std::io::Error>(piece), alive)) }
        });
        Body::from_stream(pieces)
    };
    (Router::new().route("/", get(answer)), given_up)
}

/// A client that never reads is dropped, in both protocols.
#[tokio::test]
async fn who_does_not_read_is_dropped() {
    let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec();
    // HTTP/2: no room for any answer.
    let closed = [frames::hello(&[(4, 0)]), frames::get(1, "/")].concat();
    // HTTP/2: room for one byte, and the piece behind it.
    let ajar = [frames::hello(&[(4, 1)]), frames::get(1, "/")].concat();
    for request in [request, closed, ajar] {
        let (router, mut given_up) = endless();
        let desk = Desk::open(router).await;
        let mut wire = desk.connect().await;
        let since = std::time::Instant::now();
        wire.send(request).await;
        drop(desk);
        // The router's own sender goes with the server, which goes with its connection.
        let gone = tokio::time::timeout(Duration::from_secs(20), given_up.recv()).await;
        assert_eq!(gone, Ok(None));
        assert!(since.elapsed() >= Duration::from_millis(440), "{:?}", since.elapsed());
    }
}

/// A handler may take as long as it likes, and so may a stream that says something now and then.
#[tokio::test]
async fn work_is_not_silence() {
    let slow = async || {
        let pause = || tokio::time::sleep(Duration::from_millis(700));
        pause().await;
        let words = futures_util::stream::unfold(0, move |count| async move {
            tokio::time::sleep(Duration::from_millis(700)).await;
            (count < 3).then_some((Ok::<_, std::io::Error>("word "), count + 1))
        });
        Body::from_stream(words)
    };
    let desk = Desk::open(Router::new().route("/", get(slow))).await;
    let mut wire = desk.connect().await;
    wire.send("GET / HTTP/1.0\r\nhost: x\r\n\r\n").await;
    let (answer, _) = wire.ended().await;
    assert!(answer.ends_with(b"word word word "), "{}", String::from_utf8_lossy(&answer));
}
