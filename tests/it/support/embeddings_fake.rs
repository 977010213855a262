//! A small fake of the OpenAI embeddings API, on loopback.
//!
//! Its vectors say where a text's first number is: `item 7` lies at 7 of 100 steps of a quarter turn,
//! and a text without a number at the beginning. The model `down-…` counts from the other end.

use std::ops::Deref;

use axum::response::Response;
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};

pub(crate) use super::api_fake::Mode;
use super::api_fake::{Call, Fake, error, reply};

pub(crate) const KEY: &str = "sk-embed-0123456789-QRST";

/// The fake.
#[derive(Clone, Debug)]
pub(crate) struct Embeddings(Fake);

impl Deref for Embeddings {
    type Target = Fake;

    fn deref(&self) -> &Fake {
        &self.0
    }
}

impl Embeddings {
    pub(crate) async fn start() -> Self {
        Self(Fake::start(KEY, answer).await)
    }

    /// The texts of each call, with the model that they were for.
    pub(crate) fn calls(&self) -> Vec<(String, Vec<String>)> {
        self.0.calls().iter().map(|call| (model(call).to_owned(), texts(call))).collect()
    }

    /// How many texts it was sent.
    pub(crate) fn texts(&self) -> usize {
        self.calls().iter().map(|(_, texts)| texts.len()).sum()
    }
}

fn model(call: &Call) -> &str {
    call.body["model"].as_str().unwrap_or_default()
}

fn texts(call: &Call) -> Vec<String> {
    serde_json::from_value(call.body["input"].clone()).unwrap_or_default()
}

fn answer(call: &Call, mode: Mode) -> Response {
    if call.line != "POST /v1/embeddings" {
        return error(404, "not_found");
    }
    let Some(length) = length(model(call), &call.body) else {
        return error(404, "model_not_found");
    };
    reply(200, &made(model(call), length, &texts(call), mode, &call.body))
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
