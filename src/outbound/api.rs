//! Calls of APIs that take a bearer key and speak JSON, as OpenAI's do.
//!
//! The key goes into `Authorization` and nowhere else. Error bodies are read for their code only:
//! what they say is never shown. A call is tried three times at most, within its deadline.

use std::time::Duration;

use reqwest::{
    Method, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use super::{Error, Outbound, Request, Response};
use crate::secret::Secret;

const MAX_BYTES: usize = 10 * 1024 * 1024;
const RETRIES: u32 = 2;

/// An API, until a deadline.
#[derive(Clone, Copy, Debug)]
pub struct Api<'a> {
    /// The way out.
    pub outbound: &'a Outbound,
    /// Without a trailing slash.
    pub base_url: &'a str,
    /// The tenant's own; `None` where the API takes none.
    pub api_key: Option<&'a Secret>,
    /// When every call is given up.
    pub deadline: Instant,
}

/// Why an API gave no answer; each has words of its own for this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// 401, 403.
    KeyRefused,
    /// 404.
    NotFound,
    /// 400, 413, 422: which one.
    Refused(u16),
    /// 429 for longer than we can wait.
    RateLimited(Option<Duration>),
    /// 429 that waiting does not cure.
    OutOfCredit,
    /// 5xx, thrice.
    Unavailable(Option<Duration>),
    /// Not JSON of the shape that was expected, or an unexpected status.
    Unreadable,
    /// Nothing came, or it was not let out.
    Outbound(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Outbound(error)
    }
}

impl Api<'_> {
    /// The address of one of its resources.
    ///
    /// # Errors
    /// When the base URL is none.
    pub fn url(&self, segments: &[&str]) -> Result<Url, Error> {
        let mut url: Url = self.base_url.parse().map_err(|_| Error::BadUrl)?;
        url.path_segments_mut().map_err(|()| Error::BadUrl)?.pop_if_empty().extend(segments);
        Ok(url)
    }

    /// What it answers to GET.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn get<T: DeserializeOwned>(&self, url: &Url) -> Result<T, Failure> {
        self.call(Method::GET, url, None).await
    }

    /// What it answers to POST with this body.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn post<T: DeserializeOwned>(&self, url: &Url, body: &Value) -> Result<T, Failure> {
        self.call(Method::POST, url, Some(body.to_string().into_bytes())).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        url: &Url,
        body: Option<Vec<u8>>,
    ) -> Result<T, Failure> {
        let mut attempt = 0;
        loop {
            let (failure, wait) = match self.once(&method, url, body.clone()).await {
                Ok(response) => match judge(&response) {
                    None => {
                        return serde_json::from_slice(&response.body)
                            .map_err(|_| Failure::Unreadable);
                    }
                    Some(failure @ (Failure::RateLimited(wait) | Failure::Unavailable(wait))) => {
                        (failure, wait)
                    }
                    Some(failure) => return Err(failure),
                },
                Err(error @ (Error::Unreachable | Error::Broken)) => (error.into(), None),
                Err(error) => return Err(error.into()),
            };
            // Full jitter, unless we were told how long.
            let wait = wait.unwrap_or_else(|| {
                Duration::from_millis(200 << attempt).mul_f64(rand::random::<f64>())
            });
            let at = Instant::now().checked_add(wait);
            if attempt == RETRIES || at.is_none_or(|at| at >= self.deadline) {
                return Err(failure);
            }
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    async fn once(
        &self,
        method: &Method,
        url: &Url,
        body: Option<Vec<u8>>,
    ) -> Result<Response, Error> {
        let mut headers = HeaderMap::new();
        if let Some(key) = self.api_key {
            let mut bearer = HeaderValue::from_str(&format!("Bearer {}", key.expose()))
                .map_err(|_| Error::BadUrl)?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let request = Request {
            method: method.clone(),
            url: url.clone(),
            headers,
            body,
            deadline: self.deadline.saturating_duration_since(Instant::now()),
            max_bytes: MAX_BYTES,
        };
        self.outbound.send(request).await
    }
}

/// What is wrong with an answer, as far as its status says.
fn judge(response: &Response) -> Option<Failure> {
    let wait = || retry_after(&response.headers);
    match response.status {
        200 => None,
        401 | 403 => Some(Failure::KeyRefused),
        404 => Some(Failure::NotFound),
        status @ (400 | 413 | 422) => Some(Failure::Refused(status)),
        429 if is_out_of_credit(&response.body) => Some(Failure::OutOfCredit),
        429 => Some(Failure::RateLimited(wait())),
        500 | 502 | 503 | 504 | 529 => Some(Failure::Unavailable(wait())),
        _ => Some(Failure::Unreadable),
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

/// Seconds only: these APIs send no dates.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}
