//! A small faithful fake of the OpenAI vector store API, on loopback.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::{StatusCode, request::Parts},
    response::Response,
};
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore};

/// How it behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Working,
    /// 429 this many times, then working; tells how many seconds to wait.
    RateLimited(u32, &'static str),
    OutOfCredit,
    /// This status this many times, then working.
    Failing(u16, u32),
    /// 200 with something else.
    Garbage(&'static str),
    /// Never answers.
    Silent,
    /// Answers when it is told to; see [`OpenAi::arrived`] and [`OpenAi::release`].
    Held,
}

/// What it holds and has seen.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) mode: Mode,
    /// Method, path with query, and whether the key was right.
    pub(crate) calls: Vec<(String, bool)>,
    /// Stands before every text.
    mark: &'static str,
    /// A permit for each call that has come and is held.
    arrived: Arc<Semaphore>,
    released: Arc<Notify>,
    /// A permit for each call that was held and whose caller hung up.
    hung_up: Arc<Semaphore>,
}

/// A call that is held.
struct Held {
    hung_up: Option<Arc<Semaphore>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(hung_up) = self.hung_up.take() {
            hung_up.add_permits(1);
        }
    }
}

/// A file of the store: id, name, pages of text.
const FILES: &[(&str, &str, &[&str])] = &[
    (
        "file-homes1",
        "cats-and-homes.txt",
        &["Cats keep to their homes.", "Page two.", "Page three."],
    ),
    ("file-food2", "feeding.txt", &["Cats like fish at home."]),
];
pub(crate) const STORE: &str = "vs_cats";
pub(crate) const KEY: &str = "sk-fake-0123456789-WXYZ";

/// The fake.
#[derive(Clone, Debug)]
pub(crate) struct OpenAi {
    pub(crate) base_url: String,
    pub(crate) host: String,
    pub(crate) state: Arc<Mutex<State>>,
}

impl OpenAi {
    pub(crate) async fn start() -> Self {
        Self::start_marked("").await
    }

    /// With a word before every text, which no other fake says.
    pub(crate) async fn start_marked(mark: &'static str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State {
            mode: Mode::Working,
            calls: Vec::new(),
            mark,
            arrived: Arc::new(Semaphore::new(0)),
            released: Arc::default(),
            hung_up: Arc::new(Semaphore::new(0)),
        }));
        let shared = Arc::clone(&state);
        let router =
            Router::new().fallback(move |request: Request| answer(shared.clone(), request));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base_url: format!("http://{host}/v1"), host, state }
    }

    pub(crate) fn behave(&self, mode: Mode) {
        let mut state = self.state.lock().unwrap();
        state.mode = mode;
        state.calls.clear();
    }

    /// Wait until a call is held.
    pub(crate) async fn arrived(&self) {
        let arrived = Arc::clone(&self.state.lock().unwrap().arrived);
        arrived.acquire().await.unwrap().forget();
    }

    /// Wait until a call that is held has nobody who waits for it.
    pub(crate) async fn hung_up(&self) {
        let hung_up = Arc::clone(&self.state.lock().unwrap().hung_up);
        hung_up.acquire().await.unwrap().forget();
    }

    /// Answer what is held, and whatever comes after it.
    pub(crate) fn release(&self) {
        let mut state = self.state.lock().unwrap();
        state.mode = Mode::Working;
        state.released.notify_waiters();
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.state.lock().unwrap().calls.iter().map(|(call, _)| call.clone()).collect()
    }
}

fn reply(status: u16, body: &Value) -> Response {
    Response::builder()
        .status(StatusCode::from_u16(status).unwrap())
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

fn error(status: u16, code: &str) -> Response {
    let message = format!("INTERNAL DETAIL {code} sk-leak");
    reply(status, &json!({ "error": { "message": message, "type": code, "code": code } }))
}

async fn answer(state: Arc<Mutex<State>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let authorized = parts.headers.get("authorization").and_then(|v| v.to_str().ok())
        == Some(&format!("Bearer {KEY}"));
    let (mode, mark, released, hung_up) = {
        let mut state = state.lock().unwrap();
        state.calls.push((format!("{} {}", parts.method, parts.uri), authorized));
        let mode = state.mode;
        state.mode = match mode {
            Mode::RateLimited(1, _) | Mode::Failing(_, 1) => Mode::Working,
            Mode::RateLimited(n, after) => Mode::RateLimited(n - 1, after),
            Mode::Failing(status, n) => Mode::Failing(status, n - 1),
            other => other,
        };
        // Listens before it says that it is there, so that no release is missed.
        let released = Arc::clone(&state.released).notified_owned();
        if mode == Mode::Held {
            state.arrived.add_permits(1);
        }
        (mode, state.mark, released, Arc::clone(&state.hung_up))
    };
    if !authorized {
        return error(401, "invalid_api_key");
    }
    match mode {
        Mode::Working => {}
        Mode::RateLimited(_, after) => {
            let mut response = error(429, "rate_limit_exceeded");
            response.headers_mut().insert("retry-after", after.parse().unwrap());
            return response;
        }
        Mode::OutOfCredit => return error(429, "insufficient_quota"),
        Mode::Failing(status, _) => return error(status, "server_error"),
        Mode::Garbage(text) => return Response::new(Body::from(text)),
        Mode::Silent => return std::future::pending().await,
        Mode::Held => {
            let mut held = Held { hung_up: Some(hung_up) };
            released.await;
            held.hung_up = None;
        }
    }
    route(&parts, &body, mark)
}

fn marked(mark: &str, text: &str) -> String {
    format!("{mark} {text}").trim_start().to_owned()
}

fn route(parts: &Parts, body: &[u8], mark: &str) -> Response {
    let path: Vec<&str> = parts.uri.path().trim_start_matches("/v1/").split('/').collect();
    let file = |id: &str| FILES.iter().find(|file| file.0 == id);
    match (parts.method.as_str(), path.as_slice()) {
        ("POST", ["vector_stores", STORE, "search"]) => search(body, mark),
        ("GET", ["vector_stores", STORE, "files", id]) if file(id).is_some() => reply(
            200,
            &json!({ "id": id, "object": "vector_store.file", "status": "completed",
                     "vector_store_id": STORE, "attributes": { "year": 1889 } }),
        ),
        ("GET", ["vector_stores", STORE, "files", id, "content"]) if file(id).is_some() => {
            let pages = file(id).unwrap().2;
            let page: usize = parts
                .uri
                .query()
                .and_then(|query| query.strip_prefix("page=tok_"))
                .map_or(0, |page| page.parse().unwrap());
            let more = page + 1 < pages.len();
            let next = more.then(|| format!("tok_{}", page + 1));
            reply(
                200,
                &json!({ "object": "vector_store.file_content.page", "has_more": more,
                         "next_page": next,
                         "data": [{ "type": "text", "text": marked(mark, pages[page]) }] }),
            )
        }
        // Another file of the same account, which is in no store.
        ("GET", ["files", "file-other9"]) => {
            reply(200, &json!({ "id": "file-other9", "object": "file", "filename": "secret.txt" }))
        }
        ("GET", ["files", id]) if file(id).is_some() => {
            reply(200, &json!({ "id": id, "object": "file", "filename": file(id).unwrap().1 }))
        }
        _ => error(404, "not_found"),
    }
}

fn search(body: &[u8], mark: &str) -> Response {
    let body: Value = serde_json::from_slice(body).unwrap();
    let most = body["max_num_results"].as_u64().unwrap();
    assert!((1..=50).contains(&most));
    let result = |file: &(&str, &str, &[&str]), score: f64| {
        json!({ "file_id": file.0, "filename": file.1, "score": score, "attributes": {},
                "content": [{ "type": "text", "text": marked(mark, file.2[0]) }] })
    };
    // The API answers passages: one file may come twice.
    let data = [result(&FILES[0], 0.9), result(&FILES[0], 0.8), result(&FILES[1], 0.5)];
    reply(
        200,
        &json!({ "object": "vector_store.search_results.page", "search_query": [body["query"]],
                 "data": data, "has_more": false, "next_page": null }),
    )
}
