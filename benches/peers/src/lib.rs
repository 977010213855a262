//! What the load generators share: a keep-alive connection, a stream, and counting.

use std::time::Instant;

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

/// A connection that sends one request at a time.
pub struct Connection {
    address: String,
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connect to `host:port`.
    pub async fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("a server");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        Self { address: address.to_owned(), stream, buffer: Vec::with_capacity(64 * 1024) }
    }

    /// Send, and read the answer with its headers; after a broken connection, connect anew.
    pub async fn send(&mut self, request: &[u8]) -> Option<String> {
        self.buffer.clear();
        let sent = self.stream.write_all(request).await.is_ok();
        if !sent || self.read_answer().await.is_none() {
            *self = Self::open(&self.address).await;
            return None;
        }
        Some(String::from_utf8_lossy(&self.buffer).into_owned())
    }

    /// One answer with `Content-Length`.
    async fn read_answer(&mut self) -> Option<()> {
        let buffer = &mut self.buffer;
        loop {
            if self.stream.read_buf(buffer).await.ok()? == 0 {
                return None;
            }
            let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
                continue;
            };
            let head = std::str::from_utf8(&buffer[..end]).ok()?.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
            let whole = end + 4 + length.trim().parse::<usize>().ok()?;
            while buffer.len() < whole {
                if self.stream.read_buf(buffer).await.ok()? == 0 {
                    return None;
                }
            }
            return Some(());
        }
    }
}

/// A stream of the HTTP+SSE transport, and the connection that messages for it are posted on.
pub struct Stream {
    reader: BufReader<TcpStream>,
    posts: Connection,
    messages: String,
    headers: Vec<String>,
    line: String,
}

impl Stream {
    /// Open a stream and hear where its messages go.
    pub async fn open(address: &str, path: &str, headers: &[String]) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("a server");
        stream.set_nodelay(true).expect("TCP_NODELAY");
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n");
        for header in headers.iter().filter(|header| header.starts_with("Authorization")) {
            request.push_str(&format!("{header}\r\n"));
        }
        request.push_str("Accept: text/event-stream\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("a server that listens");
        let mut stream = Self {
            reader: BufReader::new(stream),
            posts: Connection::open(address).await,
            messages: String::new(),
            headers: headers.to_vec(),
            line: String::new(),
        };
        stream.messages = stream.data().await.expect("the endpoint event");
        stream
    }

    /// Post a message, and read what the stream answers to it.
    pub async fn send(&mut self, address: &str, body: &str) -> Option<String> {
        let request = post(address, &self.messages, &self.headers, body);
        let taken = self.posts.send(&request).await?;
        if !taken.starts_with("HTTP/1.1 202") {
            return Some(taken);
        }
        Some(format!("HTTP/1.1 200 {}", self.data().await?))
    }

    /// The next event's data; keep-alives are passed over.
    async fn data(&mut self) -> Option<String> {
        loop {
            self.line.clear();
            if self.reader.read_line(&mut self.line).await.ok()? == 0 {
                return None;
            }
            if let Some(data) = self.line.strip_prefix("data:") {
                return Some(data.trim().to_owned());
            }
        }
    }
}

/// A `POST` with these headers.
pub fn post(address: &str, path: &str, headers: &[String], body: &str) -> Vec<u8> {
    let mut request = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\n");
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    request.into_bytes()
}

/// What one connection saw.
#[derive(Default)]
pub struct Outcome {
    millis: Vec<f32>,
    failures: usize,
}

impl Outcome {
    /// Count an answer; only status 200 with the expected text is a success. `false` after so many
    /// failures that going on makes no sense.
    pub fn count(&mut self, started: Instant, answer: Option<&str>, expected: &str) -> bool {
        match answer {
            Some(text) if text.starts_with("HTTP/1.1 200") && text.contains(expected) => {
                self.millis.push(started.elapsed().as_secs_f32() * 1000.0);
            }
            other => {
                self.failures += 1;
                if self.failures == 1 {
                    let text = other.unwrap_or("the connection broke");
                    eprintln!("first failure: {}", text.chars().take(600).collect::<String>());
                }
            }
        }
        self.failures <= 20
    }
}

/// Print calls per second, p50 ms, p99 ms and failures.
pub fn print(outcomes: Vec<Outcome>, seconds: f32) {
    let failures: usize = outcomes.iter().map(|outcome| outcome.failures).sum();
    let mut millis: Vec<f32> = outcomes.into_iter().flat_map(|outcome| outcome.millis).collect();
    millis.sort_by(f32::total_cmp);
    let at =
        |share: f32| millis.get((millis.len() as f32 * share) as usize).copied().unwrap_or(0.0);
    println!("{:.0} {:.2} {:.2} {failures}", millis.len() as f32 / seconds, at(0.5), at(0.99));
}
