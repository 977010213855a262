//! The server's way out, in steps that whoever is concerned can wait for.

use std::sync::Arc;

use tokio::sync::watch;

/// How far the server is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not at all.
    Serving,
    /// `/readyz` says no, so that whoever distributes requests looks elsewhere. Everything is still
    /// answered, for those who have not looked yet.
    Leaving,
    /// Nothing new is taken: a connection ends behind its answer, and a stream that would go on
    /// for ever says goodbye and ends.
    Closing,
}

/// Tells what phase the server is in. Clones share.
///
/// A stream ends by itself with `draining.reached(Phase::Closing).await` among what it waits for.
#[derive(Clone, Debug)]
pub struct Draining(Arc<watch::Sender<Phase>>);

impl Default for Draining {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Phase::Serving)))
    }
}

impl Draining {
    /// Go on to a phase. There is no way back.
    pub fn advance(&self, to: Phase) {
        self.0.send_if_modified(|phase| {
            let is_later = to > *phase;
            *phase = to.max(*phase);
            is_later
        });
    }

    /// Where we are.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Wait for a phase; at once when it was reached before.
    pub async fn reached(&self, wanted: Phase) {
        let mut phases = self.0.subscribe();
        let _ = phases.wait_for(|phase| *phase >= wanted).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_waits_is_told_and_nobody_goes_back() {
        let draining = Draining::default();
        draining.reached(Phase::Serving).await;
        let waiting = {
            let draining = draining.clone();
            tokio::spawn(async move { draining.reached(Phase::Closing).await })
        };
        draining.advance(Phase::Leaving);
        assert_eq!(draining.phase(), Phase::Leaving);
        draining.advance(Phase::Closing);
        waiting.await.unwrap();
        draining.advance(Phase::Leaving);
        draining.reached(Phase::Closing).await;
        assert_eq!(draining.phase(), Phase::Closing);
    }
}
