//! HTTP/2 peers that keep us busy with nothing.

use axum::{
    Router,
    body::Body,
    routing::{get, post},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::desk::{
    Desk,
    frames::{self, frame},
};

fn routes() -> Router {
    let wait = async || std::future::pending::<&'static str>().await;
    let read = async |body: Body| axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
    Router::new()
        .route("/", get(async || "hello"))
        .route("/wait", get(wait).post(wait))
        .route("/read", post(read))
}

/// Send pieces of a flood until the server hangs up; how many it took.
async fn flood(desk: &Desk, begin: Vec<u8>, piece: impl Fn(u32) -> Vec<u8>) -> u32 {
    let mut wire = desk.connect().await;
    wire.send(begin).await;
    // What the server says is read beside it, so that it need not stop for that.
    let (mut reading, mut writing) = wire.0.into_split();
    let said = tokio::spawn(async move {
        let mut said = Vec::new();
        let _ = reading.read_to_end(&mut said).await;
    });
    for count in 0..2_000_000 {
        let piece = piece(count);
        if writing.write_all(&piece).await.is_err() || said.is_finished() {
            return count;
        }
    }
    panic!("the server took everything");
}

/// The known floods end the connection, and others are served as before.
#[tokio::test]
async fn floods_end_the_connection() {
    let desk = Desk::open(routes()).await;
    let hello = frames::hello(&[]);
    let stream = |count: u32| 2 * count + 1;
    let reset = |stream| frame(frames::RST_STREAM, 0, stream, &8_u32.to_be_bytes());

    // Rapid reset (CVE-2023-44487): asked for and taken back, before and after it was looked at.
    let taken_back = flood(&desk, hello.clone(), |count| {
        [frames::get(stream(count), "/wait"), reset(stream(count))].concat()
    });
    assert!(taken_back.await < 100_000);

    // More at once than we allow, again and again.
    let streams = flood(&desk, hello.clone(), |count| frames::get(stream(count), "/wait")).await;
    assert!(streams < 10_000, "{streams}");

    // Headers without an end (CVE-2024-27316).
    let begun = frame(frames::HEADERS, frames::END_STREAM, 1, &frames::head(2, "/"));
    let more = flood(&desk, [hello.clone(), begun].concat(), |_| {
        frame(frames::CONTINUATION, 0, 1, &b"\x00\x01a\x01b".repeat(100))
    });
    assert!(more.await < 10_000);

    // Frames of nothing (CVE-2019-9518), for who reads and for who does not.
    for path in ["/read", "/wait"] {
        let begun = frame(frames::HEADERS, frames::END_HEADERS, 1, &frames::head(3, path));
        let nothing = |_| frame(frames::DATA, 0, 1, b"").repeat(1000);
        let taken = flood(&desk, [hello.clone(), begun].concat(), nothing).await;
        assert!(taken < 10_000, "{path} {taken}");
    }

    // Questions whether we are there, and settings, which we have to answer.
    let ping = flood(&desk, hello.clone(), |_| frame(6, 0, 0, b"12345678").repeat(100));
    assert!(ping.await < 10_000);
    let settings = flood(&desk, hello, |_| frame(frames::SETTINGS, 0, 0, b"").repeat(100));
    assert!(settings.await < 10_000);

    assert!(desk.connect().await.get("/").await.ends_with("hello"));
}
