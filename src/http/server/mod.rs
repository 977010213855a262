//! The way in: takes connections, bounds what each may cost, and lets them end well.
//!
//! 1. [`accept`]: the next connection, also after the process ran out of descriptors;
//! 2. [`admission`]: whether there is room for it, in all and for its address;
//! 3. [`connection`]: HTTP/1.1 or HTTP/2 on it, watched by an alarm;
//! 4. [`pulse`]: what happened on it and when, so when the alarm goes: a connection is cut that
//!    is silent, whose peer does not read, or that keeps us busy with nothing;
//! 5. [`service`]: each request to the router, its body at a pace ([`paced`]), its answer followed
//!    until the peer took it ([`answer`]);
//! 6. on the way out, what runs may finish: see [`Phase`].

mod accept;
mod admission;
mod answer;
mod connection;
mod paced;
mod pulse;
mod service;
mod settings;
mod watched;

use std::{net::SocketAddr, pin::pin, sync::Arc};

use axum::Router;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use super::{Draining, Phase};
use admission::{Admission, Slot};
pub use settings::{Deadlines, Settings};

/// What an address without room hears; its connection ends behind it.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\
    connection: close\r\ncontent-length: 0\r\n\r\n";

/// Serves a router on a listener.
#[derive(Clone, Debug)]
pub struct Server {
    admission: Admission,
    deadlines: Deadlines,
    draining: Draining,
}

/// How to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// Not ready for a while before taking no more, so that nobody finds the door shut.
    WithNotice,
    /// There is nobody to tell.
    AtOnce,
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every request was answered.
    Finished,
    /// Some were still running after the time that they were given.
    CutOff,
}

/// What all connections share.
#[derive(Debug)]
struct Front {
    router: Router,
    http: connection::Http,
    deadlines: Deadlines,
    draining: Draining,
}

impl Server {
    /// With these bounds. `draining` is told of each phase of the way out.
    #[must_use]
    pub fn new(settings: Settings, draining: Draining) -> Self {
        let Settings { total, per_address, trusted, deadlines } = settings;
        Self { admission: Admission::new(total, per_address, trusted), deadlines, draining }
    }

    /// Serve until `stop` resolves; then let running requests finish, for a while.
    pub async fn serve(
        self,
        listener: TcpListener,
        router: Router,
        stop: impl Future<Output = Leave>,
    ) -> Outcome {
        let Self { admission, deadlines, draining } = self;
        let front = Arc::new(Front {
            router,
            http: connection::http(),
            deadlines,
            draining: draining.clone(),
        });
        // Every connection holds a sender: the last one that ends is heard.
        let (running, mut all_ended) = mpsc::channel::<()>(1);
        let take = |(stream, peer): (TcpStream, SocketAddr)| match admission.admit(peer.ip()) {
            Ok(slot) => {
                let (front, running) = (Arc::clone(&front), running.clone());
                tokio::spawn(async move {
                    connection::serve(stream, peer, &front).await;
                    drop::<(Slot, mpsc::Sender<()>)>((slot, running));
                });
            }
            Err(full) => {
                full.count();
                let _ = stream.try_write(BUSY);
            }
        };
        let mut leaving = pin!(async {
            let leave = stop.await;
            draining.advance(Phase::Leaving);
            if leave == Leave::WithNotice {
                tracing::info!("stopping: not ready any more");
                tokio::time::sleep(deadlines.grace).await;
            }
        });
        loop {
            tokio::select! {
                biased;
                () = &mut leaving => break,
                accepted = accept::next(&listener) => take(accepted),
            }
        }
        // Who was let in by the kernel before we looked would find the door shut without a word.
        while let Some(accepted) = accept::waiting(&listener).await {
            take(accepted);
        }
        drop(listener);
        draining.advance(Phase::Closing);
        tracing::info!("stopping: no new requests");
        drop(running);
        match tokio::time::timeout(deadlines.drain, all_ended.recv()).await {
            Ok(_) => Outcome::Finished,
            Err(_) => Outcome::CutOff,
        }
    }
}
