//! A tenant's vector stores: the builtin one, or an outside one under the tenant's own key.
//!
//! A store is a mapping: a name, the [`Backend`] that answers, and for an outside one where it is
//! and a sealed key. `search` asks the stores; this slice keeps them.

pub(crate) mod credentials;
pub mod models;
pub mod openai;
pub mod reranker;
pub mod store;
pub mod store_model_use;
pub mod store_models;

mod create;

use serde::Serialize;
use time::OffsetDateTime;

pub use create::{
    Context, Created, NewOpenAi, check_base_url, check_key, create_builtin, create_openai,
    model_name, store_name,
};
pub use models::Models;

use crate::{
    audit::{Actor, Event, Kind},
    db::TenantScope,
    ids::VectorStoreId,
};

/// What answers for a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "backend", rename_all = "snake_case")]
pub enum Backend {
    /// Our own documents, chunks and index.
    Builtin,
    /// An OpenAI vector store, or one behind the same API.
    #[serde(rename = "openai")]
    OpenAi {
        /// `vs_…`
        external_id: String,
        /// Where the API is, without a trailing slash.
        base_url: String,
        /// The last four characters of the key; the rest is write-only.
        key_hint: String,
    },
}

impl Backend {
    /// Its name in the database and on pages.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Builtin => "builtin",
            Self::OpenAi { .. } => "openai",
        }
    }
}

/// A tenant's mapping to a place that answers searches.
#[derive(Clone, Debug, Serialize)]
pub struct VectorStore {
    /// Names the row.
    pub id: VectorStoreId,
    /// Unique in the tenant.
    pub name: String,
    /// What answers.
    #[serde(flatten)]
    pub backend: Backend,
    /// What makes the vectors of the builtin one.
    #[serde(skip)]
    pub models: Models,
    /// Whether somebody orders its best passages anew.
    #[serde(skip)]
    pub is_reranked: bool,
    /// When it was added.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// The last time the backend answered; `None` for the builtin one.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<OffsetDateTime>,
    /// The last time it did not, and why in words; `None` while it works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

impl VectorStore {
    /// What the audit keeps of an act on it.
    #[must_use]
    pub fn event(
        &self,
        kind: Kind,
        scope: TenantScope,
        actor: &Actor,
        now: OffsetDateTime,
    ) -> Event {
        Event::new(kind, now)
            .tenant(scope.tenant_id())
            .by(actor)
            .with("vector_store", self.id.to_string())
            .with("name", self.name.clone())
            .with("backend", self.backend.name())
    }
}

/// Why a store did not answer.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// In words that say what to do; never the backend's own text.
    pub reason: String,
}

/// Another store of the tenant has this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameTaken;
