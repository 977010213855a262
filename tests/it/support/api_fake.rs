//! What fakes of other people's APIs have in common: a socket on loopback, a key, a way to fail, and
//! what they were asked.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::StatusCode,
    response::Response,
};
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore};

/// How one behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Working,
    /// Numbers in decimal digits, whatever was asked for.
    Digits,
    /// 429 this many times, with how long to wait, then working.
    RateLimited(u32, &'static str),
    /// This status this many times, then working.
    Failing(u16, u32),
    /// This status whenever the word is in what is asked.
    Refusing(u16, &'static str),
    OutOfCredit,
    /// One part of the answer is missing.
    Short,
    /// One part of the answer is too short, the last.
    Stub,
    /// 200 with something else.
    Garbage(&'static str),
    /// Never answers.
    Silent,
    /// Answers when it is told to; see [`Fake::arrived`] and [`Fake::release`].
    Held,
}

/// A call that came.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Method and path with query.
    pub(crate) line: String,
    /// Null where there is none.
    pub(crate) body: Value,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) mode: Mode,
    calls: Vec<Call>,
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

/// A fake.
#[derive(Clone, Debug)]
pub(crate) struct Fake {
    pub(crate) base_url: String,
    pub(crate) host: String,
    pub(crate) state: Arc<Mutex<State>>,
}

impl Fake {
    /// One that answers what has this key, as long as it works.
    pub(crate) async fn start(
        key: &'static str,
        answer: impl Fn(&Call, Mode) -> Response + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State {
            mode: Mode::Working,
            calls: Vec::new(),
            arrived: Arc::new(Semaphore::new(0)),
            released: Arc::default(),
            hung_up: Arc::new(Semaphore::new(0)),
        }));
        let (shared, answer) = (Arc::clone(&state), Arc::new(answer));
        let router = Router::new().fallback(move |request: Request| {
            let (shared, answer) = (Arc::clone(&shared), Arc::clone(&answer));
            async move {
                match receive(&shared, key, request).await {
                    Ok((call, mode)) => answer(&call, mode),
                    Err(refusal) => refusal,
                }
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base_url: format!("http://{host}/v1"), host, state }
    }

    pub(crate) fn behave(&self, mode: Mode) {
        let mut state = self.state.lock().unwrap();
        state.mode = mode;
        state.calls.clear();
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.state.lock().unwrap().calls.clone()
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
}

/// A call that is to be answered, or what it is turned away with.
async fn receive(
    state: &Mutex<State>,
    key: &str,
    request: Request,
) -> Result<(Call, Mode), Response> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 24).await.unwrap();
    let authorized = parts.headers.get("authorization").and_then(|v| v.to_str().ok())
        == Some(&format!("Bearer {key}"));
    let call = Call {
        line: format!("{} {}", parts.method, parts.uri),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let (mode, released, hung_up) = {
        let mut state = state.lock().unwrap();
        state.calls.push(call.clone());
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
        (mode, released, Arc::clone(&state.hung_up))
    };
    if !authorized {
        return Err(error(401, "invalid_api_key"));
    }
    match mode {
        Mode::RateLimited(_, after) => {
            let mut response = error(429, "rate_limit_exceeded");
            response.headers_mut().insert("retry-after", after.parse().unwrap());
            Err(response)
        }
        Mode::OutOfCredit => Err(error(429, "insufficient_quota")),
        Mode::Failing(status, _) => Err(error(status, "server_error")),
        Mode::Refusing(status, word) if call.body.to_string().contains(word) => {
            Err(error(status, "invalid_request_error"))
        }
        Mode::Garbage(text) => Err(Response::new(Body::from(text))),
        Mode::Silent => std::future::pending().await,
        Mode::Held => {
            let mut held = Held { hung_up: Some(hung_up) };
            released.await;
            held.hung_up = None;
            Ok((call, mode))
        }
        _ => Ok((call, mode)),
    }
}

pub(crate) fn reply(status: u16, body: &Value) -> Response {
    Response::builder()
        .status(StatusCode::from_u16(status).unwrap())
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

pub(crate) fn error(status: u16, code: &str) -> Response {
    let message = format!("INTERNAL DETAIL {code} sk-leak");
    reply(status, &json!({ "error": { "message": message, "type": code, "code": code } }))
}
