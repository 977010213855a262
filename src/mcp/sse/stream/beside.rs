//! What takes time and runs beside the task of a stream: messages are fetched from the database, and
//! its token is looked at.

use std::sync::Arc;

use super::Stream;
use crate::{
    fault::Fault,
    mcp::sse::{
        end::End,
        mail::{self, Fetched},
        session::Posted,
    },
};

/// For how long a stream goes on whose token nobody can tell to be alive.
const UNPROVED: time::Duration = time::Duration::seconds(20);

/// What ran beside the stream.
pub(super) enum Done {
    /// Messages from the database.
    Fetched(Result<Fetched, Fault>),
    Rechecked(Result<bool, Fault>),
}

impl Stream {
    pub(super) fn take_in(&mut self, done: Done) -> Option<End> {
        match done {
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
            Ok(Fetched::Letters { posted, last }) => {
                self.ending.nothing_waits = last;
                if !posted.is_empty() && !last {
                    self.session.poke.notify_one();
                }
                for one in posted {
                    match one {
                        Posted::Request(delivery) => self.calls.add(delivery),
                        Posted::Cancel(_, id) => self.cancel(&id),
                    }
                }
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

    pub(super) fn fetch(&mut self) {
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
    pub(super) fn look_at_the_time(&mut self) {
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
}
