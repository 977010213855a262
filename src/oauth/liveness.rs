//! Is what stands behind a token still alive? Asked of the primary on every call.
//!
//! A signature proves that a token was good when it was issued. This proves that grant, client,
//! user, membership and tenant still are, so a revoked token is accepted zero times after the
//! revocation was answered. Nothing here is cached; checks that wait at the same moment share one
//! statement, which began after each of them was asked.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};
use uuid::Uuid;

use super::{
    access_token::Claims,
    store_grants,
    store_liveness::{self, Answers},
};
use crate::{
    clock::Clock,
    db::{Class, Db, Steady},
    fault::Fault,
    ids::{GrantId, TenantId, UserId, VectorStoreId},
    limits::TenantLimits,
};

/// The most checks that wait; beyond it calls fail rather than pile up.
const QUEUE: usize = 4096;
/// The most checks in one statement.
const BATCH: usize = 256;
/// How many statements run at once, where one takes longer than [`SOON`].
const WORKERS: usize = 2;
/// While a statement is on the wire, the next one's checks gather, for so long: the more of them
/// share it, the less each costs.
const SOON: Duration = Duration::from_millis(5);
/// How long a call waits for its answer, and a worker for its statement.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a live grant allows now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alive {
    /// The vector stores that the user ticked and that still exist.
    pub vector_stores: Vec<VectorStoreId>,
    /// The tenant's name in URLs.
    pub tenant_slug: String,
    /// The user's name for people, which may change and be shared; none for a service client.
    pub user_name: Option<String>,
    /// Whether the tenant wants questions kept.
    pub keeps_questions: bool,
    /// Whether the client named the resource, or left it to us.
    pub resource_was_sent: bool,
    /// What limits the tenant has of its own.
    pub limits: TenantLimits,
}

/// What is asked about one token.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) tenant: TenantId,
    pub(super) grant: GrantId,
    /// None: a service client in its own name.
    pub(super) user: Option<UserId>,
    pub(super) client_id: String,
    pub(super) jti: Uuid,
    /// The key that signed it; none where no access token is shown.
    pub(super) kid: Option<String>,
}

/// Asks, in batches.
#[derive(Clone, Debug)]
pub struct Liveness {
    queue: mpsc::Sender<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    question: Question,
    answer: oneshot::Sender<Result<Option<Alive>, Outage>>,
}

/// The database did not answer. Shared by everybody who waited for the same statement.
#[derive(Clone, Debug)]
struct Outage {
    unavailable: bool,
    cause: Arc<str>,
}

impl From<Outage> for Fault {
    fn from(outage: Outage) -> Self {
        if outage.unavailable {
            // Keeps `Fault::is_unavailable` true, so that the caller is told to try again.
            return Self::from(sqlx::Error::Io(std::io::Error::other(outage.cause.to_string())));
        }
        Self::new(outage.cause.to_string())
    }
}

impl Liveness {
    /// Start the workers. They end when the last handle is dropped.
    #[must_use]
    pub fn start(db: &Db, clock: &Clock) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let waiting = Arc::new(tokio::sync::Mutex::new(waiting));
        let touching = Arc::new(Semaphore::new(1));
        for _ in 0..WORKERS {
            let (waiting, touching) = (Arc::clone(&waiting), Arc::clone(&touching));
            tokio::spawn(work(db.of(Class::Check), clock.clone(), waiting, touching));
        }
        Self { queue }
    }

    /// What the token may do now; `None` when anything behind it is gone.
    ///
    /// # Errors
    /// When the database does not say: the caller must refuse.
    pub async fn check(&self, claims: &Claims) -> Result<Option<Alive>, Fault> {
        let question = Question {
            tenant: claims.tenant,
            grant: claims.grant,
            user: claims.user(),
            client_id: claims.client_id.clone(),
            jti: claims.jti,
            kid: Some(claims.kid.clone()),
        };
        self.ask(question).await
    }

    /// The same of a token that is not an access token.
    pub(super) async fn ask(&self, question: Question) -> Result<Option<Alive>, Fault> {
        let (answer, outcome) = oneshot::channel();
        // A database that stalls must not keep the callers, who would only try again meanwhile.
        let asked = async {
            self.queue.send(Waiting { question, answer }).await?;
            Ok(outcome.await??)
        };
        timeout(PATIENCE, asked).await?
    }
}

async fn work(
    db: Db,
    clock: Clock,
    queue: Arc<tokio::sync::Mutex<mpsc::Receiver<Waiting>>>,
    touching: Arc<Semaphore>,
) {
    let mut batch = Vec::with_capacity(BATCH);
    let mut connection = db.steady();
    loop {
        let mut turn = queue.lock().await;
        if turn.recv_many(&mut batch, BATCH).await == 0 {
            return;
        }
        // Whoever hung up needs no answer.
        batch.retain(|waiting| !waiting.answer.is_closed());
        if batch.is_empty() {
            continue;
        }
        let questions: Vec<Question> = batch.iter().map(|one| one.question.clone()).collect();
        let mut asked = pin!(ask_twice(&mut connection, &clock, &questions));
        let answers = match timeout(SOON, &mut asked).await {
            Ok(answers) => answers,
            Err(_) => {
                drop(turn);
                asked.await
            }
        };
        let answers = answers.map_err(|fault| Outage {
            unavailable: fault.is_unavailable(),
            cause: fault.chain().into(),
        });
        let mut stale = Vec::new();
        match answers {
            Ok(answers) => {
                stale = answers.stale;
                for (waiting, alive) in batch.drain(..).zip(answers.alive) {
                    let _ = waiting.answer.send(Ok(alive));
                }
            }
            Err(outage) => {
                for waiting in batch.drain(..) {
                    let _ = waiting.answer.send(Err(outage.clone()));
                }
            }
        }
        // Nobody waits for this one: "last used" is for people to look at, and another call will
        // say it again.
        if !stale.is_empty()
            && let Ok(turn) = Arc::clone(&touching).try_acquire_owned()
        {
            let (db, clock) = (db.clone(), clock.clone());
            tokio::spawn(async move {
                if let Err(fault) = touch(&db, &clock, &stale).await {
                    fault.log();
                }
                drop(turn);
            });
        }
    }
}

async fn touch(db: &Db, clock: &Clock, grants: &[Uuid]) -> Result<(), Fault> {
    let touching = async {
        let mut tx = db.control().await?;
        store_grants::touch(&mut tx, grants, clock.now()).await?;
        tx.commit().await
    };
    Ok(timeout(PATIENCE, touching).await??)
}

/// Ask, and once more where the connection turns out to be a dead one.
async fn ask_twice(
    connection: &mut Steady,
    clock: &Clock,
    questions: &[Question],
) -> Result<Answers, Fault> {
    match ask(connection, clock, questions).await {
        Err(fault) if fault.is_lost_connection() => ask(connection, clock, questions).await,
        answers => answers,
    }
}

async fn ask(
    connection: &mut Steady,
    clock: &Clock,
    questions: &[Question],
) -> Result<Answers, Fault> {
    let now = clock.now();
    let reading =
        connection.run(async |connection| store_liveness::read(connection, questions, now).await);
    Ok(timeout(PATIENCE, reading).await??)
}

#[cfg(test)]
mod tests {
    use sqlx::PgPool;

    use super::*;
    use crate::{db::gate::Gate, oauth::scope::Scope};

    /// A database that stalls is an outage, of which the caller is told; it does not hold the call.
    #[sqlx::test]
    async fn a_stalled_database_is_not_waited_for(pool: PgPool) {
        let gate = Gate::before(&pool);
        let liveness = Liveness::start(&gate.stalled_db().await, &Clock::system());
        let claims = Claims {
            iss: String::new(),
            aud: String::new(),
            sub: UserId::new().to_string(),
            client_id: "app".to_owned(),
            tenant: TenantId::new(),
            grant: GrantId::new(),
            scope: Scope::default(),
            jti: Uuid::now_v7(),
            iat: 0,
            exp: 0,
            cnf: None,
            kid: "key".to_owned(),
        };
        let fault = timeout(2 * PATIENCE, liveness.check(&claims)).await.expect("it hangs");
        assert!(fault.unwrap_err().is_unavailable());
    }
}
