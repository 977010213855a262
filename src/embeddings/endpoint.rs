//! Texts to vectors by an API like OpenAI's: `POST {base}/embeddings`.
//!
//! An answer is taken whole or not at all: so many vectors as texts, each of one length and of
//! numbers, in the order that their indices say (spec row I-32).

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::Deserialize;
use serde_json::json;

use super::Vector;
use crate::outbound::{
    self,
    api::{Api, Failure},
};

/// The most texts of one call, and the most tokens; the API's own bounds are 2,048 and 300,000. An
/// answer of the longest vectors in decimal digits stays below what is read of it.
pub const MOST_TEXTS: usize = 128;
/// See [`MOST_TEXTS`].
pub const MOST_TOKENS: usize = 32_000;
/// The longest vectors that are kept and searched.
pub const MOST_DIMENSIONS: usize = 2_000;

/// One model behind the API.
#[derive(Debug)]
pub struct Client<'a> {
    /// Where it is.
    pub api: Api<'a>,
    /// By its maker.
    pub model: &'a str,
    /// How long its vectors are; `None` when that is to be found out.
    pub dimensions: Option<usize>,
    /// Whether it must be told.
    pub asks_dimensions: bool,
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
    /// 400, 413, 422: which one.
    #[error("the endpoint refused what it was asked: check the model's name and its dimensions")]
    Refused(u16),
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

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::KeyRefused => Self::KeyRefused,
            Failure::NotFound => Self::NotFound,
            Failure::Refused(status) => Self::Refused(status),
            Failure::RateLimited(wait) => Self::RateLimited(wait),
            Failure::OutOfCredit => Self::OutOfCredit,
            Failure::Unavailable(wait) => Self::Unavailable(wait),
            Failure::Unreadable => Self::Unreadable,
            Failure::Outbound(error) => Self::Outbound(error),
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
        let url = self.api.url(&["embeddings"])?;
        let mut body = json!({ "model": self.model, "input": texts, "encoding_format": "base64" });
        if let (true, Some(dimensions)) = (self.asks_dimensions, self.dimensions) {
            body["dimensions"] = dimensions.into();
        }
        let answer: Answer = self.api.post(&url, &body).await?;
        let usage = answer.usage.and_then(|usage| usage.total_tokens.or(usage.prompt_tokens));
        let vectors = in_order(answer.data, texts.len(), self.dimensions).ok_or(Error::Misfit)?;
        Ok(Made { vectors, tokens: usage })
    }
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
    use serde_json::Value;

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
