//! How many calls limits have turned away, by tenant: kept here for a few seconds, then in the
//! database by the day. Without it an admin would not learn why an assistant falters.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use time::Date;

use super::store;
use crate::{db::Db, ids::TenantId};

/// How many tenants and limits wait at most; whoever comes then goes uncounted.
const MOST: usize = 50_000;

/// Counts since the last time that they were written down.
#[derive(Debug, Default)]
pub struct Refused(Mutex<HashMap<(TenantId, &'static str), i64>>);

impl Refused {
    pub(super) fn note(&self, tenant: TenantId, limit: &'static str) {
        let mut counts = self.lock();
        if counts.len() < MOST || counts.contains_key(&(tenant, limit)) {
            *counts.entry((tenant, limit)).or_default() += 1;
        }
    }

    /// Write them down.
    ///
    /// # Errors
    /// When the database fails: they are kept.
    pub async fn flush(&self, db: &Db, today: Date) -> sqlx::Result<()> {
        let counts = std::mem::take(&mut *self.lock());
        if counts.is_empty() {
            return Ok(());
        }
        let written = async {
            let mut tx = db.control().await?;
            store::add_refused(&mut tx, today, &counts).await?;
            tx.commit().await
        };
        let outcome = written.await;
        if outcome.is_err() {
            let mut kept = self.lock();
            for (key, count) in counts {
                *kept.entry(key).or_default() += count;
            }
        }
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(TenantId, &'static str), i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
