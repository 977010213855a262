//! How much a tenant may keep (spec row U-01).

use super::store_totals as store;
use crate::db::TenantTx;

const MAX_DOCUMENTS: i64 = 10_000;
const MAX_TENANT_BYTES: i64 = 2 * 1024 * 1024 * 1024;

/// Why nothing more is taken.
pub(crate) const FULL: &str = "the tenant is full: 10,000 documents or 2 GiB";

/// Whether a file of this size may be taken in addition to what is there and what waits: whoever
/// asks too waits until this transaction is over.
pub(super) async fn takes(tx: &mut TenantTx, bytes: i64) -> sqlx::Result<bool> {
    let (documents, kept) = store::lock(tx).await?;
    let (waiting, coming) = store::waiting(tx).await?;
    Ok(fits(documents + waiting, kept + coming, bytes))
}

/// Whether a document of this size may stay that this transaction has added, likewise.
pub(super) async fn admits(tx: &mut TenantTx, bytes: i64) -> sqlx::Result<bool> {
    let (documents, kept) = store::lock(tx).await?;
    Ok(fits(documents, kept, bytes))
}

const fn fits(documents: i64, kept: i64, bytes: i64) -> bool {
    documents < MAX_DOCUMENTS && kept + bytes <= MAX_TENANT_BYTES
}
