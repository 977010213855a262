//! How much is let in, and how long it may take.

use std::{sync::Arc, time::Duration};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::config::Network;

/// The most connections, whatever the process may open: each may cost some ten KiB.
const MOST: usize = 20_000;

/// Bounds of a [`Server`](super::Server).
#[derive(Clone, Debug)]
pub struct Settings {
    /// Connections at once.
    pub total: usize,
    /// Those of one address, or of one IPv6 /64.
    pub per_address: usize,
    /// Proxies, which bring everybody's: they count in `total` alone.
    pub trusted: Arc<[Network]>,
    /// How long things may take.
    pub deadlines: Deadlines,
}

impl Settings {
    /// As many connections as this process can hold and still open files: four fifths of the
    /// descriptors that it may have (spec row Q-07), for which it asks for as many as it can get.
    #[must_use]
    pub fn for_this_process(per_address: usize, trusted: Arc<[Network]>) -> Self {
        let total = usize::try_from(descriptors() / 5 * 4).unwrap_or(MOST).min(MOST);
        Self { total, per_address, trusted, deadlines: Deadlines::default() }
    }
}

/// How many descriptors this process may have open.
fn descriptors() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 256 };
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    }
}

/// How long things may take: spec rows Q-01 and FX-24.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// A request's headers: from the beginning of the connection, silence included, or from the
    /// first byte of a later request.
    pub head: Duration,
    /// Nothing, between requests.
    pub idle: Duration,
    /// How far a body may fall behind 1 KiB/s.
    pub behind: Duration,
    /// A whole body, unless it says that it is a large one.
    pub body: Duration,
    /// A peer that does not take what is sent, be it ours to send still or the kernel's.
    pub stall: Duration,
    /// From not being ready to taking no new connections.
    pub grace: Duration,
    /// From there to the end of whatever still runs.
    pub drain: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            head: seconds(5),
            idle: seconds(75),
            behind: seconds(5),
            body: seconds(30),
            stall: seconds(30),
            grace: seconds(2),
            drain: seconds(25),
        }
    }
}
