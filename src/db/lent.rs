//! A connection inside a transaction, and what becomes of it when nobody waits any more.
//!
//! A future that is dropped leaves its statement running in Postgres, and a `begin` or `commit` that
//! is dropped leaves its connection somewhere inside a transaction; the next borrower's acknowledged
//! write would never be committed (transact-rs/sqlx issue 4393). So no connection goes back before
//! Postgres has confirmed that its transaction is over. Where that takes longer than a moment, a
//! statement is still at work for somebody who has gone: the connection is closed, and Postgres,
//! which looks for its client every now and then (`client_connection_check_interval`), ends it.

use std::time::Duration;

use sqlx::{PgConnection, PgPool, Postgres, pool::PoolConnection};
use tokio::{runtime::Handle, time::timeout};

use super::class::{Class, Place};
use crate::deadline;

/// How long a transaction that is given up may take to be over.
const OVER_WITHIN: Duration = Duration::from_millis(400);
/// What a session has unless its transaction says otherwise.
pub(super) const STATEMENT_TIMEOUT: Duration = Class::Check.statement_limit();
/// How often Postgres looks whether its client is still there, in milliseconds: with the time above,
/// what nobody waits for has ended within a second (spec row H-10).
pub(super) const LOOKS_EVERY_MS: &str = "250";

/// A connection on which a transaction has begun, or is about to.
#[derive(Debug)]
pub(super) struct Lent {
    /// There until it is given back.
    connection: Option<PoolConnection<Postgres>>,
    place: Option<Place>,
    is_over: bool,
}

impl Lent {
    /// A connection of this pool.
    pub(super) async fn of(pool: &PgPool, place: Option<Place>) -> sqlx::Result<Self> {
        let connection = Some(pool.acquire().await?);
        Ok(Self { connection, place, is_over: false })
    }

    /// Drop a connection that is dead.
    pub(super) fn let_go(mut self) -> Option<Place> {
        drop(self.connection.take().map(PoolConnection::detach));
        self.place.take()
    }

    /// Begin as this role. No statement will run for longer than its class may, or than anybody
    /// waits.
    pub(super) async fn begin(&mut self, role: &str, class: Class) -> sqlx::Result<()> {
        let mut begin = format!("begin; set local role {role}");
        let limit = deadline::at_most(class.statement_limit());
        if limit != STATEMENT_TIMEOUT {
            let limit = limit.as_millis().max(1);
            begin.push_str(&format!("; set local statement_timeout = {limit}"));
        }
        // In one round trip. A role that cannot be taken leaves the transaction aborted, in which
        // nothing can be read or written.
        sqlx::raw_sql(sqlx::AssertSqlSafe(begin)).execute(self.connection()).await?;
        Ok(())
    }

    pub(super) fn connection(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect("it is there until this is dropped")
    }

    pub(super) async fn commit(mut self) -> sqlx::Result<()> {
        sqlx::raw_sql("commit").execute(self.connection()).await?;
        self.is_over = true;
        Ok(())
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let place = self.place.take();
        match Handle::try_current() {
            // The class has its room again when the pool has its connection, and not before:
            // otherwise whoever asks and hangs up, over and over, would have them all.
            Ok(runtime) => drop(runtime.spawn(give_back(connection, self.is_over, place))),
            Err(_) => drop(connection.detach()),
        }
    }
}

async fn give_back(mut connection: PoolConnection<Postgres>, is_over: bool, _place: Option<Place>) {
    if !is_over {
        let rollback = sqlx::raw_sql("rollback").execute(&mut *connection);
        if !matches!(timeout(OVER_WITHIN, rollback).await, Ok(Ok(_))) {
            metrics::counter!("callslip_database_connections_given_up_total").increment(1);
            drop(connection.detach());
            return;
        }
    }
    // The pool asks once more whether it answers. One that has stalled must not keep its place.
    let _ = timeout(super::LENT_WITHIN, connection.return_to_pool()).await;
}
