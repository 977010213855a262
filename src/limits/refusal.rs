//! What a limit says, and what it answers: RFC 9110 §10.2.3 and
//! draft-ietf-httpapi-ratelimit-headers.

use std::{fmt, time::Duration};

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};

use super::rate::Rate;

/// Whole seconds, rounded up.
pub(super) fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// What is counted, as headers name it. The partition (whose count it is) is never said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// So many in a while.
    Rate(Rate),
    /// So many at the same time.
    AtOnce {
        /// What it counts by.
        name: &'static str,
        /// How many.
        most: u32,
    },
}

impl Limit {
    /// What it counts by.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Rate(rate) => rate.name,
            Self::AtOnce { name, .. } => name,
        }
    }

    /// What it is called where all that refuse are counted.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Rate(rate) => rate.name,
            Self::AtOnce { .. } => "at_once",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate(Rate { name, calls, seconds, .. }) => {
                write!(f, "\"{name}\";q={calls};w={seconds}")
            }
            Self::AtOnce { name, most } => {
                write!(f, "\"{name}-at-once\";q={most};qu=\"concurrent-requests\"")
            }
        }
    }
}

/// Too many calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    /// Which limit it was.
    pub limit: Limit,
    /// Whole seconds until a call passes; at least 1.
    pub retry_after: u64,
}

impl Limited {
    /// `wait` in whole seconds, rounded up: coming back at that second succeeds.
    pub(super) fn new(rate: Rate, wait: Duration) -> Self {
        Self::by(Limit::Rate(rate), wait)
    }

    /// The same, and up to a fifth later: those who were turned away together shall not come back
    /// together.
    pub(super) fn spread(rate: Rate, wait: Duration) -> Self {
        let exact = Self::new(rate, wait);
        let more = rand::random_range(0..=exact.retry_after.div_ceil(5));
        Self { retry_after: exact.retry_after + more, ..exact }
    }

    /// Too many at the same time: nobody knows when one of them ends.
    pub(super) fn at_once(name: &'static str, most: u32) -> Self {
        Self::by(Limit::AtOnce { name, most }, Duration::from_secs(1))
    }

    fn by(limit: Limit, wait: Duration) -> Self {
        metrics::counter!("callslip_rate_limited_total", "limit" => limit.name()).increment(1);
        Self { limit, retry_after: seconds(wait).max(1) }
    }

    /// A sentence for people and models.
    #[must_use]
    pub fn message(&self) -> String {
        let Self { limit, retry_after } = self;
        let unit = if *retry_after == 1 { "second" } else { "seconds" };
        let what = match limit {
            Limit::Rate(_) => "Too many requests",
            Limit::AtOnce { .. } => "Too many requests at the same time",
        };
        format!("{what} for one {}: try again in {retry_after} {unit}.", limit.name())
    }

    /// Turn an answer into a 429 that says when to come back.
    #[must_use]
    pub fn refuse(&self, mut response: Response) -> Response {
        let Self { limit, retry_after } = self;
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, HeaderValue::from(*retry_after));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        tell(headers, limit, 0, *retry_after);
        response
    }
}

/// Where a caller stands with the limit that they will meet first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub(super) rate: Rate,
    /// Calls that would pass now.
    pub(super) remaining: u64,
    /// Until as many pass as after a pause.
    pub(super) whole_in: Duration,
}

impl Standing {
    /// Say so on an answer.
    pub fn tell(&self, headers: &mut HeaderMap) {
        tell(headers, &Limit::Rate(self.rate), self.remaining, seconds(self.whole_in));
    }
}

fn tell(headers: &mut HeaderMap, limit: &Limit, remaining: u64, seconds: u64) {
    let named = match limit {
        Limit::Rate(rate) => format!("\"{}\"", rate.name),
        Limit::AtOnce { name, .. } => format!("\"{name}-at-once\""),
    };
    for (name, text) in [
        ("ratelimit-policy", limit.to_string()),
        ("ratelimit", format!("{named};r={remaining};t={seconds}")),
    ] {
        let value = HeaderValue::from_str(&text).expect("names and numbers are ASCII");
        headers.insert(HeaderName::from_static(name), value);
    }
}
