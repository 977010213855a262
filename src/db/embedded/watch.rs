//! Starting Postgres again when it is killed while it is in use.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::Server;
use super::postmaster::Postmaster;

/// Looking costs reading one small file.
const EVERY: Duration = Duration::from_millis(500);

/// A task that looks after Postgres until it is told to end, or dropped.
pub(super) struct Watch {
    quit: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Watch {
    pub(super) fn over(server: Server) -> Self {
        let (quit, told) = oneshot::channel();
        Self { quit, task: tokio::spawn(look_after(server, told)) }
    }

    /// When this returns, nobody here starts Postgres any more.
    pub(super) async fn end(self) {
        drop(self.quit);
        let _ = self.task.await;
    }
}

async fn look_after(server: Server, mut told: oneshot::Receiver<()>) {
    loop {
        tokio::select! {
            _ = &mut told => return,
            () = sleep(EVERY) => {}
        }
        // Never cut short, lest a process be started that nobody knows of.
        if Postmaster::find(&server.cluster.folder).is_none() {
            tracing::error!("the private Postgres was killed; starting it again");
            if let Err(error) = server.revive().await {
                tracing::error!(%error, "the private Postgres could not be started again");
            }
        }
    }
}
