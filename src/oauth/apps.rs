//! Connected apps as their users and admins see them, and taking them back.
//!
//! An app is what people know as one ([`AppKey`]): an assistant registers anew each time that it
//! connects, and every one of these registrations has a grant of its own. They are shown, and
//! revoked, together.

use time::OffsetDateTime;

pub use super::{
    app_key::AppKey,
    store_apps::{client_names, connections, count, count_by_user, summaries},
};

use super::{
    client::Source,
    client_document, client_name, redirect_uri,
    store_apps::{self, Which},
    tenant_policy::hold_to_change,
};
use crate::{
    audit::{self, Event, Kind, Origin},
    db::ControlTx,
    ids::{GrantId, TenantId, UserId, VectorStoreId},
};

/// What a client says of itself, as far as people are shown it.
#[derive(Clone, Debug)]
pub struct Face {
    /// What the client calls itself.
    pub client_name: String,
    /// Whether that name is known to be its own.
    pub is_verified: bool,
    /// The host that publishes its metadata, where one does.
    pub published_by: Option<String>,
    /// Where its codes go: a host, or the scheme of an app on the user's device.
    pub redirect_host: String,
    /// What to know before trusting the name.
    pub warning: Option<&'static str>,
}

impl Face {
    pub(super) fn new(
        source: &str,
        client_id: &str,
        client_name: String,
        redirect_uri: &str,
    ) -> Self {
        let redirect_host = redirect_uri::host(redirect_uri);
        let is_published = Source::from_name(source) == Some(Source::Document);
        let published_by = is_published.then(|| redirect_uri::host(client_id));
        let is_verified = is_published && client_document::is_well_known(client_id);
        let on_device = !redirect_uri.starts_with("https:");
        let warning = client_name::warning(&client_name, &redirect_host, on_device);
        let warning = warning.filter(|_| !is_verified);
        Self { client_name, is_verified, published_by, redirect_host, warning }
    }
}

/// An app that members of a tenant have connected.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Names it.
    pub key: AppKey,
    /// What it says of itself.
    pub face: Face,
    /// How many members have connected it.
    pub people: i64,
    /// Who, where it is one.
    pub only_email: Option<String>,
    /// Since when.
    pub created_at: OffsetDateTime,
    /// When a token of it was last used.
    pub last_used_at: Option<OffsetDateTime>,
}

/// An app that one member has connected, once or several times.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The newest of its grants.
    pub grant: GrantId,
    /// How many there are.
    pub grants: i64,
    /// Where they count.
    pub tenant: TenantId,
    /// What that tenant is called.
    pub tenant_name: String,
    /// The member's e-mail address.
    pub email: String,
    /// What the app says of itself.
    pub face: Face,
    /// Whether it may act while the member is away.
    pub while_away: bool,
    /// The vector stores that were ticked and still exist.
    pub stores: Vec<VectorStoreId>,
    /// When consent was first given.
    pub created_at: OffsetDateTime,
    /// When a token of it was last used.
    pub last_used_at: Option<OffsetDateTime>,
}

/// Whose connections.
#[derive(Clone, Copy, Debug, Default)]
pub struct Of<'a> {
    /// In one tenant, or in any that the user still belongs to.
    pub tenant: Option<TenantId>,
    /// One user's, or everybody's.
    pub user: Option<UserId>,
    /// Of one app, or of all.
    pub app: Option<&'a AppKey>,
}

/// Who takes something back, and how far they may reach.
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

/// A grant that was taken back.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) grant: GrantId,
    pub(super) user: Option<UserId>,
    pub(super) client_id: String,
    pub(super) client_name: String,
}

/// Take back what the member of this grant has let its app do: the app's tokens are refused from
/// the commit on. `false` when there is no such living grant, or none that `by` may reach.
///
/// # Errors
/// When the database fails.
pub async fn revoke(
    tx: &mut ControlTx,
    tenant: TenantId,
    grant: GrantId,
    by: &By,
) -> sqlx::Result<bool> {
    hold_to_change(tx, tenant).await?;
    let ended = store_apps::end_connection(tx, tenant, grant, by).await?;
    record(tx, tenant, &ended, by, None).await?;
    Ok(!ended.is_empty())
}

/// The same in whichever tenant the user gave this consent.
///
/// # Errors
/// When the database fails.
pub async fn revoke_own(
    tx: &mut ControlTx,
    grant: GrantId,
    only_in: Option<TenantId>,
    by: &By,
) -> sqlx::Result<bool> {
    match store_apps::tenant_of(tx, grant, by.user).await? {
        Some(tenant) if only_in.is_none_or(|only| only == tenant) => {
            revoke(tx, tenant, grant, by).await
        }
        _ => Ok(false),
    }
}

/// Take back what every member of the tenant has let this app do. `false` when that is nothing.
///
/// # Errors
/// When the database fails.
pub async fn revoke_for_everybody(
    tx: &mut ControlTx,
    tenant: TenantId,
    app: &AppKey,
    by: &By,
) -> sqlx::Result<bool> {
    hold_to_change(tx, tenant).await?;
    let ended = store_apps::end(tx, tenant, Which::App(app), by.at).await?;
    record(tx, tenant, &ended, by, Some("everybody")).await?;
    Ok(!ended.is_empty())
}

/// An event for each grant that ended, all in one statement.
pub(super) async fn record(
    tx: &mut ControlTx,
    tenant: TenantId,
    ended: &[Ended],
    by: &By,
    reason: Option<&'static str>,
) -> sqlx::Result<()> {
    let events: Vec<Event> = ended
        .iter()
        .map(|gone| {
            let mut event = Event::new(Kind::GrantRevoked, by.at)
                .tenant(tenant)
                .user(by.user)
                .client(&gone.client_id)
                .grant(gone.grant)
                .from(&by.origin)
                .with("client_name", gone.client_name.as_str());
            if let Some(user) = gone.user {
                event = event.with("of_user", user.to_string());
            }
            match reason {
                Some(reason) => event.with("reason", reason),
                None => event,
            }
        })
        .collect();
    audit::store::append_batch(tx, &events).await
}
