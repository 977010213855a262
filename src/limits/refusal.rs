//! What a limit says, and what it answers.

use std::{num::NonZeroU32, time::Duration};

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use governor::Quota;

/// A rate and how much may come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Names it in headers, messages and metrics: what it counts by.
    pub name: &'static str,
    /// Sustained calls in a minute.
    pub per_minute: u32,
    /// Calls at once, after a pause.
    pub burst: u32,
}

/// The same for what is rare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hourly {
    /// Names it: what it counts by.
    pub name: &'static str,
    /// Sustained calls in an hour.
    pub per_hour: u32,
    /// Calls at once, after a pause.
    pub burst: u32,
}

/// A rate, however it was written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Names it in headers, messages and metrics.
    pub name: &'static str,
    /// Sustained calls in each window.
    pub calls: u32,
    /// The window's seconds.
    pub seconds: u32,
    /// Calls at once, after a pause.
    pub burst: u32,
}

impl From<Policy> for Rate {
    fn from(Policy { name, per_minute, burst }: Policy) -> Self {
        Self { name, calls: per_minute, seconds: 60, burst }
    }
}

impl From<Hourly> for Rate {
    fn from(Hourly { name, per_hour, burst }: Hourly) -> Self {
        Self { name, calls: per_hour, seconds: 3600, burst }
    }
}

impl Rate {
    /// Time for one call to be paid back.
    pub(super) fn period(self, scale: f64) -> Duration {
        let window = Duration::from_secs(self.seconds.into());
        let period = window.div_f64(f64::from(self.calls.max(1)) * scale);
        period.max(Duration::from_nanos(1))
    }

    /// At least one.
    pub(super) fn burst(self, scale: f64) -> NonZeroU32 {
        let burst = (f64::from(self.burst) * scale).ceil().clamp(1.0, 1e9);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to what fits just above"
        )]
        let burst = burst as u32;
        NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN)
    }

    pub(super) fn quota(self, scale: f64) -> Quota {
        Quota::with_period(self.period(scale))
            .expect("a period is never zero")
            .allow_burst(self.burst(scale))
    }
}

/// Too many calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    /// Which limit it was.
    pub policy: Rate,
    /// Whole seconds until a call passes; at least 1.
    pub retry_after: u64,
}

impl Limited {
    /// `wait` in whole seconds, rounded up: coming back at that second succeeds.
    pub(super) fn new(policy: Rate, wait: Duration) -> Self {
        metrics::counter!("callslip_rate_limited_total", "limit" => policy.name).increment(1);
        let retry_after = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self { policy, retry_after: retry_after.max(1) }
    }

    /// A sentence for people and models.
    #[must_use]
    pub fn message(&self) -> String {
        let Self { policy, retry_after } = self;
        let unit = if *retry_after == 1 { "second" } else { "seconds" };
        format!("Too many requests for one {}: try again in {retry_after} {unit}.", policy.name)
    }

    /// Turn an answer into a 429 that says when to come back: RFC 9110 §10.2.3 and
    /// draft-ietf-httpapi-ratelimit-headers.
    #[must_use]
    pub fn refuse(&self, mut response: Response) -> Response {
        let Self { policy, retry_after } = self;
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, HeaderValue::from(*retry_after));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let fields = [
            (
                "ratelimit-policy",
                format!("\"{}\";q={};w={}", policy.name, policy.calls, policy.seconds),
            ),
            ("ratelimit", format!("\"{}\";r=0;t={retry_after}", policy.name)),
        ];
        for (name, text) in fields {
            let value = HeaderValue::from_str(&text).expect("names and numbers are ASCII");
            headers.insert(HeaderName::from_static(name), value);
        }
        response
    }
}
