//! A connection that stays with one task, which asks the same thing again and again.
//!
//! Borrowing one from the pool takes four round trips for one statement: begin, the statement, its
//! end, and the pool's own look at what comes back. What every call runs, many calls at once, takes
//! the statement alone: a transaction by itself, begun after it was asked for and over, or durable,
//! when it returns. Not counted among the pool's connections, so that no other work waits for it.

use sqlx::{Connection, PgConnection, PgPool};
use tokio::time::{Instant, timeout};

use super::{ControlTx, Db, IDLE, LENT_WITHIN};
use crate::fault::is_lost_connection;

/// Sees what [`super::ControlTx`] does. Its look-ups go by key, so a plan that serves all values is
/// as good as one for these, and is made once and not at each call.
const ROLE: &str = "set role app_control; set plan_cache_mode = force_generic_plan";

/// One task's own connection; made when it is first needed.
#[derive(Debug)]
pub struct Steady {
    pool: PgPool,
    connection: Option<(ControlConnection, Instant)>,
}

/// A connection on which each statement is a transaction by itself, over accounts and OAuth.
#[derive(Debug)]
pub struct ControlConnection(PgConnection);

/// What sees accounts and OAuth: for store functions that serve both kinds.
pub trait Control {
    /// The connection, in that role.
    fn control(&mut self) -> &mut PgConnection;
}

impl Control for ControlConnection {
    fn control(&mut self) -> &mut PgConnection {
        &mut self.0
    }
}

impl Control for ControlTx {
    fn control(&mut self) -> &mut PgConnection {
        self.conn()
    }
}

impl Db {
    /// A connection for one task that asks again and again. The usual limit of a statement's time
    /// holds, whatever the class.
    #[must_use]
    pub fn steady(&self) -> Steady {
        Steady { pool: self.pool.clone(), connection: None }
    }
}

impl Steady {
    /// Run one statement. When this is dropped before it is over, the connection goes with it.
    ///
    /// # Errors
    /// When the database cannot be reached, or refuses the statement, and after [`Db::close`].
    pub async fn run<T>(
        &mut self,
        statement: impl AsyncFnOnce(&mut ControlConnection) -> sqlx::Result<T>,
    ) -> sqlx::Result<T> {
        if self.pool.is_closed() {
            return Err(sqlx::Error::PoolClosed);
        }
        let mut connection = match self.rested().await {
            Some(connection) => connection,
            None => timeout(LENT_WITHIN, self.connect())
                .await
                .map_err(|_| sqlx::Error::PoolTimedOut)??,
        };
        let outcome = statement(&mut connection).await;
        if !outcome.as_ref().is_err_and(is_lost_connection) {
            self.connection = Some((connection, Instant::now()));
        }
        outcome
    }

    /// The connection there is, if it lives.
    async fn rested(&mut self) -> Option<ControlConnection> {
        let (mut connection, since) = self.connection.take()?;
        if since.elapsed() > IDLE {
            timeout(LENT_WITHIN, connection.0.ping()).await.ok()?.ok()?;
        }
        Some(connection)
    }

    async fn connect(&self) -> sqlx::Result<ControlConnection> {
        let mut connection = PgConnection::connect_with(&self.pool.connect_options()).await?;
        sqlx::raw_sql(ROLE).execute(&mut connection).await?;
        Ok(ControlConnection(connection))
    }
}
