//! What a tenant demands of the apps that its members connect.

use time::{Duration, OffsetDateTime};

pub use super::store_tenant_policy::find;

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
