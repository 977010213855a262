//! The vector stores whose documents are kept here.

use super::PageError;
use crate::{
    db::TenantTx,
    ids::VectorStoreId,
    vector_stores::{Backend, VectorStore, store},
};

/// All of the tenant's.
pub(super) async fn list(tx: &mut TenantTx) -> sqlx::Result<Vec<VectorStore>> {
    let mut stores = store::list(tx).await?;
    stores.retain(|store| store.backend == Backend::Builtin);
    Ok(stores)
}

/// The one of this id: there is no page about any other.
pub(super) async fn require(
    tx: &mut TenantTx,
    id: VectorStoreId,
) -> Result<VectorStore, PageError> {
    let found = store::find(tx, id).await?;
    found.filter(|store| store.backend == Backend::Builtin).ok_or(PageError::NotFound)
}
