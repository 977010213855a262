//! API keys at rest, of a store and of its models: sealed with the tenant's data key, bound to its row.

use time::OffsetDateTime;

use super::{reranker, store, store_models};
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

/// Seal the API key of one of a store's models for its row.
///
/// # Errors
/// When the database fails or the tenant's data key does not open.
pub(crate) async fn seal_for_model(
    tx: &mut TenantTx,
    master: &MasterKey,
    now: OffsetDateTime,
    (store, model): (VectorStoreId, i16),
    api_key: &Secret,
) -> Result<Vec<u8>, Fault> {
    vault::seal(tx, master, now, (&place_of_model(store, model), api_key)).await
}

/// The API key of one of a store's models; `None` when it has none.
///
/// # Errors
/// When the database fails or the key does not open in its place.
pub(crate) async fn open_for_model(
    tx: &mut TenantTx,
    master: &MasterKey,
    (store, model): (VectorStoreId, i16),
) -> Result<Option<Secret>, Fault> {
    let Some(stored) = store_models::sealed_key(tx, store, model).await? else { return Ok(None) };
    vault::open(tx, master, (&place_of_model(store, model), &stored)).await.map(Some)
}

/// Seal the API key of a store's reranker for its row.
pub(super) async fn seal_for_reranker(
    tx: &mut TenantTx,
    master: &MasterKey,
    now: OffsetDateTime,
    (store, api_key): (VectorStoreId, &Secret),
) -> Result<Vec<u8>, Fault> {
    vault::seal(tx, master, now, (&place_of_reranker(store), api_key)).await
}

/// The API key of a store's reranker; `None` when it has none.
///
/// # Errors
/// When the database fails or the key does not open in its place.
pub(crate) async fn open_for_reranker(
    tx: &mut TenantTx,
    master: &MasterKey,
    store: VectorStoreId,
) -> Result<Option<Secret>, Fault> {
    let Some(stored) = reranker::store::sealed_key(tx, store).await? else { return Ok(None) };
    vault::open(tx, master, (&place_of_reranker(store), &stored)).await.map(Some)
}

/// What is shown of a key that was checked: its last four characters.
pub(crate) fn hint(api_key: &Secret) -> String {
    let api_key = api_key.expose();
    api_key[api_key.len() - 4..].to_owned()
}

fn place_of_reranker(store: VectorStoreId) -> String {
    format!("rerankers/api_key_sealed/{store}")
}

fn place_of_model(store: VectorStoreId, model: i16) -> String {
    format!("embedding_models/api_key_sealed/{store}/{model}")
}

fn place(id: VectorStoreId) -> String {
    format!("vector_stores/api_key_sealed/{id}")
}
