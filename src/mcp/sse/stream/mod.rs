//! Step 3: the task of one stream.
//!
//! It never waits for its client or for the database: what takes time runs beside it ([`beside`]).

mod beside;

use std::{collections::VecDeque, sync::Arc};

use axum::body::{Body, Bytes};
use time::OffsetDateTime;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, mpsc},
    task::JoinSet,
    time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until},
};

use super::{
    StreamRules, Streams,
    calls::{Answered, Calls, MOST_UNREAD, MOST_WAITING},
    end::{End, Gauge},
    event, mail,
    outlet::{self, Item, Pass},
    session::{Delivery, Principal, Session},
};
use crate::{
    clock::LEEWAY,
    db::TenantScope,
    http::Phase,
    mcp::{caller::Caller, jsonrpc::Id},
    secret::SecretHash,
};
use beside::Done;

/// What happens to a stream.
enum Event {
    End(End),
    /// The client took what was last offered to it.
    Read,
    Delivered(Delivery),
    Cancelled(Id),
    /// Nothing comes any more from this node.
    InboxClosed,
    Poked,
    /// A call says something before its answer.
    Heard(Bytes),
    Answered(Answered),
    Done(Done),
    KeepAlive,
    Recheck,
    Leave,
}

/// The task's state.
struct Stream {
    streams: Streams,
    scope: TenantScope,
    name: SecretHash,
    session: Arc<Session>,
    inbox: mpsc::Receiver<Delivery>,
    cancelled: mpsc::Receiver<Id>,
    heard: mpsc::Receiver<Bytes>,
    out: mpsc::Sender<Item>,
    pass: Arc<Pass>,
    ends_at: OffsetDateTime,
    keep_alive: Interval,
    recheck: Interval,
    /// What the client has not been offered yet.
    unread: VecDeque<Item>,
    /// Until when it must take what was offered.
    read_by: Option<Instant>,
    calls: Calls,
    work: JoinSet<Done>,
    is_fetching: bool,
    is_rechecking: bool,
    ending: Ending,
    _room: OwnedSemaphorePermit,
}

/// How far a stream is on its way to its end.
#[derive(Default)]
struct Ending {
    begun: bool,
    inbox_is_empty: bool,
    nothing_waits: bool,
}

/// Begin a stream that was noted, and return what its connection sends.
pub(super) fn start(
    streams: &Streams,
    caller: Caller,
    name: SecretHash,
    room: OwnedSemaphorePermit,
    first: Bytes,
) -> Body {
    let inner = &streams.0;
    let rules = inner.rules;
    let (out, items) = mpsc::channel(1);
    let (inbox, delivered) = mpsc::channel(MOST_WAITING);
    let (cancelled, taken_back) = mpsc::channel(MOST_WAITING);
    let (notes, heard) = mpsc::channel(MOST_UNREAD);
    let principal = Principal::of(&caller);
    let session = Arc::new(Session { principal, inbox, cancelled, poke: Notify::new() });
    inner.add(&name, Arc::clone(&session));
    let (scope, ends_at) = (caller.scope(), end_of(&caller, inner.clock.now(), rules));
    let pass = Arc::new(Pass::new(caller, &inner.liveness, &inner.clock));
    let body = outlet::body(items, Arc::clone(&pass));
    let stream = Stream {
        streams: streams.clone(),
        scope,
        name,
        session,
        inbox: delivered,
        cancelled: taken_back,
        heard,
        out,
        pass,
        ends_at,
        keep_alive: every(rules.keep_alive),
        recheck: every(rules.recheck),
        unread: VecDeque::from([Item::Line(first)]),
        read_by: None,
        calls: Calls::new(streams.clone(), notes),
        work: JoinSet::new(),
        is_fetching: false,
        is_rechecking: false,
        ending: Ending::default(),
        _room: room,
    };
    tokio::spawn(stream.run());
    body
}

/// Its lifetime, give or take a fifth, and never beyond its token's.
fn end_of(caller: &Caller, now: OffsetDateTime, rules: StreamRules) -> OffsetDateTime {
    let lifetime = rules.lifetime.mul_f64(0.8 + 0.4 * rand::random::<f64>());
    let (claims, _) = caller.proof();
    let expiry = OffsetDateTime::from_unix_timestamp(claims.exp).unwrap_or(now);
    // By a clock that is behind ours the token has not expired yet.
    let expiry = if expiry > now { expiry } else { expiry + LEEWAY };
    (now + lifetime).min(expiry)
}

fn every(period: std::time::Duration) -> Interval {
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

impl Stream {
    async fn run(mut self) {
        let _open = Gauge::new();
        let end = loop {
            let event = self.next().await;
            if let Some(end) = self.react(event) {
                break end;
            }
        };
        end.count();
        if end != End::Over {
            self.pass.cut();
        }
        self.streams.0.remove(&self.name);
        let Self { out, calls, work, streams, scope, name, ending, _room, .. } = self;
        drop((out, calls, work));
        if !ending.nothing_waits
            && let Err(fault) = mail::fetch_last(&streams, scope, &name).await
        {
            // The postman forgets it later.
            fault.log();
        }
    }

    async fn next(&mut self) -> Event {
        let takes_more = self.calls.take_more(self.unread.len());
        let is_offering = self.read_by.is_some() || !self.unread.is_empty();
        let draining = &self.streams.0.draining;
        tokio::select! {
            () = self.out.closed() => Event::End(match self.pass.is_cut() {
                true => End::Revoked,
                false => End::Left,
            }),
            permit = self.out.reserve(), if is_offering => match permit {
                Ok(permit) => {
                    if let Some(item) = self.unread.pop_front() {
                        permit.send(item);
                        self.read_by = Some(Instant::now() + self.streams.0.rules.patience);
                    } else {
                        self.read_by = None;
                    }
                    Event::Read
                }
                Err(_) => Event::End(End::Left),
            },
            () = sleep_until(self.read_by.unwrap_or_else(Instant::now)), if self.read_by.is_some() =>
                Event::End(End::Stalled),
            delivery = self.inbox.recv(), if takes_more && !self.ending.inbox_is_empty =>
                delivery.map_or(Event::InboxClosed, Event::Delivered),
            Some(id) = self.cancelled.recv() => Event::Cancelled(id),
            () = self.session.poke.notified(), if takes_more && !self.is_fetching => Event::Poked,
            Some(note) = self.heard.recv() => Event::Heard(note),
            Some(answered) = self.calls.next() =>
                answered.map_or(Event::End(End::Broken), Event::Answered),
            Some(done) = self.work.join_next() =>
                done.map_or(Event::End(End::Broken), Event::Done),
            _ = self.keep_alive.tick() => Event::KeepAlive,
            _ = self.recheck.tick() => Event::Recheck,
            () = draining.reached(Phase::Closing), if !self.ending.begun => Event::Leave,
        }
    }

    /// What follows; the end, if it is that.
    fn react(&mut self, event: Event) -> Option<End> {
        match event {
            Event::End(end) => return Some(end),
            Event::Read => {}
            Event::Delivered(delivery) => self.calls.add(delivery),
            Event::Cancelled(id) => self.cancel(&id),
            Event::InboxClosed => self.ending.inbox_is_empty = true,
            Event::Poked => self.fetch(),
            Event::Heard(note) => self.say(note),
            Event::Answered(None) => return Some(End::Revoked),
            Event::Answered(Some((json, caller))) => self.answer(&json, caller),
            Event::Done(done) => {
                if let Some(end) = self.take_in(done) {
                    return Some(end);
                }
            }
            Event::KeepAlive if self.read_by.is_none() && self.unread.is_empty() => {
                self.unread.push_back(Item::Line(event::keep_alive()));
            }
            Event::KeepAlive => {}
            Event::Recheck => self.look_at_the_time(),
            Event::Leave => self.begin_to_end(),
        }
        self.calls.begin(self.unread.len());
        self.is_over().then_some(End::Over)
    }

    /// A request is taken back, which may wait here still.
    fn cancel(&mut self, id: &Id) {
        while !self.calls.are_many()
            && let Ok(delivery) = self.inbox.try_recv()
        {
            self.calls.add(delivery);
        }
        self.calls.cancel(id);
    }

    /// What a client that does not read misses is no answer.
    fn say(&mut self, note: Bytes) {
        if self.unread.len() < MOST_UNREAD {
            self.unread.push_back(Item::Line(note));
        }
    }

    fn answer(&mut self, json: &[u8], caller: Caller) {
        // What its call said goes before it.
        while let Ok(note) = self.heard.try_recv() {
            self.say(note);
        }
        let at = self.streams.0.clock.now();
        self.unread.push_back(Item::Answer { event: event::message(json), caller, at });
    }

    /// Take nothing new; what was accepted is answered still.
    fn begin_to_end(&mut self) {
        if !self.ending.begun {
            self.ending.begun = true;
            self.streams.0.remove(&self.name);
            self.inbox.close();
        }
    }

    /// Whether everything that was accepted has been answered.
    fn is_over(&mut self) -> bool {
        let Ending { begun, inbox_is_empty, nothing_waits } = self.ending;
        if begun && !nothing_waits && !self.is_fetching {
            self.fetch();
        }
        begun && inbox_is_empty && nothing_waits && self.calls.are_over() && self.unread.is_empty()
    }
}
