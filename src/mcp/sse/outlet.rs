//! The end of a stream that the connection reads from: nothing leaves here without a fresh proof
//! that its token lives.

use std::{
    io,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::body::{Body, Bytes};
use futures_util::stream;
use time::{Duration, OffsetDateTime};
use tokio::sync::mpsc;

use crate::{
    clock::{Clock, LEEWAY},
    fault::Fault,
    mcp::caller::Caller,
    oauth::liveness::Liveness,
};
use std::sync::Arc;

/// For how long the word that a stream's token lives is good, and for how long an answer may wait
/// that was proved when it was made. Nothing leaves later than a second after a revocation was
/// answered (spec row S-08).
const PROOF_LASTS: Duration = Duration::milliseconds(300);

/// Something to send.
#[derive(Debug)]
pub(in crate::mcp) enum Item {
    /// Of no content: where to post, and keep-alives.
    Line(Bytes),
    /// What a tenant's documents may be in.
    Answer { event: Bytes, caller: Caller, at: OffsetDateTime },
}

/// Whether a stream may go on: shared by its task and its outlet.
#[derive(Debug)]
pub(in crate::mcp) struct Pass {
    caller: Caller,
    liveness: Liveness,
    clock: Clock,
    proved_at: Mutex<OffsetDateTime>,
    is_cut: AtomicBool,
}

impl Pass {
    /// For the caller that opened the stream.
    pub(in crate::mcp) fn new(caller: Caller, liveness: &Liveness, clock: &Clock) -> Self {
        let (_, at) = caller.proof();
        let (liveness, clock) = (liveness.clone(), clock.clone());
        Self { caller, liveness, clock, proved_at: Mutex::new(at), is_cut: AtomicBool::new(false) }
    }

    /// When the stream's token was last known to be alive.
    pub(super) fn proved_at(&self) -> OffsetDateTime {
        *self.proved_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ask whether the stream's token lives.
    pub(super) async fn renew(&self) -> Result<bool, Fault> {
        let at = self.clock.now();
        let (claims, _) = self.caller.proof();
        let is_alive = claims.exp > (at - LEEWAY).unix_timestamp()
            && self.liveness.check(claims).await?.is_some();
        if is_alive {
            *self.proved_at.lock().unwrap_or_else(PoisonError::into_inner) = at;
        } else {
            self.cut();
        }
        Ok(is_alive)
    }

    /// From now on nothing leaves, whatever waits.
    pub(super) fn cut(&self) {
        self.is_cut.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::Relaxed)
    }

    fn is_fresh(&self, proof: OffsetDateTime) -> bool {
        // A clock that was set back proves nothing.
        (self.clock.now() - proof).abs() <= PROOF_LASTS
    }

    async fn lets_out(&self, caller: &Caller, at: OffsetDateTime) -> Result<bool, Fault> {
        // It was posted with a token of the same grant, and perhaps not with the same token.
        if !self.is_fresh(at) && !caller.is_unchanged(&self.liveness, &self.clock).await? {
            return Ok(false);
        }
        Ok(self.is_fresh(self.proved_at()) || self.renew().await?)
    }

    /// The bytes of an item, if they may leave now.
    pub(in crate::mcp) async fn release(&self, item: Item) -> Option<Bytes> {
        let bytes = match item {
            Item::Line(line) => line,
            Item::Answer { event, caller, at } => match self.lets_out(&caller, at).await {
                Ok(true) => event,
                Ok(false) => {
                    self.cut();
                    return None;
                }
                // Nobody said that the token lives, so nothing leaves.
                Err(fault) => {
                    fault.log();
                    self.cut();
                    return None;
                }
            },
        };
        (!self.is_cut()).then_some(bytes)
    }
}

/// What the connection sends. It ends when the task of the stream does, and breaks off where
/// something would leave that may not.
pub(super) fn body(items: mpsc::Receiver<Item>, pass: Arc<Pass>) -> Body {
    Body::from_stream(stream::unfold(Some((items, pass)), async |state| {
        let (mut items, pass) = state?;
        let item = items.recv().await?;
        let is_answer = matches!(item, Item::Answer { .. });
        match pass.release(item).await {
            Some(bytes) => Some((Ok(bytes), Some((items, pass)))),
            None if is_answer => Some((Err(io::Error::other("the token has died")), None)),
            None => None,
        }
    }))
}
