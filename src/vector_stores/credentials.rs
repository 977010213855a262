//! A store's API key at rest: sealed with the tenant's data key, bound to its row.

use time::OffsetDateTime;

use super::store;
use crate::{
    db::TenantTx,
    fault::Fault,
    ids::VectorStoreId,
    secret::{Secret, seal::MasterKey},
    tenants::vault,
};

/// Seal an API key for the row of `id`.
pub(super) async fn seal(
    tx: &mut TenantTx,
    master: &MasterKey,
    now: OffsetDateTime,
    id: VectorStoreId,
    api_key: &Secret,
) -> Result<Vec<u8>, Fault> {
    vault::seal(tx, master, now, (&place(id), api_key)).await
}

/// A store's API key; `None` when the store is gone or has none.
///
/// # Errors
/// When the database fails or the key does not open in its place.
pub(crate) async fn open(
    tx: &mut TenantTx,
    master: &MasterKey,
    id: VectorStoreId,
) -> Result<Option<Secret>, Fault> {
    let Some(stored) = store::sealed_key(tx, id).await? else { return Ok(None) };
    vault::open(tx, master, (&place(id), &stored)).await.map(Some)
}

fn place(id: VectorStoreId) -> String {
    format!("vector_stores/api_key_sealed/{id}")
}
