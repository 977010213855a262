//! The requests of one stream: those that run, and those that wait for their turn.

use std::collections::{HashMap, VecDeque};

use axum::body::Bytes;
use tokio::{
    sync::mpsc,
    task::{self, AbortHandle, JoinError, JoinSet},
};

use super::{Streams, answer, session::Delivery};
use crate::mcp::{caller::Caller, jsonrpc::Id, notes::Notes};

/// How many requests of one stream run at once.
const MOST_RUNNING: usize = 8;
/// How many wait for their turn.
pub(super) const MOST_WAITING: usize = 24;
/// How many answers wait for the client; beyond it no further request is begun.
pub(super) const MOST_UNREAD: usize = 8;

/// An answer, and who asked; `None` when the token of its request has died.
pub(super) type Answered = Option<(Bytes, Caller)>;

/// The requests.
pub(super) struct Calls {
    streams: Streams,
    waiting: VecDeque<Delivery>,
    work: JoinSet<Answered>,
    /// What runs, and how to stop it. What was taken back is not here any more.
    running: HashMap<task::Id, (Id, AbortHandle)>,
    /// Where they say what goes before their answers.
    notes: mpsc::Sender<Bytes>,
}

impl Calls {
    pub(super) fn new(streams: Streams, notes: mpsc::Sender<Bytes>) -> Self {
        let (waiting, work, running) = (VecDeque::new(), JoinSet::new(), HashMap::new());
        Self { streams, waiting, work, running, notes }
    }

    /// Whether nothing runs or waits.
    pub(super) fn are_over(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// Whether another request would begin at once.
    pub(super) fn take_more(&self, unread: usize) -> bool {
        self.waiting.is_empty() && self.may_begin(unread)
    }

    /// Whether as many wait as may.
    pub(super) fn are_many(&self) -> bool {
        self.waiting.len() >= MOST_WAITING
    }

    fn may_begin(&self, unread: usize) -> bool {
        self.running.len() < MOST_RUNNING && unread < MOST_UNREAD
    }

    pub(super) fn add(&mut self, delivery: Delivery) {
        self.waiting.push_back(delivery);
    }

    /// Begin as many as may run while so many answers are unread.
    pub(super) fn begin(&mut self, unread: usize) {
        while self.may_begin(unread)
            && let Some(mut delivery) = self.waiting.pop_front()
        {
            delivery.asker.notes = Notes::over(self.notes.clone(), &delivery.request);
            let (streams, id) = (self.streams.clone(), delivery.request.id.clone());
            let call = self.work.spawn(async move {
                let json = answer::answer(&streams.0.dispatcher, &streams.0.calls, &delivery).await;
                json.map(|json| (json, delivery.asker.caller))
            });
            self.running.insert(call.id(), (id, call));
        }
    }

    /// Stop a request that was taken back: it is not answered. One that is not here has been, or
    /// never came.
    pub(super) fn cancel(&mut self, id: &Id) {
        self.waiting.retain(|delivery| delivery.request.id != *id);
        self.running.retain(|_, (running, call)| {
            let is_it = running == id;
            if is_it {
                call.abort();
            }
            !is_it
        });
    }

    /// The next answer; `None` when nothing runs.
    pub(super) async fn next(&mut self) -> Option<Result<Answered, JoinError>> {
        loop {
            let (call, done) = match self.work.join_next_with_id().await? {
                Ok((call, answer)) => (call, Ok(answer)),
                Err(error) => (error.id(), Err(error)),
            };
            // What was taken back may have come to its end meanwhile.
            if self.running.remove(&call).is_some() {
                return Some(done);
            }
        }
    }
}
