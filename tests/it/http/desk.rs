//! The real server over any routes, and raw connections to it.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use axum::Router;
use callslip::http::{
    Draining,
    server::{Deadlines, Leave, Outcome, Server, Settings},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that runs for one test.
pub struct Desk {
    pub address: SocketAddr,
    stop: oneshot::Sender<Leave>,
    server: JoinHandle<Outcome>,
}

/// Room for everybody, and deadlines that tests can await.
pub fn settings() -> Settings {
    let ms = Duration::from_millis;
    Settings {
        total: 1000,
        per_address: 1000,
        trusted: [].into(),
        deadlines: Deadlines {
            head: ms(300),
            idle: ms(900),
            behind: ms(300),
            body: ms(900),
            stall: ms(500),
            grace: ms(200),
            drain: Duration::from_secs(10),
        },
    }
}

impl Desk {
    /// With [`settings`].
    pub async fn open(router: Router) -> Self {
        Self::with(router, settings(), Draining::default()).await
    }

    pub async fn with(router: Router, settings: Settings, draining: Draining) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(async move {
            // A test that ends without stopping it keeps it until the runtime goes.
            let stopped = async { stopped.await.unwrap_or(Leave::AtOnce) };
            Server::new(settings, draining).serve(listener, router, stopped).await
        });
        Self { address, stop, server }
    }

    pub async fn connect(&self) -> Wire {
        Wire(TcpStream::connect(self.address).await.unwrap())
    }

    /// As a signal does: the way out begins.
    pub fn stop(self) -> JoinHandle<Outcome> {
        self.stop.send(Leave::WithNotice).unwrap();
        self.server
    }
}

/// A connection without any HTTP on our side.
pub struct Wire(pub TcpStream);

impl Wire {
    /// Send; a peer that has hung up already is no failure of the test.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.write_all(bytes.as_ref()).await.is_ok()
    }

    pub async fn get(&mut self, path: &str) -> String {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        self.answer().await
    }

    /// One answer with a declared length: its head, an empty line, its body.
    pub async fn answer(&mut self) -> String {
        timeout(PATIENCE, async {
            let mut read = Vec::new();
            while !read.ends_with(b"\r\n\r\n") {
                match self.0.read_u8().await {
                    Ok(byte) => read.push(byte),
                    Err(_) => return String::from_utf8(read).unwrap(),
                }
            }
            let head = String::from_utf8(read.clone()).unwrap();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length = length.map_or(0, |length| length.parse().unwrap());
            let body = read.len();
            read.resize(body + length, 0);
            self.0.read_exact(&mut read[body..]).await.unwrap();
            String::from_utf8(read).unwrap()
        })
        .await
        .expect("an answer")
    }

    /// Read until the server ends the connection: what came, and after how long it ended.
    pub async fn ended(&mut self) -> (Vec<u8>, Duration) {
        let since = Instant::now();
        let mut read = Vec::new();
        let ended = timeout(PATIENCE, self.0.read_to_end(&mut read)).await;
        drop(ended.expect("the server keeps the connection"));
        (read, since.elapsed())
    }
}

/// HTTP/2, as far as it is needed to misbehave.
pub mod frames {
    pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const CONTINUATION: u8 = 9;
    pub const END_STREAM: u8 = 1;
    pub const END_HEADERS: u8 = 4;

    pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = length[1..].to_vec();
        frame.extend([kind, flags]);
        frame.extend(stream.to_be_bytes());
        frame.extend(payload);
        frame
    }

    /// The connection's beginning, with these settings.
    pub fn hello(settings: &[(u16, u32)]) -> Vec<u8> {
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.extend(name.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        [PREFACE, &frame(SETTINGS, 0, 0, &payload)].concat()
    }

    /// `method` (2: GET, 3: POST), `http`, a short path, authority `x`.
    pub fn head(method: u8, path: &str) -> Vec<u8> {
        let mut block = vec![0x80 | method, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
        block.extend(path.bytes());
        block.extend([0x01, 1, b'x']);
        block
    }

    pub fn get(stream: u32, path: &str) -> Vec<u8> {
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &head(2, path))
    }
}
