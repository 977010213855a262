//! Postgres, with the pool kept out of reach.
//!
//! Two kinds of transaction are the only ways to SQL: [`TenantTx`] sees the rows of one tenant,
//! [`ControlTx`] the accounts and OAuth tables and no tenant content. Each becomes its own
//! database role when it begins, so row-level security holds whoever the connection belongs to.
//!
//! The wrong kind is a type error:
//! ```compile_fail,E0308
//! # async fn f(db: callslip::db::Db, scope: callslip::db::TenantScope) -> sqlx::Result<()> {
//! fn listing(_: &mut callslip::db::TenantTx) {}
//! let mut tx = db.control().await?;
//! listing(&mut tx);
//! # Ok(()) }
//! ```
//! and the right one compiles:
//! ```
//! # async fn f(db: callslip::db::Db, scope: callslip::db::TenantScope) -> sqlx::Result<()> {
//! fn listing(_: &mut callslip::db::TenantTx) {}
//! let mut tx = db.tenant(scope).await?;
//! listing(&mut tx);
//! # Ok(()) }
//! ```

pub mod embedded;
#[cfg(test)]
pub(crate) mod gate;
pub mod guard;
mod listen;
#[cfg(test)]
mod tests;

use std::{io, time::Duration};

use sqlx::{
    Connection, PgConnection, PgPool, Postgres, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::time::timeout;

use crate::ids::TenantId;
pub use listen::Listener;

/// A connection that rested for longer is asked whether it still lives before it is used.
const IDLE: Duration = Duration::from_secs(1);
/// Longer than `statement_timeout`: what runs when its caller hangs up may end by itself.
const RELEASED_WITHIN: Duration = Duration::from_secs(15);

/// Leave to act inside one tenant.
///
/// A [`TenantId`] can come from anywhere, a URL included. A `TenantScope` cannot: it is handed out
/// only where membership has just been proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TenantScope(TenantId);

impl TenantScope {
    /// For verifiers only: the caller has just proved that somebody may act in this tenant.
    /// `.clippy.toml` disallows it everywhere else.
    #[must_use]
    pub const fn proven(tenant: TenantId) -> Self {
        Self(tenant)
    }

    /// The tenant's name in the database.
    #[must_use]
    pub const fn tenant_id(self) -> TenantId {
        self.0
    }
}

/// The migrations of this build, in order.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

/// Postgres.
#[derive(Clone, Debug)]
pub struct Db {
    pool: PgPool,
}

impl Db {
    /// Connect to the primary.
    ///
    /// # Errors
    /// When the address is malformed or nothing answers there within two seconds.
    pub async fn connect(url: &str, max_connections: u32) -> sqlx::Result<Self> {
        let options: PgConnectOptions = url.parse()?;
        let options = options
            .application_name("callslip")
            .options([("statement_timeout", "10000"), ("lock_timeout", "1000")])
            // The rollback below is one "there is no transaction" each time.
            .options([("client_min_messages", "error")]);
        let pool = Self::pool_options(max_connections).connect_with(options).await?;
        Ok(Self { pool })
    }

    /// Over a pool that somebody else made; tests do.
    ///
    /// The release hook is put on a new pool with the same address.
    #[must_use]
    pub fn over(pool: &PgPool) -> Self {
        let options = (*pool.connect_options()).clone();
        Self { pool: Self::pool_options(10).connect_lazy_with(options) }
    }

    fn pool_options(max_connections: u32) -> PgPoolOptions {
        PgPoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(Duration::from_secs(2))
            // Asked whether it still lives only where nobody has talked to it for a while.
            .test_before_acquire(false)
            .before_acquire(|connection, its| {
                Box::pin(async move {
                    if its.idle_for > IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            // A `begin` that was cancelled in flight leaves its connection inside a transaction;
            // the next borrower's acknowledged write would never be committed (transact-rs/sqlx
            // issue 4393). Outside a transaction this is a warning and nothing else.
            .after_release(|connection, _| {
                Box::pin(async move {
                    let rollback = sqlx::raw_sql("rollback").execute(connection);
                    // A connection that has stalled is closed, lest it keep its place for ever.
                    timeout(RELEASED_WITHIN, rollback).await.map_err(io::Error::from)??;
                    Ok(true)
                })
            })
    }

    /// Begin a transaction that sees one tenant's rows and nothing else.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn tenant(&self, scope: TenantScope) -> sqlx::Result<TenantTx> {
        let mut tx = self.pool.begin().await?;
        sqlx::query!(
            "select set_config('role', 'app_tenant', true) as role,
                    set_config('app.tenant_id', $1, true)  as tenant_id",
            scope.0.to_string(),
        )
        .fetch_one(&mut *tx)
        .await?;
        Ok(TenantTx { tx, scope })
    }

    /// Begin a transaction that sees accounts and OAuth, and no tenant content.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn control(&self) -> sqlx::Result<ControlTx> {
        // In one round trip: this begins every step of every flow. A role that cannot be taken
        // leaves the transaction aborted, in which nothing can be read or written.
        let tx = self.pool.begin_with("begin; set local role app_control").await?;
        Ok(ControlTx { tx })
    }

    /// The same for what every call runs: its statements look rows up by key, so a plan that serves
    /// all values is as good as one for these, and is made once and not at each call.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn control_by_key(&self) -> sqlx::Result<ControlTx> {
        const BEGIN: &str = "begin; set local role app_control; \
                             set local plan_cache_mode = force_generic_plan";
        let tx = self.pool.begin_with(BEGIN).await?;
        Ok(ControlTx { tx })
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> sqlx::Result<()> {
        self.control().await.map(drop)
    }

    /// How many connections are open, and how many of these are idle.
    #[must_use]
    pub fn connections(&self) -> (u32, u32) {
        let open = self.pool.size();
        (open, u32::try_from(self.pool.num_idle()).unwrap_or(open).min(open))
    }

    /// How many connections there are at most.
    #[must_use]
    pub fn max_connections(&self) -> u32 {
        self.pool.options().get_max_connections()
    }

    /// Close every connection, letting what runs finish.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// A transaction bound to one tenant. Dropping it rolls back.
#[derive(Debug)]
pub struct TenantTx {
    tx: Transaction<'static, Postgres>,
    scope: TenantScope,
}

impl TenantTx {
    /// For store functions.
    pub fn conn(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    /// The tenant it is bound to.
    #[must_use]
    pub const fn scope(&self) -> TenantScope {
        self.scope
    }

    /// Make it so.
    ///
    /// # Errors
    /// When the database did not confirm the commit.
    pub async fn commit(self) -> sqlx::Result<()> {
        self.tx.commit().await
    }
}

/// A transaction over accounts and OAuth. Dropping it rolls back.
#[derive(Debug)]
pub struct ControlTx {
    tx: Transaction<'static, Postgres>,
}

impl ControlTx {
    /// For store functions.
    pub fn conn(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    /// Make it so.
    ///
    /// # Errors
    /// When the database did not confirm the commit.
    pub async fn commit(self) -> sqlx::Result<()> {
        self.tx.commit().await
    }
}
