//! The OpenAI vector store API, as far as we use it: search, file, file content.
//!
//! The key goes into `Authorization` and nowhere else. Error bodies are read for their code only:
//! what they say is never shown. A call is tried three times at most, within its deadline.

use std::{collections::BTreeMap, time::Duration};

use reqwest::{
    Method, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    outbound::{self, Outbound, Request, Response},
    secret::Secret,
};

/// OpenAI itself.
pub const DEFAULT_BASE_URL: &str = "https://api.openai.com/v1";

const MAX_BYTES: usize = 10 * 1024 * 1024;
const MAX_PAGES: usize = 200;
const RETRIES: u32 = 2;

/// One store behind the API, until a deadline.
#[derive(Debug)]
pub struct Client<'a> {
    /// The way out.
    pub outbound: &'a Outbound,
    /// Without a trailing slash.
    pub base_url: &'a str,
    /// `vs_…`
    pub external_id: &'a str,
    /// The tenant's own.
    pub api_key: &'a Secret,
    /// When every call is given up.
    pub deadline: Instant,
}

/// A passage that the API found.
#[derive(Debug, Deserialize)]
pub struct Found {
    /// `file-…`
    pub file_id: String,
    /// As it was uploaded.
    #[serde(default)]
    pub filename: Option<String>,
    /// What the uploader attached.
    #[serde(default)]
    pub attributes: Option<BTreeMap<String, Value>>,
    /// The passage, in parts.
    #[serde(default)]
    content: Vec<Part>,
}

impl Found {
    /// The passage.
    #[must_use]
    pub fn text(&self) -> String {
        self.content.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join("\n")
    }
}

#[derive(Debug, Deserialize)]
struct Part {
    #[serde(default)]
    text: String,
}

#[derive(Deserialize)]
struct Page<T> {
    data: Vec<T>,
    #[serde(default)]
    has_more: bool,
    #[serde(default)]
    next_page: Option<String>,
}

#[derive(Deserialize)]
struct Attached {
    #[serde(default)]
    attributes: Option<BTreeMap<String, Value>>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    filename: Option<String>,
}

/// A file of the store with its text.
#[derive(Debug)]
pub struct File {
    /// As it was uploaded, if the API says.
    pub filename: Option<String>,
    /// What the uploader attached.
    pub attributes: BTreeMap<String, Value>,
    /// The text, up to what was asked for and a page more.
    pub text: String,
    /// Whether that is all of it.
    pub is_whole: bool,
}

/// Why the API gave no answer, in words for the tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// 401, 403.
    #[error("the API key was refused: it is wrong, was revoked, or may not read this store")]
    KeyRefused,
    /// 404.
    #[error("there is no such vector store, or this key belongs to another project")]
    NotFound,
    /// 429 for longer than we can wait.
    #[error("too many requests to the vector store: try again in a moment")]
    RateLimited,
    /// 429 that waiting does not cure.
    #[error("the account behind the API key is out of credit")]
    OutOfCredit,
    /// 5xx, thrice.
    #[error("the vector store has a problem of its own: try again in a moment")]
    Unavailable,
    /// Not JSON of the shape that is documented, or an unexpected status.
    #[error("the vector store answered with something that is not the OpenAI API")]
    Unreadable,
    /// Nothing came, or it was not let out.
    #[error("the vector store {0}")]
    Outbound(#[from] outbound::Error),
}

/// Whether this can be an id of a store or a file: it becomes part of a path.
#[must_use]
pub fn is_id(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

impl Client<'_> {
    /// The best passages for a question, best first.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn search(
        &self,
        query: &str,
        limit: usize,
        filter: Option<&Value>,
    ) -> Result<Vec<Found>, Error> {
        let url = self.url(&["vector_stores", self.external_id, "search"])?;
        // The API takes 1 to 50.
        let mut body = json!({ "query": query, "max_num_results": limit.clamp(1, 50) });
        if let Some(filter) = filter {
            body["filters"] = filter.clone();
        }
        let page: Page<Found> = self.call(Method::POST, &url, Some(&body)).await?;
        Ok(page.data.into_iter().filter(|found| is_id(&found.file_id)).collect())
    }

    /// A file of this store with its text, read page by page until it has `enough` characters.
    /// `None` when the store has no such file.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn file(&self, file_id: &str, enough: usize) -> Result<Option<File>, Error> {
        if !is_id(file_id) {
            return Ok(None);
        }
        // First of all: is it a file of this store? The key may see files of others.
        let path = ["vector_stores", self.external_id, "files", file_id];
        let attached: Result<Attached, Error> =
            self.call(Method::GET, &self.url(&path)?, None).await;
        let attached = match attached {
            Err(Error::NotFound) => return Ok(None),
            other => other?,
        };
        let name = self.url(&["files", file_id])?;
        let (named, text) = tokio::join!(
            self.call::<Named>(Method::GET, &name, None),
            self.content(file_id, enough)
        );
        let (text, is_whole) = text?;
        Ok(Some(File {
            // A key that may read the store and not the file list still reads the text.
            filename: named.ok().and_then(|named| named.filename),
            attributes: attached.attributes.unwrap_or_default(),
            text,
            is_whole,
        }))
    }

    async fn content(&self, file_id: &str, enough: usize) -> Result<(String, bool), Error> {
        let mut url =
            self.url(&["vector_stores", self.external_id, "files", file_id, "content"])?;
        let mut text = String::new();
        let mut seen = Vec::new();
        for _ in 0..MAX_PAGES {
            let page: Page<Part> = self.call(Method::GET, &url, None).await?;
            for part in &page.data {
                if !text.is_empty() {
                    text.push('\n');
                }
                text.push_str(&part.text);
            }
            let Some(next) = page.next_page.filter(|next| page.has_more && !next.is_empty()) else {
                return Ok((text, true));
            };
            // A token that comes twice would go round for ever.
            if seen.contains(&next) || text.chars().count() > enough {
                break;
            }
            url.query_pairs_mut().clear().append_pair("page", &next);
            seen.push(next);
        }
        Ok((text, false))
    }

    fn url(&self, segments: &[&str]) -> Result<Url, Error> {
        let mut url: Url = self.base_url.parse().map_err(|_| outbound::Error::BadUrl)?;
        url.path_segments_mut()
            .map_err(|()| outbound::Error::BadUrl)?
            .pop_if_empty()
            .extend(segments);
        Ok(url)
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        url: &Url,
        body: Option<&Value>,
    ) -> Result<T, Error> {
        let mut attempt = 0;
        loop {
            let (error, wait) = match self.once(&method, url, body).await {
                Ok(response) => match judge(&response) {
                    Verdict::Good => {
                        return serde_json::from_slice(&response.body)
                            .map_err(|_| Error::Unreadable);
                    }
                    Verdict::Final(error) => return Err(error),
                    Verdict::Later(error, wait) => (error, wait),
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

    async fn once(
        &self,
        method: &Method,
        url: &Url,
        body: Option<&Value>,
    ) -> Result<Response, outbound::Error> {
        let mut headers = HeaderMap::new();
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", self.api_key.expose()))
            .map_err(|_| outbound::Error::BadUrl)?;
        bearer.set_sensitive(true);
        headers.insert(AUTHORIZATION, bearer);
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let request = Request {
            method: method.clone(),
            url: url.clone(),
            headers,
            body: body.map(|body| body.to_string().into_bytes()),
            deadline: self.deadline.saturating_duration_since(Instant::now()),
            max_bytes: MAX_BYTES,
        };
        self.outbound.send(request).await
    }
}

enum Verdict {
    Good,
    Final(Error),
    Later(Error, Option<Duration>),
}

fn judge(response: &Response) -> Verdict {
    match response.status {
        200 => Verdict::Good,
        401 | 403 => Verdict::Final(Error::KeyRefused),
        404 => Verdict::Final(Error::NotFound),
        429 if is_out_of_credit(&response.body) => Verdict::Final(Error::OutOfCredit),
        429 => Verdict::Later(Error::RateLimited, retry_after(&response.headers)),
        500 | 502 | 503 | 504 | 529 => {
            Verdict::Later(Error::Unavailable, retry_after(&response.headers))
        }
        _ => Verdict::Final(Error::Unreadable),
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
