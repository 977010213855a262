//! Grants: listing and revoking them, for the pages of connected apps; and the two ways of buying
//! tokens with one.

pub(super) mod authorization_code;
pub(super) mod refresh_token;

use time::OffsetDateTime;

use super::{scope::Scope, store_grants};
use crate::{
    audit::{self, Event, Kind, Origin},
    db::ControlTx,
    ids::{GrantId, TenantId, UserId, VectorStoreId},
};

/// A live grant, for people.
#[derive(Clone, Debug)]
pub struct GrantOverview {
    /// Names it.
    pub id: GrantId,
    /// Where it holds.
    pub tenant: TenantId,
    /// Where, in URLs.
    pub tenant_slug: String,
    /// Where, for people.
    pub tenant_name: String,
    /// Who consented.
    pub user: UserId,
    /// Who, by address.
    pub user_email: String,
    /// Who, by name.
    pub user_name: String,
    /// The client.
    pub client_id: String,
    /// What the client calls itself; nobody has verified it.
    pub client_name: String,
    /// Where the client's answers go: a host, or a scheme with its colon.
    pub redirect_host: String,
    /// What it may do.
    pub scope: Scope,
    /// What it may read. Names are the tenant's to know.
    pub vector_stores: Vec<VectorStoreId>,
    /// When the user consented.
    pub created_at: OffsetDateTime,
    /// When it was last used, to within a few minutes.
    pub last_used_at: Option<OffsetDateTime>,
    /// When it ends by itself.
    pub expires_at: OffsetDateTime,
}

/// Why a grant ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokedFor {
    /// The user revoked it.
    User,
    /// An admin of the tenant did.
    Admin,
    /// The client gave it back.
    Client,
    /// Its code came twice.
    CodeReplay,
    /// A spent refresh token came back.
    RefreshReuse,
}

impl RevokedFor {
    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Admin => "admin",
            Self::Client => "client",
            Self::CodeReplay => "code_replay",
            Self::RefreshReuse => "refresh_reuse",
        }
    }
}

/// Everything that a user has connected, in all tenants.
///
/// # Errors
/// When the database fails.
pub async fn list_for_user(
    tx: &mut ControlTx,
    user: UserId,
    now: OffsetDateTime,
) -> sqlx::Result<Vec<GrantOverview>> {
    store_grants::list(tx, None, Some(user), now).await
}

/// Everything that is connected to a tenant.
///
/// # Errors
/// When the database fails.
pub async fn list_for_tenant(
    tx: &mut ControlTx,
    tenant: TenantId,
    now: OffsetDateTime,
) -> sqlx::Result<Vec<GrantOverview>> {
    store_grants::list(tx, Some(tenant), None, now).await
}

/// A revocation by a person.
#[derive(Clone, Copy, Debug)]
pub struct Revocation<'a> {
    /// The tenant that the grant is in. Another tenant's grant is not found.
    pub tenant: TenantId,
    /// Which.
    pub grant: GrantId,
    /// Why.
    pub reason: RevokedFor,
    /// Who.
    pub by: UserId,
    /// From where.
    pub origin: &'a Origin,
}

/// End a grant, with its event: from the commit on, each of its tokens is refused. `false` when
/// there is no such live grant in the tenant. With [`RevokedFor::User`], only the user's own.
///
/// # Errors
/// When the database fails.
pub async fn revoke_grant(
    tx: &mut ControlTx,
    revocation: &Revocation<'_>,
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    let Revocation { tenant, grant, reason, by, origin } = *revocation;
    let owner = store_grants::find_owner(tx, tenant, grant).await?;
    if owner.is_none() || (reason == RevokedFor::User && owner != Some(by)) {
        return Ok(false);
    }
    let revoked = store_grants::revoke(tx, tenant, grant, reason, now).await?;
    if revoked {
        let event = Event::new(Kind::GrantRevoked, now)
            .tenant(tenant)
            .user(by)
            .grant(grant)
            .from(origin)
            .with("reason", reason.as_str());
        audit::store::append_control(tx, &event).await?;
    }
    Ok(revoked)
}

/// End a grant because something that was spent came back, with its event.
pub(super) async fn revoke_for_reuse(
    tx: &mut ControlTx,
    grant: &store_grants::Grant,
    reason: RevokedFor,
    (now, origin): (OffsetDateTime, &Origin),
) -> sqlx::Result<()> {
    if store_grants::revoke(tx, grant.tenant, grant.id, reason, now).await? {
        let event = Event::new(Kind::TokenReused, now)
            .tenant(grant.tenant)
            .user(grant.user)
            .client(&grant.client_id)
            .grant(grant.id)
            .from(origin)
            .with("reason", reason.as_str());
        audit::store::append_control(tx, &event).await?;
    }
    Ok(())
}
