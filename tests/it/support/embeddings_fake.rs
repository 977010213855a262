//! A small fake of the OpenAI embeddings API, on loopback.
//!
//! Its vectors say where a text's first number is: `item 7` lies at 7 of 100 steps of a quarter turn,
//! and a text without a number at the beginning. The model `down-…` counts from the other end.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::StatusCode,
    response::Response,
};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore};

pub(crate) const KEY: &str = "sk-embed-0123456789-QRST";

/// How it behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Working,
    /// Numbers in decimal digits, whatever was asked for.
    Digits,
    /// 429 this many times, with how long to wait, then working.
    RateLimited(u32, &'static str),
    /// This status this many times, then working.
    Failing(u16, u32),
    OutOfCredit,
    /// One vector less than texts.
    Short,
    /// One vector that is too short, the last.
    Stub,
    /// 200 with something else.
    Garbage(&'static str),
    /// Never answers.
    Silent,
    /// Answers when it is told to; see [`Embeddings::arrived`] and [`Embeddings::release`].
    Held,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) mode: Mode,
    /// The texts of each call, with the model that they were for.
    pub(crate) calls: Vec<(String, Vec<String>)>,
    arrived: Arc<Semaphore>,
    released: Arc<Notify>,
}

/// The fake.
#[derive(Clone, Debug)]
pub(crate) struct Embeddings {
    pub(crate) base_url: String,
    pub(crate) host: String,
    pub(crate) state: Arc<Mutex<State>>,
}

impl Embeddings {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State {
            mode: Mode::Working,
            calls: Vec::new(),
            arrived: Arc::new(Semaphore::new(0)),
            released: Arc::default(),
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

    pub(crate) fn calls(&self) -> Vec<(String, Vec<String>)> {
        self.state.lock().unwrap().calls.clone()
    }

    /// How many texts it was sent.
    pub(crate) fn texts(&self) -> usize {
        self.calls().iter().map(|(_, texts)| texts.len()).sum()
    }

    /// Wait until a call is held.
    pub(crate) async fn arrived(&self) {
        let arrived = Arc::clone(&self.state.lock().unwrap().arrived);
        arrived.acquire().await.unwrap().forget();
    }

    /// Answer what is held, and whatever comes after it.
    pub(crate) fn release(&self) {
        let mut state = self.state.lock().unwrap();
        state.mode = Mode::Working;
        state.released.notify_waiters();
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
    let body = to_bytes(body, 1 << 24).await.unwrap();
    let authorized = parts.headers.get("authorization").and_then(|v| v.to_str().ok())
        == Some(&format!("Bearer {KEY}"));
    if parts.uri.path() != "/v1/embeddings" {
        return error(404, "not_found");
    }
    let body: Value = serde_json::from_slice(&body).unwrap();
    let texts: Vec<String> = serde_json::from_value(body["input"].clone()).unwrap();
    let model = body["model"].as_str().unwrap().to_owned();
    let (mode, released) = {
        let mut state = state.lock().unwrap();
        state.calls.push((model.clone(), texts.clone()));
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
        (mode, released)
    };
    if !authorized {
        return error(401, "invalid_api_key");
    }
    match mode {
        Mode::RateLimited(_, after) => {
            let mut response = error(429, "rate_limit_exceeded");
            response.headers_mut().insert("retry-after", after.parse().unwrap());
            return response;
        }
        Mode::OutOfCredit => return error(429, "insufficient_quota"),
        Mode::Failing(status, _) => return error(status, "server_error"),
        Mode::Garbage(text) => return Response::new(Body::from(text)),
        Mode::Silent => return std::future::pending().await,
        Mode::Held => released.await,
        Mode::Working | Mode::Digits | Mode::Short | Mode::Stub => {}
    }
    let Some(length) = length(&model, &body) else { return error(404, "model_not_found") };
    reply(200, &made(&model, length, &texts, mode, &body))
}

/// `up-8` makes vectors of 8 numbers, unless it is asked for fewer.
fn length(model: &str, body: &Value) -> Option<usize> {
    let own: usize = model.strip_prefix("up-").or(model.strip_prefix("down-"))?.parse().ok()?;
    Some(body["dimensions"].as_u64().map_or(own, |asked| own.min(asked as usize)))
}

fn made(model: &str, length: usize, texts: &[String], mode: Mode, body: &Value) -> Value {
    let digits = mode == Mode::Digits || body["encoding_format"] != "base64";
    let mut data: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let mut vector = vector(model, length, text);
            if mode == Mode::Stub && index + 1 == texts.len() {
                vector.pop();
            }
            let embedding = if digits {
                json!(vector)
            } else {
                let bytes: Vec<u8> = vector.into_iter().flat_map(f32::to_le_bytes).collect();
                json!(BASE64_STANDARD.encode(bytes))
            };
            json!({ "object": "embedding", "index": index, "embedding": embedding })
        })
        .collect();
    // The order is no promise: the index is.
    data.reverse();
    if mode == Mode::Short {
        data.pop();
    }
    let words: usize = texts.iter().map(|text| text.split_whitespace().count()).sum();
    json!({ "object": "list", "data": data, "model": model,
            "usage": { "prompt_tokens": words, "total_tokens": words } })
}

fn vector(model: &str, length: usize, text: &str) -> Vec<f32> {
    let number = text
        .split(|c: char| !c.is_ascii_digit())
        .find_map(|digits| digits.parse::<f32>().ok())
        .map_or(0.0, |number| number.min(100.0));
    let from_here =
        if model.starts_with("down") && text.contains("item") { 100.0 - number } else { number };
    let angle = from_here / 100.0 * std::f32::consts::FRAC_PI_2;
    let mut vector = vec![0.0; length];
    // Of another length than one.
    (vector[0], vector[1]) = (angle.cos() * 3.0, angle.sin() * 3.0);
    vector
}
