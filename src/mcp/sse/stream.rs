//! Step 3: the task of one stream.
//!
//! It never waits for its client or for the database: what takes time runs beside it.

use std::{collections::VecDeque, sync::Arc};

use axum::body::{Body, Bytes};
use time::OffsetDateTime;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, mpsc},
    task::JoinSet,
    time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until},
};

use super::{
    Posting, StreamRules, Streams, answer,
    end::{End, Gauge},
    event,
    mail::{self, Fetched},
    outlet::{self, Item, Pass},
    session::{Delivery, Principal, Session},
};
use crate::{
    clock::LEEWAY, db::TenantScope, fault::Fault, http::Phase, mcp::caller::Caller,
    secret::SecretHash,
};

/// How many requests of one stream run at once.
const MOST_CALLS: usize = 8;
/// How many wait for their turn.
pub(super) const MOST_WAITING: usize = 24;
/// How many answers wait for the client; beyond it no further request is begun.
const MOST_UNREAD: usize = 8;
/// For how long a stream goes on whose token nobody can tell to be alive.
const UNPROVED: time::Duration = time::Duration::seconds(20);

/// What happens to a stream.
enum Event {
    End(End),
    /// The client took what was last offered to it.
    Read,
    Delivered(Delivery),
    /// Nothing comes any more from this node.
    InboxClosed,
    Poked,
    Done(Done),
    KeepAlive,
    Recheck,
    Leave,
}

/// What ran beside the stream.
enum Done {
    /// An answer; `None` when the token of its request has died.
    Answer(Option<(Bytes, Caller)>),
    /// Messages from the database.
    Fetched(Result<Fetched, Fault>),
    Rechecked(Result<bool, Fault>),
}

/// The task's state.
struct Stream {
    streams: Streams,
    scope: TenantScope,
    name: SecretHash,
    session: Arc<Session>,
    inbox: mpsc::Receiver<Delivery>,
    out: mpsc::Sender<Item>,
    pass: Arc<Pass>,
    ends_at: OffsetDateTime,
    keep_alive: Interval,
    recheck: Interval,
    /// What the client has not been offered yet.
    unread: VecDeque<Item>,
    /// Until when it must take what was offered.
    read_by: Option<Instant>,
    waiting: VecDeque<Delivery>,
    work: JoinSet<Done>,
    calls: usize,
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
    let principal = Principal::of(&caller);
    let session = Arc::new(Session { principal, inbox, poke: Notify::new() });
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
        out,
        pass,
        ends_at,
        keep_alive: every(rules.keep_alive),
        recheck: every(rules.recheck),
        unread: VecDeque::from([Item::Line(first)]),
        read_by: None,
        waiting: VecDeque::new(),
        work: JoinSet::new(),
        calls: 0,
        is_fetching: false,
        is_rechecking: false,
        ending: Ending::default(),
        _room: room,
    };
    tokio::spawn(stream.run());
    body
}

/// Give a request to a stream of this node.
pub(super) fn hand_over(session: &Session, delivery: Delivery) -> Posting {
    match session.inbox.try_send(delivery) {
        Ok(()) => Posting::Accepted,
        Err(mpsc::error::TrySendError::Full(_)) => Posting::Full,
        // It has just ended.
        Err(mpsc::error::TrySendError::Closed(_)) => Posting::Unknown,
    }
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
        let Self { out, work, streams, scope, name, ending, _room, .. } = self;
        drop((out, work));
        if !ending.nothing_waits
            && let Err(fault) = mail::fetch_last(&streams, scope, &name).await
        {
            // The postman forgets it later.
            fault.log();
        }
    }

    async fn next(&mut self) -> Event {
        let may_begin = self.calls < MOST_CALLS && self.unread.len() < MOST_UNREAD;
        let takes_more = may_begin && self.waiting.is_empty();
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
            () = self.session.poke.notified(), if takes_more && !self.is_fetching => Event::Poked,
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
            Event::Delivered(delivery) => self.waiting.push_back(delivery),
            Event::InboxClosed => self.ending.inbox_is_empty = true,
            Event::Poked => self.fetch(),
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
        self.begin_calls();
        self.is_over().then_some(End::Over)
    }

    fn take_in(&mut self, done: Done) -> Option<End> {
        match done {
            Done::Answer(answer) => {
                self.calls -= 1;
                let Some((json, caller)) = answer else { return Some(End::Revoked) };
                let at = self.streams.0.clock.now();
                self.unread.push_back(Item::Answer { event: event::message(&json), caller, at });
            }
            Done::Fetched(fetched) => {
                self.is_fetching = false;
                return self.take_letters(fetched);
            }
            Done::Rechecked(alive) => {
                self.is_rechecking = false;
                match alive {
                    Ok(true) => {}
                    Ok(false) => return Some(End::Revoked),
                    Err(fault) => {
                        fault.log();
                        let now = self.streams.0.clock.now();
                        if now - self.pass.proved_at() > UNPROVED {
                            return Some(End::Unproved);
                        }
                    }
                }
            }
        }
        None
    }

    fn take_letters(&mut self, fetched: Result<Fetched, Fault>) -> Option<End> {
        match fetched {
            Ok(Fetched::Letters { deliveries, last }) => {
                self.ending.nothing_waits = last;
                if !deliveries.is_empty() && !last {
                    self.session.poke.notify_one();
                }
                self.waiting.extend(deliveries);
            }
            Ok(Fetched::Dead) => return Some(End::Revoked),
            Ok(Fetched::Lost) => return Some(End::Broken),
            Err(fault) => {
                fault.log();
                // The postman pokes again; at the end there is nobody left to wait for it.
                self.ending.nothing_waits = self.ending.begun;
            }
        }
        None
    }

    fn begin_calls(&mut self) {
        while self.calls < MOST_CALLS
            && self.unread.len() < MOST_UNREAD
            && let Some(delivery) = self.waiting.pop_front()
        {
            self.calls += 1;
            let streams = self.streams.clone();
            self.work.spawn(async move {
                let json = answer::answer(&streams.0.dispatcher, &streams.0.calls, &delivery).await;
                Done::Answer(json.map(|json| (json, delivery.asker.caller)))
            });
        }
    }

    fn fetch(&mut self) {
        self.is_fetching = true;
        let (streams, scope, name) = (self.streams.clone(), self.scope, self.name);
        let is_last = self.ending.begun;
        self.work.spawn(async move {
            let fetched = if is_last {
                mail::fetch_last(&streams, scope, &name).await
            } else {
                mail::fetch(&streams, scope, &name).await
            };
            Done::Fetched(fetched)
        });
    }

    /// Whether its time is over; if not, whether its token lives.
    fn look_at_the_time(&mut self) {
        let now = self.streams.0.clock.now();
        if now >= self.ends_at {
            self.begin_to_end();
        }
        if !self.is_rechecking {
            self.is_rechecking = true;
            let pass = Arc::clone(&self.pass);
            self.work.spawn(async move { Done::Rechecked(pass.renew().await) });
        }
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
        begun
            && inbox_is_empty
            && nothing_waits
            && self.calls == 0
            && self.waiting.is_empty()
            && self.unread.is_empty()
    }
}
