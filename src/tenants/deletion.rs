//! A tenant goes: from one moment on it answers nobody, and within a minute there is nothing of it.
//!
//! First it is marked, which refuses its people, its tokens and its searches, and gives its slug
//! back. Its rows go in the background, with the tenant's own, by foreign keys: every table of a
//! tenant's leads there, so a new one is not forgotten. What is left is the record of what happened
//! in it, for 90 days.

use time::OffsetDateTime;

use super::{Tenant, store_deletion as store};
use crate::{
    audit::{self, Actor, Event, Kind},
    db::{ControlTx, Db},
    fault::Fault,
    ids::TenantId,
};

/// Let nobody in from here on. `false` when somebody else did so before.
///
/// # Errors
/// When the database fails.
pub async fn begin(
    tx: &mut ControlTx,
    tenant: &Tenant,
    actor: &Actor,
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    if !store::mark(tx, tenant.id, now).await? {
        return Ok(false);
    }
    let event = || Event::new(Kind::TenantDeleted, now).by(actor).with("slug", &*tenant.slug);
    audit::store::append_control(tx, &event().tenant(tenant.id)).await?;
    // For the operator: the tenant's own record is nobody's to read any more.
    let told = event().with("tenant", tenant.id.to_string());
    audit::store::append_control(tx, &told).await?;
    Ok(true)
}

/// Remove what is left of tenants that are marked; how many tenants that was. Any number of nodes
/// may do it at once, and what was begun by one that stopped is done by another.
///
/// # Errors
/// When the database fails; a tenant goes whole or stays marked.
pub async fn finish(db: &Db) -> Result<usize, Fault> {
    let mut removed = 0;
    loop {
        let mut tx = db.control().await?;
        let gone = store::remove_one(&mut tx).await?;
        tx.commit().await?;
        match gone {
            true => removed += 1,
            false => return Ok(removed),
        }
    }
}

/// Which of these are there no more, or about to go.
///
/// # Errors
/// When the database fails.
pub async fn gone(tx: &mut ControlTx, tenants: &[TenantId]) -> sqlx::Result<Vec<TenantId>> {
    store::gone(tx, tenants).await
}

/// Forget the records of tenants that have been gone for 90 days: by the database's own clock.
///
/// # Errors
/// When the database fails.
pub async fn forget_records(tx: &mut ControlTx) -> sqlx::Result<u64> {
    store::forget_records(tx).await
}
