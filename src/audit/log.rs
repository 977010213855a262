//! Group commit: concurrent tool calls share one durable insert.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::{Event, store};
use crate::{
    db::{Db, Steady},
    fault::Fault,
};

/// The most events that wait; beyond it calls are refused rather than answered unrecorded.
const QUEUE: usize = 4096;
/// The most events in one commit.
const BATCH: usize = 256;
/// How long a call waits until its event is durable, and the writer for its commit.
const PATIENCE: Duration = Duration::from_secs(5);

/// The audit log of tool calls.
///
/// One task writes; while it waits for a commit, the next batch gathers. No call waits for a timer.
#[derive(Clone, Debug)]
pub struct Log {
    queue: mpsc::Sender<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    event: Event,
    done: oneshot::Sender<Result<(), Arc<str>>>,
}

/// The event is not durable, so its call must not be answered.
#[derive(Debug, thiserror::Error)]
#[error("the audit event could not be written: {0}")]
pub struct NotDurable(Arc<str>);

impl Log {
    /// Start the writer. It ends when the last handle is dropped.
    #[must_use]
    pub fn start(db: &Db) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(write(db.steady(), waiting));
        Self { queue }
    }

    /// Make an event durable: when this returns `Ok`, it is committed.
    ///
    /// # Errors
    /// [`NotDurable`] when it is not.
    pub async fn append(&self, event: Event) -> Result<(), NotDurable> {
        let (done, outcome) = oneshot::channel();
        let stopped = || NotDurable("the writer stopped".into());
        let written = async {
            self.queue.send(Waiting { event, done }).await.map_err(|_| stopped())?;
            outcome.await.map_err(|_| stopped())?.map_err(NotDurable)
        };
        // The event may yet be written: then the log has a call that nobody saw answered.
        let in_time = timeout(PATIENCE, written).await;
        in_time.unwrap_or_else(|_| Err(NotDurable("the database did not confirm in time".into())))
    }
}

async fn write(mut connection: Steady, mut queue: mpsc::Receiver<Waiting>) {
    let mut batch = Vec::with_capacity(BATCH);
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        let (events, waiting): (Vec<Event>, Vec<_>) =
            batch.drain(..).map(|one| (one.event, one.done)).unzip();
        #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
        metrics::histogram!("callslip_audit_batch_events").record(events.len() as f64);
        // One event that the database refuses (its tenant was deleted meanwhile) must not take
        // the others with it.
        let together = commit(&mut connection, &events).await;
        for (event, done) in events.iter().zip(waiting) {
            let outcome = match &together {
                Ok(()) => Ok(()),
                Err(fault) if fault.is_unavailable() || events.len() == 1 => Err(fault.chain()),
                Err(_) => commit(&mut connection, std::slice::from_ref(event))
                    .await
                    .map_err(|fault| fault.chain()),
            };
            // Nobody waits any more when the client has hung up; the event stays.
            let _ = done.send(outcome.map_err(Arc::from));
        }
    }
}

/// Write them durably. After a restart of Postgres the connection is a dead one: then again, on a new
/// one, where those that had been written after all are passed over.
async fn commit(connection: &mut Steady, events: &[Event]) -> Result<(), Fault> {
    match insert(connection, events).await {
        Err(fault) if fault.is_lost_connection() => insert(connection, events).await,
        outcome => outcome,
    }
}

async fn insert(connection: &mut Steady, events: &[Event]) -> Result<(), Fault> {
    let writing = connection.run(async |connection| store::append_batch(connection, events).await);
    Ok(timeout(PATIENCE, writing).await??)
}

#[cfg(test)]
mod tests {
    use sqlx::PgPool;
    use time::OffsetDateTime;

    use super::*;
    use crate::{audit::Kind, db::gate::Gate, ids::TenantId};

    /// A database that stalls refuses the call; it does not hold it.
    #[sqlx::test]
    async fn a_stalled_database_is_not_waited_for(pool: PgPool) {
        let gate = Gate::before(&pool);
        let log = Log::start(&gate.stalled_db().await);
        let event = Event::new(Kind::Search, OffsetDateTime::UNIX_EPOCH).tenant(TenantId::new());
        let refused = timeout(2 * PATIENCE, log.append(event)).await.expect("it hangs");
        assert!(refused.is_err());
    }
}
