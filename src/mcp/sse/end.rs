//! Why streams end, and how many there are, for operators.

/// Why a stream is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The client hung up.
    Left,
    /// Its time was over, or the server's.
    Over,
    /// Its token is dead.
    Revoked,
    /// Nobody says whether its token lives.
    Unproved,
    /// The client did not read.
    Stalled,
    /// Ours.
    Broken,
}

impl End {
    pub(super) fn count(self) {
        let reason = match self {
            Self::Left => "left",
            Self::Over => "over",
            Self::Revoked => "revoked",
            Self::Unproved => "unproved",
            Self::Stalled => "stalled",
            Self::Broken => "broken",
        };
        metrics::counter!("callslip_sse_streams_ended_total", "reason" => reason).increment(1);
        tracing::debug!(reason, "a stream ended");
    }
}

/// Counts a stream as open for as long as it is there.
pub(super) struct Gauge;

impl Gauge {
    pub(super) fn new() -> Self {
        metrics::gauge!("callslip_sse_streams").increment(1.0);
        Self
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        metrics::gauge!("callslip_sse_streams").decrement(1.0);
    }
}
