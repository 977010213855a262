//! A tenant's secrets at rest: sealed with its data key, bound to their place (spec row O-03).
//!
//! The tenant's data key is wrapped by the installation's master key. What is stored is the data
//! key's version (four bytes), then the sealed secret; tenant, column, row and version are the
//! associated data, so a ciphertext that is copied to another row or tenant does not open.

use time::OffsetDateTime;

use super::store_keys as store;
use crate::{
    db::TenantTx,
    fault::Fault,
    ids::TenantId,
    secret::{
        Secret,
        seal::{CannotOpen, DataKey, MasterKey},
    },
};

/// Seal a secret for `place`, a column and row as in `vector_stores/api_key_sealed/ID`, under a
/// data key that is made when there is none.
///
/// # Errors
/// When the database fails or the data key does not open.
pub async fn seal(
    tx: &mut TenantTx,
    master: &MasterKey,
    now: OffsetDateTime,
    (place, secret): (&str, &Secret),
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
    let sealed = data_key.seal(secret.expose().as_bytes(), &context(tenant, place, version));
    Ok([version.to_be_bytes().as_slice(), &sealed].concat())
}

/// Open what [`seal`] made for the same place.
///
/// # Errors
/// When the database fails or it does not open in its place.
pub async fn open(
    tx: &mut TenantTx,
    master: &MasterKey,
    (place, stored): (&str, &[u8]),
) -> Result<Secret, Fault> {
    let tenant = tx.scope().tenant_id();
    let (version, sealed) = stored.split_first_chunk::<4>().ok_or(CannotOpen)?;
    let version = i32::from_be_bytes(*version);
    let wrapped = store::data_key(tx, version).await?.ok_or(CannotOpen)?;
    let data_key = DataKey::unwrap_with(&wrapped, master, &key_place(tenant, version))?;
    let plain = data_key.open(sealed, &context(tenant, place, version))?;
    Ok(Secret::new(std::str::from_utf8(&plain)?.to_owned()))
}

fn key_place(tenant: TenantId, version: i32) -> String {
    format!("tenant/{tenant}/tenant_keys/wrapped_key/v{version}")
}

fn context(tenant: TenantId, place: &str, version: i32) -> String {
    format!("tenant/{tenant}/{place}/v{version}")
}
