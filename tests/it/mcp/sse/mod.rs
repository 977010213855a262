//! HTTP+SSE, the transport of 2024-11-05.

mod cancelled;
mod caps;
mod ends;
mod nodes;
mod principals;
mod transport;
mod unread;

use std::{net::SocketAddr, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::{ConnectInfo, Request},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use callslip::{app, db::Db, mcp::StreamRules};
use futures_util::{Stream, StreamExt, stream};
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::{net::TcpListener, time::timeout};
use tower::ServiceExt;

use super::stage::Stage;
use crate::support::{Answer, TestApp};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// The same stage under other rules for streams.
async fn under(stage: Stage, change: impl FnOnce(&mut StreamRules)) -> Stage {
    let mut parts = stage.app.parts.clone();
    parts.db = Db::over(&stage.app.pool);
    change(&mut parts.streams);
    let app = app::build(parts.clone()).await.unwrap();
    Stage { app: TestApp { app, parts, ..stage.app.clone() }, ..stage }
}

/// The same stage on another node.
async fn elsewhere(stage: &Stage) -> Stage {
    Stage { app: stage.app.twin().await, ..stage.clone() }
}

/// A stage that listens on a socket under its public URL.
async fn listening(pool: &PgPool) -> (Stage, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let stage = Stage::with(pool, &[("CALLSLIP_PUBLIC_URL", &origin)]).await;
    stage.app.serve(listener);
    (stage, origin)
}

type Chunks = std::pin::Pin<Box<dyn Stream<Item = Result<Bytes, String>> + Send>>;

/// An open stream, as a client reads it.
pub(super) struct Line {
    pub(super) headers: HeaderMap,
    chunks: Chunks,
    text: String,
    /// Where messages are posted.
    pub(super) endpoint: String,
}

/// What comes over a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    Comment,
    Message(String),
    /// The end; whether nothing was broken off.
    End(bool),
}

impl Line {
    /// Over a socket.
    async fn connect(url: &str, token: &str) -> Self {
        let request = reqwest::Client::new()
            .get(url)
            .header("accept", "text/event-stream")
            .header("authorization", format!("Bearer {token}"));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        let headers = response.headers().clone();
        let chunks = response.bytes_stream().map(|chunk| chunk.map_err(|error| error.to_string()));
        Self::begin(headers, Box::pin(chunks)).await
    }

    /// Without a socket: nothing is read that the test does not ask for.
    async fn open(stage: &Stage) -> Self {
        let token = stage.token().await;
        match Self::try_open(stage, get("/sse/", &token)).await {
            Ok(line) => line,
            Err(answer) => panic!("{} {}", answer.status, answer.text()),
        }
    }

    pub(super) async fn try_open(stage: &Stage, request: Request<Body>) -> Result<Self, Answer> {
        let response = stage.app.app.router.clone().oneshot(request).await.unwrap();
        if response.status() != StatusCode::OK {
            return Err(Answer::read(response).await);
        }
        let Self { headers, chunks, .. } = Self::over(response);
        Ok(Self::begin(headers, chunks).await)
    }

    /// The first event names the endpoint.
    async fn begin(headers: HeaderMap, chunks: Chunks) -> Self {
        let mut line = Self { headers, chunks, text: String::new(), endpoint: String::new() };
        let first = line.block().await.unwrap();
        let mut fields = first.lines();
        assert_eq!(fields.next(), Some("event: endpoint"));
        line.endpoint = fields.next().unwrap().strip_prefix("data: ").unwrap().to_owned();
        assert!(fields.all(|field| field.starts_with("retry: ")), "{first}");
        line
    }

    /// What leaves as an answer, of which the test reads what it asks for.
    pub(super) fn over(response: Response) -> Self {
        let headers = response.headers().clone();
        let chunks = response.into_body().into_data_stream();
        let chunks = chunks.map(|chunk| chunk.map_err(|error| error.to_string()));
        let (text, endpoint) = (String::new(), String::new());
        Self { headers, chunks: Box::pin(chunks), text, endpoint }
    }

    /// The next block; at the end whether nothing was broken off.
    async fn block(&mut self) -> Result<String, bool> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Ok(block);
            }
            match timeout(PATIENCE, self.chunks.next()).await.expect("the stream is silent") {
                Some(Ok(chunk)) => self.text.push_str(std::str::from_utf8(&chunk).unwrap()),
                Some(Err(_)) => return Err(false),
                None => {
                    assert_eq!(self.text, "", "half an event");
                    return Err(true);
                }
            }
        }
    }

    pub(super) async fn next(&mut self) -> Event {
        match self.block().await {
            Ok(block) if block.starts_with(':') => Event::Comment,
            Ok(block) => {
                let data = block.strip_prefix("event: message\ndata: ").expect(&block);
                assert!(!data.contains('\n'), "{data}");
                Event::Message(data.to_owned())
            }
            Err(clean) => Event::End(clean),
        }
    }

    /// The next message.
    pub(super) async fn message(&mut self) -> Value {
        loop {
            match self.next().await {
                Event::Comment => {}
                Event::Message(data) => return serde_json::from_str(&data).unwrap(),
                Event::End(clean) => panic!("the stream has ended, clean: {clean}"),
            }
        }
    }

    /// What comes until the end, and whether that was clean.
    pub(super) async fn rest(&mut self) -> (Vec<String>, bool) {
        let mut messages = Vec::new();
        loop {
            match self.next().await {
                Event::Comment => {}
                Event::Message(data) => messages.push(data),
                Event::End(clean) => return (messages, clean),
            }
        }
    }

    /// Post with a good token of the stage, and read what comes.
    async fn ask(&mut self, stage: &Stage, message: &Value) -> Value {
        let posted = self.post(stage, message).await;
        assert_eq!(posted.status, StatusCode::ACCEPTED, "{}", posted.text());
        assert!(posted.body.is_empty());
        self.message().await
    }

    async fn post(&self, stage: &Stage, message: &Value) -> Answer {
        stage.send(stage.request(&self.endpoint).await, message).await
    }
}

/// `GET` with a token.
fn get(path: &str, token: &str) -> Request<Body> {
    let peer: SocketAddr = "192.0.2.1:40000".parse().unwrap();
    Request::get(path)
        .header("accept", "text/event-stream")
        .header("authorization", format!("Bearer {token}"))
        .extension(ConnectInfo(peer))
        .body(Body::empty())
        .unwrap()
}

/// A message with an id.
fn request(id: impl Into<Value>, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id.into(), "method": method, "params": params })
}

/// Try again until something is so.
pub(super) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waited = timeout(PATIENCE, async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    });
    assert!(waited.await.is_ok(), "it never came to be that {what}");
}

/// What came of each call, as it is on record.
pub(super) async fn outcomes(stage: &Stage) -> Vec<Value> {
    let calls = stage.events().await.into_iter().filter(|(kind, _)| kind.starts_with("tool."));
    calls.map(|(_, detail)| detail["outcome"].clone()).collect()
}

/// How many streams are noted.
async fn noted(pool: &PgPool) -> i64 {
    sqlx::query_scalar!(r#"select count(*) as "count!" from sse_sessions"#)
        .fetch_one(pool)
        .await
        .unwrap()
}

/// Open streams all at once; those that were let in, and what the others were told.
async fn race(stages: Vec<(Stage, String)>) -> (Vec<Line>, Vec<Answer>) {
    let opening = stream::iter(stages)
        .map(|(stage, token)| async move { Line::try_open(&stage, get("/sse/", &token)).await });
    let outcomes: Vec<_> = opening.buffer_unordered(32).collect().await;
    let mut won = Vec::new();
    let mut lost = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(line) => won.push(line),
            Err(answer) => lost.push(answer),
        }
    }
    (won, lost)
}
