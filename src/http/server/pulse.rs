//! What happens on one connection, and by when something has to.
//!
//! hyper's own deadline for headers begins with its first look at HTTP/1 (not at the connection,
//! which may stay silent before it) and counts the pause between requests like a slow request. So
//! everything is noted here, by who sees it, and the connection's task asks when it is too late.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{Deadlines, connection::STREAM_WINDOW};

/// Bytes that may come besides bodies: this much, and [`HEAD`] for each request, and [`DRIP`] for
/// each second. More is a flood: of empty frames, of pings, of whatever else leads to nothing.
const BESIDES: u64 = 1 << 20;
const HEAD: u64 = 16 * 1024;
const DRIP: u64 = 1024;
/// What carries a piece of a body: HTTP/2's frame header and padding, HTTP/1.1's chunk sizes.
const WRAPPING: u64 = 64;
/// How long a peer may think about our goodbye when nothing is in flight (HTTP/2 waits for a word).
const GOODBYE: Duration = Duration::from_secs(5);
/// Requests that a peer may begin and take back, besides as many as it let us answer.
const TAKEN_BACK: u64 = 100;

/// Notes of one connection. Clones share.
#[derive(Clone, Debug)]
pub(super) struct Pulse(Arc<Mutex<Notes>>);

#[derive(Debug)]
struct Notes {
    opened: Instant,
    is_http2: bool,
    /// Begun so far, and of those: answered, taken back by the peer, unfinished.
    requests: u64,
    answered: u64,
    taken_back: u64,
    in_flight: u64,
    /// When nothing was in flight any more.
    quiet_since: Instant,
    /// Whether what the kernel still keeps for the peer is to go with the connection.
    is_hopeless: bool,
    /// When the peer was told that the connection ends.
    told_at: Option<Instant>,
    /// When the first byte came of a request that has not begun.
    head_since: Option<Instant>,
    /// Whether bytes came that the request in flight does not account for.
    is_ahead: bool,
    /// HTTP/1.1: whether the body of the request in flight still comes.
    is_body_open: bool,
    /// HTTP/1.1: whether that body comes slowly.
    is_body_slow: bool,
    write_waits_since: Option<Instant>,
    /// Answers of which a piece was handed over, and since when nobody wants the next one.
    offered: HashMap<u64, Instant>,
    /// Bytes that came, and those that led to something.
    read: u64,
    useful: u64,
}

/// Why a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// No whole request in time.
    Head,
    /// Nothing for long, which is how connections end that nobody needs.
    Idle,
    /// The peer does not take what is sent.
    Stall,
    /// The peer keeps us busy with nothing.
    Flood,
}

impl Cut {
    fn count(self) {
        let reason = match self {
            Self::Head => "head",
            Self::Idle => "idle",
            Self::Stall => "stall",
            Self::Flood => "flood",
        };
        metrics::counter!("callslip_http_connections_cut_total", "reason" => reason).increment(1);
    }
}

impl Pulse {
    pub(super) fn new() -> Self {
        let opened = Instant::now();
        Self(Arc::new(Mutex::new(Notes {
            opened,
            is_http2: false,
            requests: 0,
            answered: 0,
            taken_back: 0,
            in_flight: 0,
            quiet_since: opened,
            is_hopeless: false,
            told_at: None,
            head_since: None,
            is_ahead: false,
            is_body_open: false,
            is_body_slow: false,
            write_waits_since: None,
            offered: HashMap::new(),
            read: 0,
            useful: 0,
        })))
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes came from the peer.
    pub(super) fn read(&self, bytes: usize) {
        let mut notes = self.notes();
        notes.read += bytes as u64;
        if notes.in_flight == 0 {
            notes.head_since.get_or_insert_with(Instant::now);
        } else if !notes.is_body_open {
            notes.is_ahead = true;
        }
    }

    /// The socket took bytes, or broke.
    pub(super) fn wrote(&self) {
        self.notes().write_waits_since = None;
    }

    /// The socket takes no more: the peer does not read.
    ///
    /// The kernel wakes a writer when a good part of its buffer is free again, so a peer that reads
    /// a byte now and then does not count as reading.
    pub(super) fn write_waits(&self) {
        self.notes().write_waits_since.get_or_insert_with(Instant::now);
    }

    /// A request's headers are whole.
    pub(super) fn begin(&self, is_http2: bool, has_body: bool) -> Flight {
        let mut notes = self.notes();
        notes.is_http2 = is_http2;
        notes.requests += 1;
        notes.in_flight += 1;
        notes.head_since = None;
        notes.is_ahead = false;
        notes.is_body_open = has_body;
        notes.is_body_slow = false;
        if has_body && is_http2 {
            // It may be refused, with this much of it on its way, on a connection that a proxy
            // shares out among many.
            notes.useful += u64::from(STREAM_WINDOW);
        }
        Flight { pulse: self.clone(), number: notes.requests, is_answered: false }
    }

    /// A piece of a body came.
    pub(super) fn body(&self, bytes: usize) {
        self.notes().useful += bytes as u64 + WRAPPING;
    }

    /// A body came to its end.
    pub(super) fn body_ended(&self) {
        let mut notes = self.notes();
        notes.is_body_open = false;
        notes.is_body_slow = false;
    }

    /// A body comes slowly, or in time again. Whether it came slowly before.
    pub(super) fn body_is_slow(&self, is_slow: bool) -> bool {
        let mut notes = self.notes();
        let is_slow = is_slow && notes.is_body_open && !notes.is_http2;
        std::mem::replace(&mut notes.is_body_slow, is_slow)
    }

    /// Whether all that can come is the next of a body that comes slowly.
    pub(super) fn is_slow(&self) -> bool {
        self.notes().is_body_slow
    }

    /// Whether the connection can be told to end without taking a request from the peer that it may
    /// have sent: one has been seen, and the next has not begun to arrive.
    pub(super) fn may_close(&self) -> bool {
        let notes = self.notes();
        let is_between = notes.is_http2 || notes.head_since.is_none();
        notes.in_flight > 0 || (notes.requests > 0 && is_between)
    }

    /// The peer was told that the connection ends.
    pub(super) fn told(&self) {
        self.notes().told_at = Some(Instant::now());
    }

    /// The connection is cut.
    pub(super) fn cut(&self, cut: Cut) {
        cut.count();
        self.notes().is_hopeless = matches!(cut, Cut::Stall | Cut::Flood);
    }

    /// Whether the peer takes nothing any more.
    pub(super) fn is_hopeless(&self) -> bool {
        self.notes().is_hopeless
    }

    /// When the connection is to be cut unless something happens, and why.
    pub(super) fn due(&self, deadlines: &Deadlines) -> Option<(Instant, Cut)> {
        self.notes().due(deadlines)
    }
}

impl Notes {
    fn due(&self, deadlines: &Deadlines) -> Option<(Instant, Cut)> {
        if self.is_flood() {
            return Some((self.opened, Cut::Flood));
        }
        let stall = self.offered.values().chain(&self.write_waits_since).min();
        let stall = stall.map(|since| (*since + deadlines.stall, Cut::Stall));
        let quiet = (self.in_flight == 0).then(|| match (self.head_since, self.told_at) {
            (_, Some(at)) if self.write_waits_since.is_none() => {
                (at.max(self.quiet_since) + GOODBYE.min(deadlines.idle), Cut::Idle)
            }
            _ if self.requests == 0 => (self.opened + deadlines.head, Cut::Head),
            (Some(since), _) if !self.is_http2 => (since + deadlines.head, Cut::Head),
            _ => (self.quiet_since + deadlines.idle, Cut::Idle),
        });
        stall.into_iter().chain(quiet).min_by_key(|(at, _)| *at)
    }

    fn is_flood(&self) -> bool {
        let age: Duration = self.opened.elapsed();
        let besides = BESIDES + HEAD * self.requests + DRIP * age.as_secs();
        self.read.saturating_sub(self.useful) > besides
            || self.taken_back > TAKEN_BACK + self.answered
    }
}

/// A request on its way. Dropping it says that it is over.
#[derive(Debug)]
pub(super) struct Flight {
    pulse: Pulse,
    number: u64,
    is_answered: bool,
}

impl Flight {
    /// There is an answer.
    pub(super) fn answered(&mut self) {
        self.is_answered = true;
    }

    /// A piece of the answer was handed over.
    pub(super) fn offered(&self) {
        self.pulse.notes().offered.insert(self.number, Instant::now());
    }

    /// The next one is wanted.
    pub(super) fn wanted(&self) {
        self.pulse.notes().offered.remove(&self.number);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut notes = self.pulse.notes();
        notes.offered.remove(&self.number);
        notes.is_body_slow = false;
        notes.in_flight -= 1;
        if self.is_answered {
            notes.answered += 1;
        } else {
            notes.taken_back += 1;
        }
        if notes.in_flight == 0 {
            notes.quiet_since = Instant::now();
            if notes.is_ahead {
                notes.head_since = Some(notes.quiet_since);
            }
        }
    }
}
