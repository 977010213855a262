//! Rates: how many calls, and how many of them at once.

use std::{num::NonZeroU32, time::Duration};

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
    /// With another number of calls, and a burst in proportion.
    pub(super) fn with_calls(self, calls: u32) -> Self {
        let calls = calls.max(1);
        let burst = u64::from(self.burst) * u64::from(calls) / u64::from(self.calls.max(1));
        Self { calls, burst: u32::try_from(burst).unwrap_or(u32::MAX).max(1), ..self }
    }

    /// Time for one call to be paid back.
    pub(super) fn period(self, scale: f64) -> Duration {
        let window = Duration::from_secs(self.seconds.into());
        let period = window.div_f64(f64::from(self.calls.max(1)) * scale);
        period.max(Duration::from_nanos(1))
    }

    /// At least one.
    pub(super) fn burst(self, scale: f64) -> NonZeroU32 {
        times(self.burst, scale)
    }

    pub(super) fn quota(self, scale: f64) -> Quota {
        Quota::with_period(self.period(scale))
            .expect("a period is never zero")
            .allow_burst(self.burst(scale))
    }
}

/// At least one, and no more than any limit needs.
pub(super) fn times(number: u32, scale: f64) -> NonZeroU32 {
    let scaled = (f64::from(number) * scale).ceil().clamp(1.0, 4e9);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to what fits just above"
    )]
    let scaled = scaled as u32;
    NonZeroU32::new(scaled).unwrap_or(NonZeroU32::MIN)
}
