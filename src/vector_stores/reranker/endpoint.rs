//! Passages into an order by an API like Jina's and Cohere's: `POST {base}/rerank`.
//!
//! Servers differ in what they call their answers: `results` or `data`, each with an `index` and a
//! `relevance_score` or `score`. An answer is taken whole or not at all.

use serde::Deserialize;
use serde_json::json;

use crate::outbound::{
    self,
    api::{Api, Failure},
};

/// One model behind the API.
#[derive(Debug)]
pub struct Client<'a> {
    /// Where it is.
    pub api: Api<'a>,
    /// By its maker.
    pub model: &'a str,
}

/// Why the API gave no order, in words for the tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// 401, 403.
    #[error("the API key was refused: it is wrong, was revoked, or may not rerank")]
    KeyRefused,
    /// 404.
    #[error("the endpoint does not know this model, or there is no /rerank at this address")]
    NotFound,
    /// 400, 413, 422.
    #[error("the endpoint refused what it was asked: check the model's name")]
    Refused,
    /// 429 for longer than we can wait.
    #[error("too many requests to the endpoint")]
    RateLimited,
    /// 429 that waiting does not cure.
    #[error("the account behind the API key is out of credit")]
    OutOfCredit,
    /// 5xx, thrice.
    #[error("the endpoint has a problem of its own")]
    Unavailable,
    /// Not JSON of the shape that is documented, an unexpected status, or an answer that does not
    /// fit what was asked.
    #[error("the endpoint answered with something that is no order of what it was asked")]
    Unreadable,
    /// Nothing came, or it was not let out.
    #[error("the endpoint {0}")]
    Outbound(#[from] outbound::Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::KeyRefused => Self::KeyRefused,
            Failure::NotFound => Self::NotFound,
            Failure::Refused(_) => Self::Refused,
            Failure::RateLimited(_) => Self::RateLimited,
            Failure::OutOfCredit => Self::OutOfCredit,
            Failure::Unavailable(_) => Self::Unavailable,
            Failure::Unreadable => Self::Unreadable,
            Failure::Outbound(error) => Self::Outbound(error),
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    #[serde(alias = "data")]
    results: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    #[serde(alias = "score")]
    relevance_score: f64,
}

impl Client<'_> {
    /// Where in `passages` the ones are that answer `query`, best first: each of them once.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn rerank(&self, query: &str, passages: &[String]) -> Result<Vec<usize>, Error> {
        let url = self.api.url(&["rerank"])?;
        let body = json!({ "model": self.model, "query": query, "documents": passages,
                           "top_n": passages.len() });
        let answer: Answer = self.api.post(&url, &body).await?;
        order(answer.results, passages.len()).ok_or(Error::Unreadable)
    }
}

/// Best first; of equals the one that was first before. What has no score follows as it was, since
/// some servers leave the worst away. `None` when one is there twice, or was not asked for, or there
/// are none.
fn order(mut items: Vec<Item>, passages: usize) -> Option<Vec<usize>> {
    let mut is_there = vec![false; passages];
    for item in &items {
        let before = is_there.get_mut(item.index)?;
        if *before || !item.relevance_score.is_finite() {
            return None;
        }
        *before = true;
    }
    items.sort_by(|a, b| {
        b.relevance_score.total_cmp(&a.relevance_score).then(a.index.cmp(&b.index))
    });
    let rest = (0..passages).filter(|index| !is_there[*index]);
    (!items.is_empty()).then(|| items.iter().map(|item| item.index).chain(rest).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn read(json: Value, passages: usize) -> Option<Vec<usize>> {
        order(serde_json::from_value::<Answer>(json).ok()?.results, passages)
    }

    #[test]
    fn what_any_server_calls_its_scores_is_an_order() {
        let scored = json!([{ "index": 0, "relevance_score": -7.5, "document": { "text": "a" } },
                            { "index": 2, "relevance_score": 0.25 },
                            { "index": 1, "relevance_score": 0.25 }]);
        assert_eq!(read(json!({ "results": scored }), 3).unwrap(), [1, 2, 0]);
        let scored = json!([{ "index": 3, "score": 1 }, { "index": 1, "score": 2 }]);
        let answer = json!({ "object": "list", "data": scored, "usage": { "total_tokens": 4 } });
        assert_eq!(read(answer, 4).unwrap(), [1, 3, 0, 2]);
    }

    #[test]
    fn an_answer_that_does_not_fit_is_none() {
        let one = json!({ "index": 0, "score": 1 });
        for wrong in [
            json!([]),
            json!([one, one]),
            json!([one, { "index": 2, "score": 1 }]),
            json!([{ "index": -1, "score": 1 }]),
            json!([{ "index": 0.5, "score": 1 }]),
            json!([{ "index": 0, "score": null }]),
            json!([{ "index": 0, "score": "NaN" }]),
            json!([{ "index": 0 }]),
            json!([{ "score": 1 }]),
        ] {
            assert_eq!(read(json!({ "results": wrong }), 2), None, "{wrong}");
        }
        assert_eq!(read(json!([one]), 2), None);
        assert_eq!(order(vec![Item { index: 0, relevance_score: f64::NAN }], 1), None);
    }
}
