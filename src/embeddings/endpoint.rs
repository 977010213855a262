//! Texts to vectors by an API like OpenAI's: `POST {base}/embeddings`.
//!
//! The key goes into `Authorization` and nowhere else. Error bodies are read for their code only:
//! what they say is never shown. An answer is taken whole or not at all: so many vectors as texts,
//! each of one length and of numbers, in the order that their indices say (spec row I-32). A call is
//! tried three times at most, within its deadline.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use reqwest::{
    Method, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::Vector;
use crate::{
    outbound::{self, Outbound, Request, Response},
    secret::Secret,
};

/// The most texts of one call, and the most tokens; the API's own bounds are 2,048 and 300,000. An
/// answer of the longest vectors in decimal digits stays below what is read of it.
pub const MOST_TEXTS: usize = 128;
/// See [`MOST_TEXTS`].
pub const MOST_TOKENS: usize = 32_000;
/// The longest vectors that are kept and searched.
pub const MOST_DIMENSIONS: usize = 2_000;

const MAX_BYTES: usize = 10 * 1024 * 1024;
const RETRIES: u32 = 2;

/// One model behind the API, until a deadline.
#[derive(Debug)]
pub struct Client<'a> {
    /// The way out.
    pub outbound: &'a Outbound,
    /// Without a trailing slash.
    pub base_url: &'a str,
    /// The tenant's own; `None` where the API takes none.
    pub api_key: Option<&'a Secret>,
    /// By its maker.
    pub model: &'a str,
    /// How long its vectors are; `None` when that is to be found out.
    pub dimensions: Option<usize>,
    /// Whether it must be told.
    pub asks_dimensions: bool,
    /// When every call is given up.
    pub deadline: Instant,
}

/// What the API made of some texts.
#[derive(Debug)]
pub struct Made {
    /// In the order of the texts, each of length one.
    pub vectors: Vec<Vector>,
    /// How many tokens it counted, if it says.
    pub tokens: Option<u64>,
}

/// Why the API gave no answer, in words for the tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// 401, 403.
    #[error("the API key was refused: it is wrong, was revoked, or may not make embeddings")]
    KeyRefused,
    /// 404.
    #[error("the endpoint does not know this model, or there is no /embeddings at this address")]
    NotFound,
    /// 400, 413, 422.
    #[error("the endpoint refused what it was asked: check the model's name and its dimensions")]
    Refused,
    /// 429 for longer than we can wait.
    #[error("too many requests to the endpoint: it is asked again later")]
    RateLimited(Option<Duration>),
    /// 429 that waiting does not cure.
    #[error("the account behind the API key is out of credit")]
    OutOfCredit,
    /// 5xx, thrice.
    #[error("the endpoint has a problem of its own: it is asked again later")]
    Unavailable(Option<Duration>),
    /// Not JSON of the shape that is documented, or an unexpected status.
    #[error("the endpoint answered with something that is not the OpenAI embeddings API")]
    Unreadable,
    /// Another number of vectors than of texts, one twice, or one of another length.
    #[error("the endpoint's answer does not fit what it was asked: none of it was taken")]
    Misfit,
    /// Nothing came, or it was not let out.
    #[error("the endpoint {0}")]
    Outbound(#[from] outbound::Error),
}

impl Error {
    /// How long the API asked to be left alone.
    #[must_use]
    pub const fn wait(&self) -> Option<Duration> {
        match self {
            Self::RateLimited(wait) | Self::Unavailable(wait) => *wait,
            _ => None,
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Item {
    /// Some servers leave it out; then the order is that of the texts.
    #[serde(default)]
    index: Option<usize>,
    embedding: Numbers,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Numbers {
    Base64(String),
    Floats(Vec<f32>),
}

#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    total_tokens: Option<u64>,
    #[serde(default)]
    prompt_tokens: Option<u64>,
}

impl Client<'_> {
    /// The vectors of these texts, [`MOST_TEXTS`] at most.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn embed(&self, texts: &[String]) -> Result<Made, Error> {
        let mut url: Url = self.base_url.parse().map_err(|_| outbound::Error::BadUrl)?;
        url.path_segments_mut()
            .map_err(|()| outbound::Error::BadUrl)?
            .pop_if_empty()
            .push("embeddings");
        let mut body = json!({ "model": self.model, "input": texts, "encoding_format": "base64" });
        if let (true, Some(dimensions)) = (self.asks_dimensions, self.dimensions) {
            body["dimensions"] = dimensions.into();
        }
        let response = self.call(&url, body.to_string().into_bytes()).await?;
        let answer: Answer =
            serde_json::from_slice(&response.body).map_err(|_| Error::Unreadable)?;
        let usage = answer.usage.and_then(|usage| usage.total_tokens.or(usage.prompt_tokens));
        let vectors = in_order(answer.data, texts.len(), self.dimensions).ok_or(Error::Misfit)?;
        Ok(Made { vectors, tokens: usage })
    }

    async fn call(&self, url: &Url, body: Vec<u8>) -> Result<Response, Error> {
        let mut attempt = 0;
        loop {
            let (error, wait) = match self.once(url, body.clone()).await {
                Ok(response) => match judge(&response) {
                    None => return Ok(response),
                    Some(error @ (Error::RateLimited(wait) | Error::Unavailable(wait))) => {
                        (error, wait)
                    }
                    Some(error) => return Err(error),
                },
                Err(error @ (outbound::Error::Unreachable | outbound::Error::Broken)) => {
                    (error.into(), None)
                }
                Err(error) => return Err(error.into()),
            };
            // Full jitter, unless we were told how long.
            let wait = wait.unwrap_or_else(|| {
                Duration::from_millis(200 << attempt).mul_f64(rand::random::<f64>())
            });
            let at = Instant::now().checked_add(wait);
            if attempt == RETRIES || at.is_none_or(|at| at >= self.deadline) {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    async fn once(&self, url: &Url, body: Vec<u8>) -> Result<Response, outbound::Error> {
        let mut headers = HeaderMap::new();
        if let Some(key) = self.api_key {
            let mut bearer = HeaderValue::from_str(&format!("Bearer {}", key.expose()))
                .map_err(|_| outbound::Error::BadUrl)?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let request = Request {
            method: Method::POST,
            url: url.clone(),
            headers,
            body: Some(body),
            deadline: self.deadline.saturating_duration_since(Instant::now()),
            max_bytes: MAX_BYTES,
        };
        self.outbound.send(request).await
    }
}

/// What is wrong with an answer, as far as its status says.
fn judge(response: &Response) -> Option<Error> {
    let wait = || retry_after(&response.headers);
    match response.status {
        200 => None,
        401 | 403 => Some(Error::KeyRefused),
        404 => Some(Error::NotFound),
        400 | 413 | 422 => Some(Error::Refused),
        429 if is_out_of_credit(&response.body) => Some(Error::OutOfCredit),
        429 => Some(Error::RateLimited(wait())),
        500 | 502 | 503 | 504 | 529 => Some(Error::Unavailable(wait())),
        _ => Some(Error::Unreadable),
    }
}

fn is_out_of_credit(body: &[u8]) -> bool {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return false };
    ["code", "type"].iter().any(|member| {
        matches!(
            body["error"][member].as_str(),
            Some("insufficient_quota" | "credit_balance_exhausted" | "billing_hard_limit_reached")
        )
    })
}

/// Seconds only: the API sends no dates.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// The vectors where their texts are, each of length one; `None` when one is missing, twice there,
/// of another length than the others, or none at all.
fn in_order(items: Vec<Item>, texts: usize, dimensions: Option<usize>) -> Option<Vec<Vector>> {
    if items.len() != texts {
        return None;
    }
    let numbered = items.iter().any(|item| item.index.is_some());
    let mut dimensions = dimensions;
    let mut vectors = vec![Vector::new(); texts];
    for (place, item) in items.into_iter().enumerate() {
        let index = if numbered { item.index? } else { place };
        let vector = unit(item.embedding.read()?)?;
        let expected = *dimensions.get_or_insert(vector.len());
        let place = vectors.get_mut(index)?;
        if vector.len() != expected || !place.is_empty() {
            return None;
        }
        *place = vector;
    }
    Some(vectors)
}

impl Numbers {
    fn read(self) -> Option<Vector> {
        match self {
            Self::Floats(numbers) => Some(numbers),
            Self::Base64(text) => {
                let bytes = BASE64_STANDARD.decode(text).ok()?;
                let (numbers, rest) = bytes.as_chunks::<4>();
                let numbers = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
                rest.is_empty().then_some(numbers)
            }
        }
    }
}

/// The vector of length one in the same direction.
fn unit(mut vector: Vector) -> Option<Vector> {
    let squares: f64 = vector.iter().map(|number| f64::from(*number).powi(2)).sum();
    let length = squares.sqrt();
    if !length.is_finite() || length < 1e-12 {
        return None;
    }
    for number in &mut vector {
        *number = (f64::from(*number) / length) as f32;
    }
    Some(vector)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: Value, texts: usize, dimensions: Option<usize>) -> Option<Vec<Vector>> {
        let items: Vec<Item> = serde_json::from_value(json).ok()?;
        in_order(items, texts, dimensions)
    }

    #[test]
    fn vectors_stand_where_their_index_says_in_either_encoding() {
        let base64 = BASE64_STANDARD.encode([0.0_f32, 2.0].map(f32::to_le_bytes).concat());
        let answer = json!([{ "index": 1, "embedding": base64 },
                            { "index": 0, "embedding": [3.0, 4.0] }]);
        let vectors = read(answer, 2, Some(2)).unwrap();
        assert_eq!(vectors, [[0.6, 0.8], [0.0, 1.0]]);
        let unnumbered = json!([{ "embedding": [1.0, 0.0] }, { "embedding": [0.0, 1.0] }]);
        assert_eq!(read(unnumbered, 2, None).unwrap()[1], [0.0, 1.0]);
    }

    /// [I-32] An answer that is too short, too long, has one text twice or a vector of another length
    /// is refused whole: none moves to the next passage.
    #[test]
    fn an_answer_that_does_not_fit_is_refused_whole() {
        let good = json!({ "index": 0, "embedding": [1.0, 0.0] });
        for (wrong, texts) in [
            (json!([]), 1),
            (json!([good]), 2),
            (json!([good, { "index": 1, "embedding": [1.0, 0.0] }]), 1),
            (json!([good, good]), 2),
            (json!([good, { "index": 2, "embedding": [1.0, 0.0] }]), 2),
            (json!([good, { "embedding": [1.0, 0.0] }]), 2),
            (json!([good, { "index": 1, "embedding": [1.0] }]), 2),
            (json!([good, { "index": 1, "embedding": [1.0, 0.0, 0.0] }]), 2),
            (json!([good, { "index": 1, "embedding": [0.0, 0.0] }]), 2),
            (json!([good, { "index": 1, "embedding": [1e39, 0.0] }]), 2),
            (json!([good, { "index": 1, "embedding": "AAAAA" }]), 2),
            (json!([good, { "index": 1, "embedding": "AAAAAAAA!" }]), 2),
            (json!([good, { "index": 1, "embedding": null }]), 2),
        ] {
            assert!(read(wrong.clone(), texts, Some(2)).is_none(), "{wrong}");
            assert!(read(wrong.clone(), texts, None).is_none(), "{wrong}");
        }
    }
}
