//! Connected apps: the living grants as their users and admins see them, and taking one back.

use time::OffsetDateTime;

pub use super::store_apps::{client_names, count, of_tenant, of_user};

use super::store_apps;
use crate::{
    audit::{self, Event, Kind, Origin},
    db::ControlTx,
    ids::{GrantId, TenantId, UserId, VectorStoreId},
};

/// A living grant, with the names of who is in it.
#[derive(Clone, Debug)]
pub struct App {
    /// The grant.
    pub grant: GrantId,
    /// Where it counts.
    pub tenant: TenantId,
    /// What that tenant is called.
    pub tenant_name: String,
    /// Whose consent it is.
    pub user: UserId,
    /// Their e-mail address.
    pub email: String,
    /// What the client calls itself.
    pub client_name: String,
    /// Where its codes went.
    pub redirect_uri: String,
    /// What was allowed.
    pub scope: Vec<String>,
    /// The vector stores that were ticked and still exist.
    pub stores: Vec<VectorStoreId>,
    /// When consent was given.
    pub created_at: OffsetDateTime,
    /// When a token of it was last used.
    pub last_used_at: Option<OffsetDateTime>,
}

/// Who takes a grant back, and how far they may reach.
#[derive(Clone, Debug)]
pub struct By {
    /// Who.
    pub user: UserId,
    /// Whether they may take back their own consent only.
    pub only_own: bool,
    /// From where.
    pub origin: Origin,
    /// When.
    pub at: OffsetDateTime,
}

/// Take a grant back: its tokens are refused from the commit on. `false` when there is no such
/// living grant, or none that `by` may reach.
///
/// # Errors
/// When the database fails.
pub async fn revoke(
    tx: &mut ControlTx,
    tenant: TenantId,
    grant: GrantId,
    by: &By,
) -> sqlx::Result<bool> {
    let Some(gone) = store_apps::revoke(tx, tenant, grant, by).await? else { return Ok(false) };
    let mut event = Event::new(Kind::GrantRevoked, by.at)
        .tenant(tenant)
        .user(by.user)
        .client(&gone.client_id)
        .grant(grant)
        .from(&by.origin)
        .with("client_name", gone.client_name);
    if let Some(user) = gone.user {
        event = event.with("of_user", user.to_string());
    }
    audit::store::append_control(tx, &event).await?;
    Ok(true)
}
