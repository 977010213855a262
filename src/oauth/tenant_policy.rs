//! What a tenant demands of the apps that its members connect.
//!
//! The rule is asked when a member approves, in the transaction that makes the grant, and whoever
//! changes the rule ends what it forbids in the transaction that changes it: a live grant is one
//! that its tenant allows, so refreshing and calling need not ask again. Both take the tenant's lock
//! first ([`hold`], [`hold_to_change`]), so that neither misses the other.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

pub use super::store_tenant_policy::find;
pub(super) use super::store_tenant_policy::{hold, hold_to_change};

use super::{
    app_key::AppKey,
    apps::{self, By},
    client::Source,
    place, store_approvals,
    store_apps::{self, Which},
    store_tenant_policy::{self as store, LiveGrant},
};
use crate::{
    audit::{self, Event, Kind},
    db::ControlTx,
    ids::TenantId,
};

/// How long the predecessor of a refresh token is accepted where the tenant says nothing.
const REFRESH_RETRY: Duration = Duration::seconds(60);

/// Which apps members may connect. Service clients, which an admin made, are not asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AppsRule {
    /// Any.
    #[default]
    Open,
    /// Those that an admin has approved.
    Approval,
    /// Those of the hosts that an admin has listed.
    AllowList,
    /// None.
    Off,
}

impl AppsRule {
    /// Every rule, from the widest to the narrowest.
    pub const ALL: [Self; 4] = [Self::Open, Self::Approval, Self::AllowList, Self::Off];

    /// As stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approval => "approval",
            Self::AllowList => "allow_list",
            Self::Off => "off",
        }
    }

    /// The rule with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.as_str() == name)
    }
}

/// A tenant's demands; the default is that of a tenant that never said anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantPolicy {
    /// Which apps members may connect.
    pub apps: AppsRule,
    /// For [`AppsRule::AllowList`]: host names, `localhost`, and schemes such as `cursor:`.
    pub allowed_hosts: Vec<String>,
    /// Whether tokens must be bound to a key of the client's: RFC 9449.
    pub require_dpop: bool,
    /// How long the predecessor of a refresh token is accepted; zero: never.
    pub refresh_retry: Duration,
    /// When an admin last changed it; none where nobody ever has.
    pub updated_at: Option<OffsetDateTime>,
}

impl Default for TenantPolicy {
    fn default() -> Self {
        Self {
            apps: AppsRule::Open,
            allowed_hosts: Vec::new(),
            require_dpop: false,
            refresh_retry: REFRESH_RETRY,
            updated_at: None,
        }
    }
}

/// The longest list of hosts.
pub const MOST_HOSTS: usize = 100;
/// The longest window for lost answers, in seconds.
pub const LONGEST_RETRY: i16 = 300;

impl TenantPolicy {
    /// Whether members may connect an app of this place; `approved`: by an admin.
    pub(super) fn admits(&self, place: &str, approved: bool) -> bool {
        match self.apps {
            AppsRule::Open => true,
            AppsRule::Approval => approved,
            AppsRule::AllowList => self.allowed_hosts.iter().any(|host| host == place),
            AppsRule::Off => false,
        }
    }

    fn lets_live(&self, grant: &LiveGrant) -> bool {
        (grant.is_bound || !self.require_dpop)
            && self.admits(&grant.place(), grant.approved == Some(true))
    }

    /// What an admin decides, without when.
    fn decided(&self) -> Self {
        Self { updated_at: None, ..self.clone() }
    }

    fn told(&self) -> Value {
        json!({
            "apps": self.apps.as_str(),
            "allowed_hosts": self.allowed_hosts,
            "require_dpop": self.require_dpop,
            "refresh_retry_seconds": self.refresh_retry.whole_seconds(),
        })
    }
}

impl LiveGrant {
    fn place(&self) -> String {
        place::of(self.source(), &self.client_id, &self.redirect_uri)
    }

    /// What the admin decides on: an approval covers every place of the app.
    fn decided_place(&self, wanted: &TenantPolicy) -> String {
        match wanted.apps {
            AppsRule::Approval => {
                place::all_of(self.source(), &self.client_id, &self.redirect_uris)
            }
            AppsRule::Open | AppsRule::AllowList | AppsRule::Off => self.place(),
        }
    }

    fn source(&self) -> Source {
        Source::from_name(&self.source).unwrap_or(Source::Registration)
    }
}

/// What happens to apps that are connected and that the new rule does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connected {
    /// The admin has not been asked yet.
    Unasked,
    /// They are cut off.
    End,
    /// Where approval is needed: these, which the admin was shown, have it from now on.
    Approve(Vec<AppKey>),
}

/// What an admin wants.
#[derive(Clone, Debug)]
pub struct Change {
    /// The rules from now on.
    pub wanted: TenantPolicy,
    /// [`TenantPolicy::updated_at`] of the rules that they were looking at.
    pub seen: Option<OffsetDateTime>,
    /// For what is connected already.
    pub connected: Connected,
}

/// An app that the new rules cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CutOff {
    key: AppKey,
    /// What it calls itself.
    pub client_name: String,
    /// Whose it is.
    pub place: String,
    /// How many members have connected it.
    pub people: usize,
    /// Whether an approval would keep it.
    pub approvable: bool,
}

/// What came of a change.
#[derive(Debug)]
pub enum Changed {
    /// It holds; so many grants have ended with it.
    Saved(usize),
    /// Nothing was changed: the rules that the admin was looking at are not these any more.
    Stale(TenantPolicy),
    /// Nothing was changed: the admin must say first what becomes of these.
    Unasked(Vec<CutOff>),
}

/// Change the rules, and end what they forbid. Commit only what was [`Changed::Saved`].
///
/// # Errors
/// When the database fails.
pub async fn change(
    tx: &mut ControlTx,
    tenant: TenantId,
    change: &Change,
    by: &By,
) -> sqlx::Result<Changed> {
    hold_to_change(tx, tenant).await?;
    let before = find(tx, tenant).await?;
    if before.updated_at != change.seen {
        return Ok(Changed::Stale(before));
    }
    let wanted = &change.wanted;
    let live = store::live_grants(tx, tenant, by.at).await?;
    let mut forbidden: Vec<LiveGrant> =
        live.into_iter().filter(|grant| !wanted.lets_live(grant)).collect();
    match &change.connected {
        Connected::Unasked if !forbidden.is_empty() => {
            return Ok(Changed::Unasked(cut_off(wanted, &forbidden)));
        }
        Connected::Approve(shown) if wanted.apps == AppsRule::Approval => {
            let apps = cut_off(wanted, &forbidden);
            // Somebody has connected another one while the admin read.
            if apps.iter().any(|app| !shown.contains(&app.key)) {
                return Ok(Changed::Unasked(apps));
            }
            for app in apps.into_iter().filter(|app| app.approvable) {
                store_approvals::approve_connected(tx, tenant, &app, by).await?;
            }
            forbidden.retain(|grant| wanted.require_dpop && !grant.is_bound);
        }
        Connected::Unasked | Connected::End | Connected::Approve(_) => {}
    }
    let doomed: Vec<Uuid> = forbidden.iter().map(|grant| grant.id).collect();
    let ended = store_apps::end(tx, tenant, Which::Grants(&doomed), by.at).await?;
    apps::record(tx, tenant, &ended, by, Some("policy")).await?;
    if before.decided() != wanted.decided() {
        // Two changes in one moment are two versions all the same.
        let after_before = before.updated_at.map(|at| at + Duration::microseconds(1));
        store::save(tx, tenant, wanted, after_before.map_or(by.at, |next| next.max(by.at))).await?;
        let event = Event::new(Kind::AppRulesChanged, by.at)
            .tenant(tenant)
            .user(by.user)
            .from(&by.origin)
            .with("before", before.told())
            .with("after", wanted.told())
            .with("ended_grants", ended.len());
        audit::store::append_control(tx, &event).await?;
    }
    Ok(Changed::Saved(ended.len()))
}

/// The apps behind grants, in the order of their names.
fn cut_off(wanted: &TenantPolicy, grants: &[LiveGrant]) -> Vec<CutOff> {
    let mut apps = HashMap::new();
    for grant in grants {
        let key = AppKey::from(grant.app_identity.clone());
        let place = grant.decided_place(wanted);
        let (app, people) = apps.entry((key, place.clone())).or_insert_with(|| {
            let client_name = grant.client_name.clone();
            (CutOff { key, client_name, place, people: 0, approvable: false }, HashSet::new())
        });
        app.approvable |=
            wanted.apps == AppsRule::Approval && (grant.is_bound || !wanted.require_dpop);
        people.extend(grant.user_id);
    }
    let mut apps: Vec<CutOff> =
        apps.into_values().map(|(app, people)| CutOff { people: people.len(), ..app }).collect();
    apps.sort_by_key(|app| (app.client_name.to_lowercase(), app.place.clone()));
    apps
}

impl CutOff {
    /// Registrations that are one app have one.
    #[must_use]
    pub const fn identity(&self) -> &AppKey {
        &self.key
    }
}
