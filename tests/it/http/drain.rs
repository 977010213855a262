//! The way out: what was begun is finished, and nothing waits for ever.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body, routing::get};
use callslip::http::{
    Draining, Phase,
    server::{Deadlines, Outcome, Settings},
};
use tokio::{net::TcpStream, sync::Semaphore};

use super::desk::{Desk, frames, settings};

/// `/wait` answers when it is let; `/stream` goes on until it is told.
fn routes(gate: &Arc<Semaphore>, draining: &Draining) -> Router {
    let (gate, draining) = (Arc::clone(gate), draining.clone());
    let wait = async move || {
        gate.acquire().await.unwrap().forget();
        "waited"
    };
    let stream = async move || {
        let words = futures_util::stream::unfold(Some((0, draining)), |state| async move {
            let (count, draining) = state?;
            if count == 0 {
                return Some((Ok::<_, std::io::Error>("hello "), Some((1, draining))));
            }
            draining.reached(Phase::Closing).await;
            Some((Ok("goodbye"), None))
        });
        Body::from_stream(words)
    };
    Router::new()
        .route("/", get(async || "hello"))
        .route("/wait", get(wait))
        .route("/stream", get(stream))
}

const WAIT: &str = "GET /wait HTTP/1.1\r\nhost: x\r\n\r\n";

/// Requests in flight, streams, connections that only begin: all end well, and then the server.
#[tokio::test]
async fn what_was_begun_is_finished() {
    let (gate, draining) = (Arc::new(Semaphore::new(0)), Draining::default());
    let router = routes(&gate, &draining);
    let desk = Desk::with(router, settings(), draining.clone()).await;
    let address = desk.address;
    let mut waiting = desk.connect().await;
    waiting.send(WAIT).await;
    let mut stream = desk.connect().await;
    stream.send("GET /stream HTTP/1.0\r\nhost: x\r\n\r\n").await;
    let mut two = desk.connect().await;
    two.send([frames::hello(&[]), frames::get(1, "/wait")].concat()).await;
    let mut idle = desk.connect().await;
    assert!(idle.get("/").await.contains("200 OK"));
    let mut half = desk.connect().await;
    assert!(half.get("/").await.contains("200 OK"));

    let server = desk.stop();
    draining.reached(Phase::Leaving).await;
    // Who has not looked elsewhere yet is served, and asked to come with a new connection.
    let mut late = super::desk::Wire(TcpStream::connect(address).await.unwrap());
    let answer = late.get("/").await;
    assert!(answer.contains("connection: close") && answer.ends_with("hello"), "{answer}");
    half.send("GET / HTTP/1.1\r\n").await;

    draining.reached(Phase::Closing).await;
    assert!(TcpStream::connect(address).await.is_err(), "the door is open");
    let (said, _) = stream.ended().await;
    assert!(said.ends_with(b"hello goodbye"), "{}", String::from_utf8_lossy(&said));
    idle.ended().await;
    // A request that had begun to arrive is taken.
    half.send("host: x\r\n\r\n").await;
    let answer = half.answer().await;
    assert!(answer.contains("connection: close") && answer.ends_with("hello"), "{answer}");

    assert!(!server.is_finished());
    gate.add_permits(2);
    let answer = waiting.answer().await;
    assert!(answer.contains("connection: close") && answer.ends_with("waited"), "{answer}");
    assert!(two.ended().await.0.windows(6).any(|six| six == b"waited"));
    assert_eq!(server.await.unwrap(), Outcome::Finished);
}

/// A request that does not end is left behind.
#[tokio::test]
async fn nothing_waits_for_ever() {
    let (gate, draining) = (Arc::new(Semaphore::new(0)), Draining::default());
    let drain = Duration::from_millis(300);
    let deadlines = Deadlines { drain, ..settings().deadlines };
    let settings = Settings { deadlines, ..settings() };
    let desk = Desk::with(routes(&gate, &draining), settings, draining).await;
    let mut waiting = desk.connect().await;
    waiting.send(WAIT).await;
    assert!(desk.connect().await.get("/").await.contains("200 OK"));
    assert_eq!(desk.stop().await.unwrap(), Outcome::CutOff);
}
