//! A small fake of Jina's reranking API, on loopback.
//!
//! The passage with the highest number in it is the best. The model `plain` answers as the API does,
//! `other` as servers do that call their answers otherwise, `brief` leaves all but the best two away.

use std::ops::Deref;

use axum::response::Response;
use serde_json::{Value, json};

use super::api_fake::{Call, Fake, Mode, error, reply};

pub(crate) const KEY: &str = "sk-rerank-0123456789-MNOP";

/// The fake.
#[derive(Clone, Debug)]
pub(crate) struct Reranker(Fake);

impl Deref for Reranker {
    type Target = Fake;

    fn deref(&self) -> &Fake {
        &self.0
    }
}

impl Reranker {
    pub(crate) async fn start() -> Self {
        Self(Fake::start(KEY, answer).await)
    }

    /// Everything that it was sent, as text.
    pub(crate) fn heard(&self) -> String {
        self.calls().iter().map(|call| call.body.to_string()).collect()
    }
}

fn answer(call: &Call, _: Mode) -> Response {
    let (body, model) = (&call.body, call.body["model"].as_str().unwrap_or_default());
    if call.line != "POST /v1/rerank" || !["plain", "other", "brief"].contains(&model) {
        return error(404, "model_not_found");
    }
    let passages: Vec<String> = serde_json::from_value(body["documents"].clone()).unwrap();
    assert_eq!(body["top_n"].as_u64(), Some(passages.len() as u64));
    assert!(body["query"].is_string());
    let mut scored: Vec<(usize, f64)> =
        passages.iter().map(|text| number(text)).enumerate().collect();
    scored.sort_by(|a, b| b.1.total_cmp(&a.1));
    if model == "brief" {
        scored.truncate(2);
    }
    let (list, score) = match model {
        "other" => ("data", "score"),
        _ => ("results", "relevance_score"),
    };
    let items: Vec<Value> =
        scored.iter().map(|(index, one)| json!({ "index": index, score: one })).collect();
    reply(200, &json!({ "model": model, list: items, "usage": { "total_tokens": 9 } }))
}

/// The last number of a text; -1 for one without.
fn number(text: &str) -> f64 {
    let mut digits = text.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
    digits.next_back().map_or(-1.0, |digits| digits.parse().unwrap())
}
