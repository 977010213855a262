//! One task a node, from its first stream on: says that the node is there, and wakes streams for
//! which something was posted elsewhere.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, sleep},
};
use uuid::Uuid;

use super::{Inner, store};
use crate::{db::Listener, fault::Fault, secret::SecretHash};

/// How often a node says that it is there: a quarter of the time after which it counts as gone.
const BEAT: Duration = Duration::from_secs(15);
/// A stream that is younger may be open and not yet among those that are held.
const OPENING: time::Duration = time::Duration::seconds(60);
/// Between two attempts to listen again.
const PAUSE: Duration = Duration::from_secs(1);

/// Where a node is told that something waits for it.
pub(super) fn channel(node: Uuid) -> String {
    format!("callslip_sse_{}", node.simple())
}

/// Say that the node is there, and begin to listen. The task ends when what is returned is dropped.
pub(super) async fn start(inner: &Arc<Inner>) -> Result<watch::Sender<()>, Fault> {
    beat(inner).await?;
    let listener = inner.db.listen(&channel(inner.node)).await?;
    let (here, gone) = watch::channel(());
    tokio::spawn(work(Arc::downgrade(inner), inner.rules.look, listener, gone));
    Ok(here)
}

async fn work(
    inner: Weak<Inner>,
    look: Duration,
    mut listener: Option<Listener>,
    mut gone: watch::Receiver<()>,
) {
    let mut beats = interval(BEAT);
    let mut looks = interval(look);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let heard = tokio::select! {
            _ = gone.changed() => return,
            _ = beats.tick() => Heard::Beat,
            _ = looks.tick() => Heard::Perhaps,
            heard = hear(&mut listener) => heard,
        };
        let Some(inner) = inner.upgrade() else { return };
        let done = match heard {
            Heard::Beat => beat(&inner).await,
            Heard::Perhaps => wake_waited_for(&inner).await,
            Heard::One(session) => {
                wake(&inner, &session);
                Ok(())
            }
        };
        if let Err(fault) = done {
            fault.log();
        }
    }
}

enum Heard {
    Beat,
    /// Something was posted to this session.
    One(Vec<u8>),
    /// Something may have been.
    Perhaps,
}

async fn hear(listener: &mut Option<Listener>) -> Heard {
    let Some(listener) = listener else { return std::future::pending().await };
    match listener.next().await {
        Ok(Some(session)) => unhex(&session).map_or(Heard::Perhaps, Heard::One),
        Ok(None) => Heard::Perhaps,
        // It connects again by itself.
        Err(_) => {
            sleep(PAUSE).await;
            Heard::Perhaps
        }
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks_exact(2);
    digits.map(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok()).collect()
}

async fn beat(inner: &Inner) -> Result<(), Fault> {
    let opened_before = inner.clock.now() - OPENING;
    let mut tx = inner.db.control().await?;
    store::beat(&mut tx, inner.node).await?;
    store::keep_only(&mut tx, inner.node, &inner.held(), opened_before).await?;
    store::sweep(&mut tx).await?;
    Ok(tx.commit().await?)
}

async fn wake_waited_for(inner: &Inner) -> Result<(), Fault> {
    if inner.held().is_empty() {
        return Ok(());
    }
    let mut tx = inner.db.control().await?;
    for session in store::waited_for(&mut tx, inner.node).await? {
        wake(inner, &session);
    }
    Ok(())
}

fn wake(inner: &Inner, session: &[u8]) {
    let session = SecretHash::from_stored(session).and_then(|session| inner.session(&session));
    if let Some(session) = session {
        session.poke.notify_one();
    }
}
