//! A request's body, which has to come at a pace (spec row Q-01).

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{BoxError, body::Bytes};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Deadlines, pulse::Pulse};

/// Bytes a second that every body has to come with.
const PACE: u64 = 1024;
/// One that says that it is larger than this may take longer than others, at a better pace.
const LARGE: u64 = 1 << 20;
/// The pace of a large one.
const LARGE_PACE: u64 = 16 * 1024;
/// What comes with fewer bytes a second than this drips.
const DRIP: u64 = 64;
/// A body of which nothing came for so long is slow, as is one that drips.
const SILENCE: Duration = Duration::from_millis(500);
/// How long it takes at most to look whether something came of one that is late.
const LAST_LOOK: Duration = Duration::from_millis(100);

/// The body came too slowly.
#[derive(Debug, thiserror::Error)]
#[error("the body came too slowly")]
pub(super) struct TooSlow;

/// Counts the time in which the peer is waited for, and no other.
#[derive(Debug)]
pub(super) struct Paced {
    body: Incoming,
    pulse: Pulse,
    deadlines: Deadlines,
    is_large: bool,
    received: u64,
    waited: Duration,
    waiting_since: Option<Instant>,
    /// What is allowed besides: at random, so that those who began at one moment, to be hung up on
    /// at one moment and to come again at one moment, fall out of step.
    besides: Duration,
    alarm: Option<Pin<Box<Sleep>>>,
    is_over: bool,
}

impl Paced {
    pub(super) fn new(body: Incoming, pulse: Pulse, deadlines: Deadlines) -> Self {
        let is_large = body.size_hint().lower() > LARGE;
        Self {
            body,
            pulse,
            deadlines,
            is_large,
            received: 0,
            waited: Duration::ZERO,
            waiting_since: None,
            besides: deadlines.behind.mul_f64(rand::random_range(0.0..0.2)),
            alarm: None,
            is_over: false,
        }
    }

    /// How long the peer may have been waited for by now.
    fn allowed(&self) -> Duration {
        let at = |pace: u64| Duration::from_millis(self.received.saturating_mul(1000) / pace);
        self.besides
            + if self.is_large {
                self.deadlines.behind + at(LARGE_PACE)
            } else {
                (self.deadlines.behind + at(PACE)).min(self.deadlines.body)
            }
    }

    /// Whether fewer bytes came than drip in the time that the peer was waited for.
    fn drips(&self) -> bool {
        self.waited > SILENCE && self.received < self.waited.as_secs().max(1) * DRIP
    }

    /// Whether the peer was waited for too long.
    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let until = since + self.allowed().saturating_sub(self.waited);
        let silent_at = until.min(since + SILENCE);
        loop {
            let now = Instant::now();
            let next = if now < silent_at {
                silent_at
            } else if now < until {
                self.pulse.body_is_slow(true);
                until
            } else if since < until && now < until + LAST_LOOK {
                // What came since it was last looked at came in time. There is one such look.
                if self.pulse.body_is_slow(false) {
                    context.waker().wake_by_ref();
                }
                until + LAST_LOOK
            } else {
                return true;
            };
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(next)));
            if alarm.deadline() != next {
                alarm.as_mut().reset(next);
            }
            if alarm.as_mut().poll(context).is_pending() {
                return false;
            }
        }
    }
}

impl Body for Paced {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.is_over {
            return Poll::Ready(Some(Err(TooSlow.into())));
        }
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            self.is_over = self.is_late(context);
            if !self.is_over {
                return Poll::Pending;
            }
            metrics::counter!("callslip_http_slow_bodies_total").increment(1);
            return Poll::Ready(Some(Err(TooSlow.into())));
        };
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
        match frame.as_ref() {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.received += bytes as u64;
                self.pulse.body(bytes);
                self.pulse.body_is_slow(self.drips());
            }
            Some(Err(_)) | None => self.pulse.body_ended(),
        }
        if self.body.is_end_stream() {
            self.pulse.body_ended();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
