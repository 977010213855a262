//! A load generator for one request: keep-alive connections, each sending as soon as it was
//! answered. Counts only answers with status 200 that hold the expected text.
//!
//! usage: load ADDRESS CONNECTIONS SECONDS PATH EXPECTED BODY [HEADER…]
//! prints: calls per second, p50 ms, p99 ms, failures

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

struct Outcome {
    millis: Vec<f32>,
    failures: usize,
}

async fn drive(address: String, request: Vec<u8>, expected: String, until: Instant) -> Outcome {
    let mut outcome = Outcome { millis: Vec::new(), failures: 0 };
    let mut stream = TcpStream::connect(&address).await.expect("a server");
    stream.set_nodelay(true).expect("TCP_NODELAY");
    let mut buffer = Vec::with_capacity(64 * 1024);
    while Instant::now() < until {
        let started = Instant::now();
        buffer.clear();
        let answered = stream.write_all(&request).await.is_ok()
            && read_answer(&mut stream, &mut buffer).await.is_some();
        let text = String::from_utf8_lossy(&buffer);
        if answered && text.starts_with("HTTP/1.1 200") && text.contains(&expected) {
            outcome.millis.push(started.elapsed().as_secs_f32() * 1000.0);
            continue;
        }
        outcome.failures += 1;
        if outcome.failures == 1 {
            eprintln!("first failure: {}", text.chars().take(600).collect::<String>());
        }
        if outcome.failures > 20 {
            break;
        }
        stream = TcpStream::connect(&address).await.expect("a server");
    }
    outcome
}

/// One answer with `Content-Length`, headers and all.
async fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    loop {
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
        let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let head = std::str::from_utf8(&buffer[..end]).ok()?.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
        let whole = end + 4 + length.trim().parse::<usize>().ok()?;
        while buffer.len() < whole {
            if stream.read_buf(buffer).await.ok()? == 0 {
                return None;
            }
        }
        return Some(());
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, connections, seconds, path, expected, body, headers @ ..] = arguments.as_slice()
    else {
        panic!("usage: load ADDRESS CONNECTIONS SECONDS PATH EXPECTED BODY [HEADER…]");
    };
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n",
        body.len()
    );
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    request.push_str(body);
    let seconds: f32 = seconds.parse().expect("seconds");
    let until = Instant::now() + Duration::from_secs_f32(seconds);
    let mut tasks = Vec::new();
    for _ in 0..connections.parse::<usize>().expect("a number of connections") {
        let request = request.clone().into_bytes();
        tasks.push(tokio::spawn(drive(address.clone(), request, expected.clone(), until)));
    }
    let (mut millis, mut failures) = (Vec::new(), 0);
    for task in tasks {
        let outcome = task.await.expect("a connection's task");
        millis.extend(outcome.millis);
        failures += outcome.failures;
    }
    millis.sort_by(f32::total_cmp);
    let at = |share: f32| millis.get((millis.len() as f32 * share) as usize).copied().unwrap_or(0.0);
    println!("{:.0} {:.2} {:.2} {failures}", millis.len() as f32 / seconds, at(0.5), at(0.99));
}
