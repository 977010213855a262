//! HTTP+SSE, the transport of MCP 2024-11-05, which old clients speak at `/sse/`.
//!
//! 1. [`handlers::open`]: `GET` opens a stream, on which the first event names the URL to post to;
//! 2. [`handlers::post`]: each message is posted there, with a token like every other request, and
//!    answered 202;
//! 3. [`stream`]: one task for each stream runs what was posted ([`calls`]), unless it is taken back
//!    meanwhile, and puts the answers on the stream;
//! 4. [`outlet`]: from which they leave, if the stream's token still lives.
//!
//! **Which node runs a call.** The one that holds the stream, wherever the message was posted: what
//! travels is the question and not a tenant's documents, a call ends with its stream, and the audit
//! and the check of the token stand right before the answer leaves. A message that was posted to
//! another node waits in the database ([`letter`], [`store`]), whose `notify` wakes the node that
//! holds the stream ([`postman`]); that node also looks for itself now and then, so a notification
//! that got lost, or a pooler that has none, costs seconds and nothing else.
//!
//! **What a session is.** A name: 256 random bits, of which the hash is kept. It opens nothing by
//! itself. A message counts only from the tenant, grant, user and client that opened the stream,
//! for all others the session is not there.
//!
//! **How a stream ends.** When its time is over or the server leaves, what was accepted is answered
//! first. When its token dies, at once. The client opens another one; no event has an id, and
//! nothing is resumed.

mod answer;
mod calls;
mod end;
pub(super) mod event;
pub(super) mod handlers;
mod letter;
mod mail;
pub(super) mod outlet;
mod postman;
mod refusal;
mod session;
mod store;
mod stream;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::body::Body;
use tokio::sync::{OnceCell, Semaphore, watch};
use uuid::Uuid;

use super::{caller::Caller, dispatch::Dispatcher};
use crate::{
    clock::Clock,
    db::{Db, TenantScope},
    fault::Fault,
    http::{Draining, Phase},
    limits::Calls,
    oauth::liveness::Liveness,
    secret::{Kind, Plaintext, SecretHash, seal::MasterKey},
};
pub(super) use answer::REVISION;
pub(super) use refusal::method as refuse_method;
use session::{Posted, Principal, Session};
use store::Caps;

/// How long what takes, and how many streams there may be.
#[derive(Clone, Copy, Debug)]
pub struct StreamRules {
    /// Between two comments on a stream that has nothing to say.
    pub keep_alive: Duration,
    /// Between two looks at whether a stream's token lives.
    pub recheck: Duration,
    /// How long a stream lasts, give or take a fifth.
    pub lifetime: Duration,
    /// How long a client may leave unread what is there for it.
    pub patience: Duration,
    /// Between two looks for messages that nobody told us of.
    pub look: Duration,
    /// Streams of one grant, on all nodes together.
    pub per_grant: u16,
    /// Streams of one tenant, on all nodes together.
    pub per_tenant: u16,
    /// Streams on this node.
    pub per_node: u16,
}

impl Default for StreamRules {
    /// Spec row Q-06.
    fn default() -> Self {
        Self {
            keep_alive: Duration::from_secs(15),
            recheck: Duration::from_secs(2),
            lifetime: Duration::from_secs(15 * 60),
            patience: Duration::from_secs(30),
            look: Duration::from_secs(5),
            per_grant: 5,
            per_tenant: 100,
            per_node: 1000,
        }
    }
}

/// What streams are made of.
pub(super) struct Parts {
    pub(super) db: Db,
    pub(super) clock: Clock,
    pub(super) master_key: MasterKey,
    pub(super) liveness: Liveness,
    pub(super) dispatcher: Dispatcher,
    pub(super) calls: Calls,
    pub(super) draining: Draining,
    pub(super) rules: StreamRules,
}

/// The streams that this node holds, and the way to those of other nodes. Clones share.
#[derive(Clone, Debug)]
pub(super) struct Streams(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Another one each time the program starts.
    node: Uuid,
    db: Db,
    clock: Clock,
    master_key: MasterKey,
    liveness: Liveness,
    dispatcher: Dispatcher,
    calls: Calls,
    draining: Draining,
    rules: StreamRules,
    room: Arc<Semaphore>,
    open: Mutex<HashMap<Vec<u8>, Arc<Session>>>,
    /// There from the first stream on. When it is dropped, the postman goes home.
    postman: OnceCell<watch::Sender<()>>,
}

/// What came of wanting a stream.
enum Opening {
    Opened(Body),
    /// There are as many as there may be.
    Full(Full),
    /// The server is on its way out.
    Leaving,
}

/// Of whom there are enough streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    Grant,
    Tenant,
    Node,
}

/// What came of posting a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Posting {
    Accepted,
    /// There is no such session, or not for this caller.
    Unknown,
    /// Too many messages wait for their turn.
    Full,
}

impl Streams {
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { db, clock, master_key, liveness, dispatcher, calls, draining, rules } = parts;
        Self(Arc::new(Inner {
            node: Uuid::now_v7(),
            room: Arc::new(Semaphore::new(rules.per_node.into())),
            open: Mutex::default(),
            postman: OnceCell::new(),
            db,
            clock,
            master_key,
            liveness,
            dispatcher,
            calls,
            draining,
            rules,
        }))
    }

    /// Open a stream on which messages are posted to `messages`.
    async fn open(&self, caller: Caller, messages: &str) -> Result<Opening, Fault> {
        let inner = &self.0;
        if inner.draining.phase() >= Phase::Closing {
            return Ok(Opening::Leaving);
        }
        let Ok(room) = Arc::clone(&inner.room).try_acquire_owned() else {
            return Ok(Opening::Full(Full::Node));
        };
        inner.postman.get_or_try_init(|| postman::start(inner)).await?;
        let name = Plaintext::generate(Kind::Stream);
        let principal = Principal::of(&caller);
        if let Some(full) = inner.note(&name.hash(), &principal).await? {
            return Ok(Opening::Full(full));
        }
        let first = event::endpoint(&format!("{messages}?session_id={}", name.expose()));
        Ok(Opening::Opened(stream::start(self, caller, name.hash(), room, first)))
    }

    /// Hand a message to the stream that it is for, whoever holds it. `None` for one that has no
    /// effect.
    async fn post(
        &self,
        session: &SecretHash,
        caller: &Caller,
        posted: Option<(Posted, &[u8])>,
    ) -> Result<Posting, Fault> {
        let principal = Principal::of(caller);
        if let Some(here) = self.0.session(session) {
            return Ok(match posted {
                _ if here.principal != principal => Posting::Unknown,
                None => Posting::Accepted,
                Some((posted, _)) => here.hand_over(posted),
            });
        }
        let letter = posted.map(|(posted, message)| {
            letter::seal(&self.0.master_key, session, posted.asker(), message)
        });
        self.0.forward(session, caller.scope(), &principal, letter).await
    }
}

impl Inner {
    fn session(&self, session: &SecretHash) -> Option<Arc<Session>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(session.as_bytes()).cloned()
    }

    fn add(&self, session: &SecretHash, entry: Arc<Session>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert(session.as_bytes().to_vec(), entry);
    }

    fn remove(&self, session: &SecretHash) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(session.as_bytes());
    }

    fn held(&self) -> Vec<Vec<u8>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.keys().cloned().collect()
    }

    /// Note the stream for everybody to see, if grant and tenant may have one more.
    async fn note(
        &self,
        session: &SecretHash,
        principal: &Principal,
    ) -> Result<Option<Full>, Fault> {
        let caps =
            Caps { of_grant: self.rules.per_grant.into(), of_tenant: self.rules.per_tenant.into() };
        let at = self.clock.now();
        let mut tx = self.db.control().await?;
        store::hold(&mut tx, principal).await?;
        let new = store::New { node: self.node, session, principal, at };
        let open = store::open(&mut tx, &new, caps).await?;
        tx.commit().await?;
        Ok(match open {
            open if open.is_within(caps) => None,
            open if open.of_grant >= caps.of_grant => Some(Full::Grant),
            _ => Some(Full::Tenant),
        })
    }

    /// Leave a message for the node that holds the stream; without one, see whether there is one.
    async fn forward(
        &self,
        session: &SecretHash,
        scope: TenantScope,
        principal: &Principal,
        letter: Option<Vec<u8>>,
    ) -> Result<Posting, Fault> {
        let mut tx = self.db.tenant(scope).await?;
        let Some(held) = store::find(&mut tx, session, principal).await? else {
            return Ok(Posting::Unknown);
        };
        let Some(letter) = letter else { return Ok(Posting::Accepted) };
        if held.waiting >= calls::MOST_WAITING.try_into()? {
            return Ok(Posting::Full);
        }
        store::post(&mut tx, session, &letter, &postman::channel(held.node)).await?;
        tx.commit().await?;
        Ok(Posting::Accepted)
    }
}

/// Forget the streams of nodes that are gone. For a periodic task.
///
/// # Errors
/// When the database fails.
pub async fn sweep(db: &Db) -> Result<(), Fault> {
    let mut tx = db.control().await?;
    store::sweep(&mut tx).await?;
    Ok(tx.commit().await?)
}
