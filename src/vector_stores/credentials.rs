//! A store's API key at rest: sealed with the tenant's data key, bound to its row.
//!
//! The tenant's data key is wrapped by the installation's master key. What is stored is the data
//! key's version (four bytes), then the sealed key; tenant, column, row and version are the
//! associated data, so a ciphertext that is copied to another row or tenant does not open (O-03).

use time::OffsetDateTime;

use super::store;
use crate::{
    db::TenantTx,
    fault::Fault,
    ids::{TenantId, VectorStoreId},
    secret::{
        Secret,
        seal::{CannotOpen, DataKey, MasterKey},
    },
};

/// Seal an API key for the row of `id`, under a data key that is made when there is none.
pub(super) async fn seal(
    tx: &mut TenantTx,
    master: &MasterKey,
    now: OffsetDateTime,
    id: VectorStoreId,
    api_key: &Secret,
) -> Result<Vec<u8>, Fault> {
    let tenant = tx.scope().tenant_id();
    if store::newest_data_key(tx).await?.is_none() {
        let fresh = DataKey::generate().wrap(master, &key_place(tenant, 1));
        store::create_data_key(tx, &fresh, now).await?;
    }
    // Read back: of two that made one at once, one was kept.
    let (version, wrapped) = store::newest_data_key(tx)
        .await?
        .ok_or_else(|| Fault::new("a tenant's data key vanished within a transaction"))?;
    let data_key = DataKey::unwrap_with(&wrapped, master, &key_place(tenant, version))?;
    let sealed = data_key.seal(api_key.expose().as_bytes(), &place(tenant, id, version));
    Ok([version.to_be_bytes().as_slice(), &sealed].concat())
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
    let tenant = tx.scope().tenant_id();
    let (version, sealed) = stored.split_first_chunk::<4>().ok_or(CannotOpen)?;
    let version = i32::from_be_bytes(*version);
    let wrapped = store::data_key(tx, version).await?.ok_or(CannotOpen)?;
    let data_key = DataKey::unwrap_with(&wrapped, master, &key_place(tenant, version))?;
    let plain = data_key.open(sealed, &place(tenant, id, version))?;
    Ok(Some(Secret::new(std::str::from_utf8(&plain)?.to_owned())))
}

fn key_place(tenant: TenantId, version: i32) -> String {
    format!("tenant/{tenant}/tenant_keys/wrapped_key/v{version}")
}

fn place(tenant: TenantId, id: VectorStoreId, version: i32) -> String {
    format!("tenant/{tenant}/vector_stores/api_key_sealed/{id}/v{version}")
}
