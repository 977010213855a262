//! Postgres, with the pool kept out of reach.
//!
//! Two kinds of transaction are the only ways to SQL: [`TenantTx`] sees the rows of one tenant,
//! [`ControlTx`] the accounts and OAuth tables and no tenant content. Each becomes its own
//! database role when it begins, so row-level security holds whoever the connection belongs to.
//! [`Steady`] is [`ControlTx`]'s view for a task that asks the same thing again and again.
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

mod class;
pub mod embedded;
#[cfg(test)]
pub(crate) mod gate;
pub mod guard;
mod lent;
mod listen;
mod orphans;
mod steady;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use sqlx::{
    Connection, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use tokio::time::timeout;

pub use class::Class;
pub use listen::Listener;
pub use orphans::Orphans;
pub use steady::{Control, ControlConnection, Steady};

use class::Room;
use lent::Lent;

use crate::{deadline, fault::is_lost_connection, ids::TenantId};

/// A connection that rested for longer is asked whether it still lives before it is used.
const IDLE: Duration = Duration::from_secs(1);
/// How long anybody waits for a connection.
const LENT_WITHIN: Duration = Duration::from_secs(2);

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

/// Postgres, for one kind of work. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Db {
    pool: PgPool,
    room: Arc<Room>,
    class: Class,
}

impl Db {
    /// Connect to the primary, for [`Class::Pages`].
    ///
    /// # Errors
    /// When the address is malformed or nothing answers there within two seconds.
    pub async fn connect(url: &str, max_connections: u32) -> sqlx::Result<Self> {
        let options: PgConnectOptions = url.parse()?;
        let options = session(options.application_name("callslip"));
        let pool = Self::pool_options(max_connections).connect_with(options).await?;
        Ok(Self::on(pool))
    }

    /// Over a pool that somebody else made; tests do. Its connections are new ones.
    #[must_use]
    pub fn over(pool: &PgPool) -> Self {
        Self::of_size(pool, 10)
    }

    /// The same, of so many connections.
    #[must_use]
    pub fn of_size(pool: &PgPool, max_connections: u32) -> Self {
        let options = session((*pool.connect_options()).clone());
        Self::on(Self::pool_options(max_connections).connect_lazy_with(options))
    }

    fn on(pool: PgPool) -> Self {
        let room = Room::of(pool.options().get_max_connections());
        Self { pool, room, class: Class::Pages }
    }

    /// The same database for another kind of work.
    #[must_use]
    pub fn of(&self, class: Class) -> Self {
        Self { class, ..self.clone() }
    }

    fn pool_options(max_connections: u32) -> PgPoolOptions {
        PgPoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(LENT_WITHIN)
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
    }

    /// Begin a transaction that sees one tenant's rows and nothing else.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn tenant(&self, scope: TenantScope) -> sqlx::Result<TenantTx> {
        let tenant = scope.0.uuid();
        let role = format!("app_tenant; set local app.tenant_id = '{tenant}'");
        Ok(TenantTx { tx: self.begin(&role, Some(scope.0)).await?, scope })
    }

    /// The same for what looks at many rows of one tenant: the planner has no second thoughts about
    /// reading them through an index. One plan serves every tenant: made for each question, with 32
    /// partitions to think of, it would take longer than it runs.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn tenant_to_scan(&self, scope: TenantScope) -> sqlx::Result<TenantTx> {
        let tenant = scope.0.uuid();
        let role = format!(
            "app_tenant; set local app.tenant_id = '{tenant}'; set local enable_seqscan = off;
             set local plan_cache_mode = force_generic_plan; set local jit = off"
        );
        Ok(TenantTx { tx: self.begin(&role, Some(scope.0)).await?, scope })
    }

    /// Begin a transaction that sees accounts and OAuth, and no tenant content.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn control(&self) -> sqlx::Result<ControlTx> {
        Ok(ControlTx { tx: self.begin("app_control", None).await? })
    }

    /// The same for what every call runs: its statements look rows up by key, so a plan that serves
    /// all values is as good as one for these, and is made once and not at each call.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn control_by_key(&self) -> sqlx::Result<ControlTx> {
        let role = "app_control; set local plan_cache_mode = force_generic_plan";
        Ok(ControlTx { tx: self.begin(role, None).await? })
    }

    async fn begin(&self, role: &str, tenant: Option<TenantId>) -> sqlx::Result<Lent> {
        let limit = deadline::at_most(self.class.patience());
        let entered = timeout(limit, self.room.enter(self.class, tenant)).await;
        let place = entered.map_err(|_| sqlx::Error::PoolTimedOut)?;
        let place = place.map_err(|_| sqlx::Error::PoolClosed)?;
        let mut place = Some(place);
        let begun = async {
            // After a restart every connection is a dead one, and nothing is lost by trying the next.
            for _ in 0..self.max_connections() {
                let mut lent = Lent::of(&self.pool, place.take()).await?;
                match lent.begin(role, self.class).await {
                    Err(lost) if is_lost_connection(&lost) => place = lent.let_go(),
                    begun => return begun.map(|()| lent),
                }
            }
            Err(sqlx::Error::PoolTimedOut)
        };
        let begun = timeout(deadline::at_most(LENT_WITHIN), begun).await;
        begun.map_err(|_| sqlx::Error::PoolTimedOut)?
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

/// How our sessions are set up.
fn session(options: PgConnectOptions) -> PgConnectOptions {
    let statement_timeout = lent::STATEMENT_TIMEOUT.as_millis().to_string();
    options
        .options([("statement_timeout", statement_timeout.as_str()), ("lock_timeout", "1000")])
        .options([("client_connection_check_interval", lent::LOOKS_EVERY_MS)])
        // A rollback where there is nothing to take back says so each time.
        .options([("client_min_messages", "error")])
}

/// A transaction bound to one tenant. Dropping it rolls back.
#[derive(Debug)]
pub struct TenantTx {
    tx: Lent,
    scope: TenantScope,
}

impl TenantTx {
    /// For store functions.
    pub fn conn(&mut self) -> &mut PgConnection {
        self.tx.connection()
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
    tx: Lent,
}

impl ControlTx {
    /// For store functions.
    pub fn conn(&mut self) -> &mut PgConnection {
        self.tx.connection()
    }

    /// Make it so.
    ///
    /// # Errors
    /// When the database did not confirm the commit.
    pub async fn commit(self) -> sqlx::Result<()> {
        self.tx.commit().await
    }
}
