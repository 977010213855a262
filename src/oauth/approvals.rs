//! Apps that need an admin's approval: a member asks, an admin decides.
//!
//! What is approved is the app as people know it: every registration with the same name and the same
//! ways back, or every install behind one metadata document.

use time::OffsetDateTime;

pub use super::store_approvals::{count_waiting, list};

use super::{
    app_key::AppKey,
    apps::{self, By},
    client_document, store_approvals as store,
    store_apps::{self, Which},
    tenant_policy::{self, AppsRule},
};
use crate::{
    audit::{self, Event, Kind},
    db::ControlTx,
    ids::{TenantId, UserId},
};

/// So many apps of one member's may wait at once: anybody can register any number of clients.
const MOST_WAITING: i64 = 20;

/// An app that somebody asked for.
#[derive(Clone, Debug)]
pub struct Approval {
    /// Names it.
    pub key: AppKey,
    /// What it calls itself.
    pub client_name: String,
    /// Whose it is: every host and scheme of its answers, or the address of its document.
    pub place: String,
    /// When it was first asked for.
    pub requested_at: OffsetDateTime,
    /// Who asked; none when their account is gone.
    pub requested_by: Option<String>,
    /// What an admin decided.
    pub approved: Option<bool>,
    /// When.
    pub decided_at: Option<OffsetDateTime>,
    /// Who.
    pub decided_by: Option<String>,
}

impl Approval {
    /// Whether the name is known to be the app's own.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        client_document::is_well_known(&self.place)
    }
}

/// What a tenant knows of an app that one of its members is about to connect.
pub(super) struct Known {
    pub(super) identity: AppKey,
    pub(super) requested_at: Option<OffsetDateTime>,
    pub(super) approved: Option<bool>,
    /// How many other members have connected it.
    pub(super) others: i64,
}

/// A member who asks for an app.
pub(super) struct Asked<'a> {
    pub(super) tenant: TenantId,
    pub(super) user: UserId,
    pub(super) app: AppKey,
    pub(super) client_name: &'a str,
    pub(super) place: &'a str,
}

/// Ask an admin, or decide at once where the one who asks is an admin. Asking again changes nothing.
pub(super) async fn ask(
    tx: &mut ControlTx,
    asked: &Asked<'_>,
    is_admin: bool,
    by: &By,
) -> sqlx::Result<()> {
    tenant_policy::hold_to_change(tx, asked.tenant).await?;
    if tenant_policy::find(tx, asked.tenant).await?.apps != AppsRule::Approval {
        return Ok(());
    }
    let kind = if is_admin {
        let what = (asked.client_name, asked.place);
        store::approve(tx, (asked.tenant, &asked.app), what, by).await?;
        Kind::AppApproved
    } else {
        if !store::create(tx, asked, MOST_WAITING, by.at).await? {
            return Ok(());
        }
        Kind::AppRequested
    };
    record(tx, asked.tenant, (kind, asked.client_name), by).await
}

/// What an admin does about an app, and from what they saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Let members connect what waits.
    Approve,
    /// Do not let them.
    Refuse,
    /// Change one's mind about what was refused.
    ApproveAfterAll,
    /// Take an approval back: every member's grant ends.
    Withdraw,
}

impl Decision {
    /// Every decision.
    pub const ALL: [Self; 4] = [Self::Approve, Self::Refuse, Self::ApproveAfterAll, Self::Withdraw];

    /// In forms.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Refuse => "refuse",
            Self::ApproveAfterAll => "approve-after-all",
            Self::Withdraw => "withdraw",
        }
    }

    /// What was, and what will be.
    const fn step(self) -> (Option<bool>, bool) {
        match self {
            Self::Approve => (None, true),
            Self::Refuse => (None, false),
            Self::ApproveAfterAll => (Some(false), true),
            Self::Withdraw => (Some(true), false),
        }
    }
}

/// Decide. `false` where another admin was quicker, or nobody had asked.
///
/// # Errors
/// When the database fails.
pub async fn decide(
    tx: &mut ControlTx,
    tenant: TenantId,
    app: &AppKey,
    decision: Decision,
    by: &By,
) -> sqlx::Result<bool> {
    tenant_policy::hold_to_change(tx, tenant).await?;
    let decided = store::decide(tx, tenant, app, decision.step(), by).await?;
    let Some(client_name) = decided else { return Ok(false) };
    let kind = match decision {
        Decision::Approve | Decision::ApproveAfterAll => Kind::AppApproved,
        Decision::Refuse => Kind::AppRefused,
        Decision::Withdraw => Kind::AppWithdrawn,
    };
    record(tx, tenant, (kind, &client_name), by).await?;
    // Where no approval is needed, taking it back forbids nothing.
    if decision == Decision::Withdraw
        && tenant_policy::find(tx, tenant).await?.apps == AppsRule::Approval
    {
        let ended = store_apps::end(tx, tenant, Which::Identity(app), by.at).await?;
        apps::record(tx, tenant, &ended, by, Some("withdrawn")).await?;
    }
    Ok(true)
}

async fn record(
    tx: &mut ControlTx,
    tenant: TenantId,
    (kind, client_name): (Kind, &str),
    by: &By,
) -> sqlx::Result<()> {
    let event = Event::new(kind, by.at)
        .tenant(tenant)
        .user(by.user)
        .from(&by.origin)
        .with("client_name", client_name);
    audit::store::append_control(tx, &event).await
}
