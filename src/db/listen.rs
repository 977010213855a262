//! What one node tells another through Postgres: `listen` and `notify`.

use sqlx::postgres::PgListener;

use super::Db;

/// A smaller pool has no connection to spare for listening.
const POOL_WITH_ROOM: u32 = 4;

/// Hears what is said on one channel, over a connection of the pool.
///
/// Whoever may connect may speak, so what is heard is a hint and never a fact. What is said while
/// the connection is down is lost.
#[derive(Debug)]
pub struct Listener(PgListener);

impl Db {
    /// Listen to a channel; `None` when the pool is too small for that.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn listen(&self, channel: &str) -> sqlx::Result<Option<Listener>> {
        if self.max_connections() < POOL_WITH_ROOM {
            return Ok(None);
        }
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen(channel).await?;
        Ok(Some(Listener(listener)))
    }
}

impl Listener {
    /// What is said next; `None` when the connection was lost and is there again, so that
    /// something may have been missed.
    ///
    /// # Errors
    /// When the database cannot be reached, or the pool was closed.
    pub async fn next(&mut self) -> sqlx::Result<Option<String>> {
        Ok(self.0.try_recv().await?.map(|notification| notification.payload().to_owned()))
    }
}
