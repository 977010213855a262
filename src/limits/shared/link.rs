//! The one connection, and the breaker around it: a Valkey that does not answer in time is not asked
//! again until it has answered a probe.

use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock, Weak,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, FromRedisValue, Pipeline, ScriptInvocation,
    aio::MultiplexedConnection,
};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use uuid::Uuid;

use super::{Settings, in_the_background, micros, script::Scripts};

/// How long a connection and a probe may take. Nobody waits for them.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a node says that it lives, and how often it looks for a Valkey that is lost.
const HEARTBEAT: Duration = Duration::from_secs(2);
const RETRY: Duration = Duration::from_millis(250);
/// After so much silence a node is gone.
const SILENCE: Duration = Duration::from_secs(15);
const NODES: &str = "callslip:nodes";

pub(super) struct Link {
    client: Client,
    budget: Duration,
    id: Uuid,
    /// At least so many nodes …
    least: u32,
    /// … and as many as were counted last.
    counted: AtomicU32,
    live: RwLock<Option<Live>>,
    found: Notify,
    lost: Notify,
}

#[derive(Clone)]
struct Live {
    connection: MultiplexedConnection,
    /// Tells connections apart: who lost one must not end its successor.
    generation: Uuid,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("is_up", &self.is_up()).finish_non_exhaustive()
    }
}

impl Link {
    pub(super) fn start(settings: &Settings) -> Result<Arc<Self>, redis::RedisError> {
        let link = Arc::new(Self {
            client: Client::open(settings.url.expose())?,
            budget: settings.budget,
            id: Uuid::new_v4(),
            least: settings.nodes.max(1),
            counted: AtomicU32::new(1),
            live: RwLock::default(),
            found: Notify::new(),
            lost: Notify::new(),
        });
        tokio::spawn(keep(Arc::downgrade(&link)));
        Ok(link)
    }

    pub(super) fn nodes(&self) -> u32 {
        self.counted.load(Ordering::Relaxed).max(self.least)
    }

    pub(super) fn is_up(&self) -> bool {
        self.live().is_some()
    }

    pub(super) async fn ready(&self) {
        let mut found = std::pin::pin!(self.found.notified());
        found.as_mut().enable();
        if !self.is_up() {
            found.await;
        }
    }

    fn live(&self) -> Option<Live> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Run a script; `None` when it cannot be had in time.
    pub(super) async fn ask<T: FromRedisValue>(&self, call: &ScriptInvocation<'_>) -> Option<T> {
        let mut live = self.live()?;
        match timeout(self.budget, call.invoke_async(&mut live.connection)).await {
            Ok(Ok(answer)) => Some(answer),
            Ok(Err(error)) => {
                self.lose(live.generation, &error);
                None
            }
            Err(_) => {
                self.lose(live.generation, &"no answer in time");
                None
            }
        }
    }

    /// Send what needs no answer.
    pub(super) fn send(self: &Arc<Self>, pipe: Pipeline) {
        let Some(mut live) = self.live() else { return };
        let link = Arc::clone(self);
        in_the_background(async move {
            let sent = timeout(PATIENCE, pipe.exec_async(&mut live.connection)).await;
            if !matches!(sent, Ok(Ok(()))) {
                link.lose(live.generation, &"no answer in time");
            }
        });
    }

    fn lose(&self, generation: Uuid, why: &dyn fmt::Display) {
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        if live.as_ref().is_some_and(|live| live.generation == generation) {
            *live = None;
            drop(live);
            metrics::gauge!("callslip_shared_limits_up").set(0.0);
            let nodes = self.nodes();
            tracing::warn!(%why, nodes, "Valkey is lost: this node counts alone, to its share");
            self.lost.notify_one();
        }
    }

    fn find(&self, connection: MultiplexedConnection) {
        let live = Live { connection, generation: Uuid::new_v4() };
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = Some(live);
        metrics::gauge!("callslip_shared_limits_up").set(1.0);
        tracing::info!(nodes = self.nodes(), "limits are shared through Valkey");
        self.found.notify_waiters();
    }

    async fn connect(&self) -> Result<MultiplexedConnection, redis::RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let mut connection =
            self.client.get_multiplexed_async_connection_with_config(&config).await?;
        // The first call of each shall not have to load it.
        for script in Scripts::get().all() {
            script.load_async(&mut connection).await?;
        }
        self.beat(&mut connection).await?;
        Ok(connection)
    }

    async fn beat(&self, connection: &mut MultiplexedConnection) -> Result<(), redis::RedisError> {
        let mut call = Scripts::get().heartbeat.prepare_invoke();
        call.key(NODES).arg(self.id.to_string()).arg(micros(SILENCE));
        let nodes: u32 = call.invoke_async(connection).await?;
        self.counted.store(nodes.max(1), Ordering::Relaxed);
        Ok(())
    }
}

/// Connect, and look after the connection, as long as anybody counts.
async fn keep(link: Weak<Link>) {
    let mut complained = false;
    while let Some(link) = link.upgrade() {
        let Some(mut live) = link.live() else {
            match timeout(2 * PATIENCE, link.connect()).await {
                Ok(Ok(connection)) => {
                    complained = false;
                    link.find(connection);
                    continue;
                }
                Ok(Err(error)) if !complained => {
                    tracing::warn!(%error, "Valkey cannot be reached");
                    complained = true;
                }
                Ok(Err(_)) | Err(_) => {}
            }
            drop(link);
            sleep(RETRY).await;
            continue;
        };
        match timeout(PATIENCE, link.beat(&mut live.connection)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => link.lose(live.generation, &error),
            Err(_) => link.lose(live.generation, &"no heartbeat in time"),
        }
        drop(live);
        let _ = timeout(HEARTBEAT, link.lost.notified()).await;
    }
}
