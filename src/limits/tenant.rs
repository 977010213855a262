//! What limits a tenant has of its own: an operator sets how far they may go, and the tenant's
//! admins may stay below.

use super::{
    calls::{CLIENT, TENANT, TENANT_AT_ONCE, TOKEN, USER},
    rate::Rate,
};

/// The most that an operator may allow: calls in a minute, and calls at the same time.
pub const MOST_PER_MINUTE: u32 = 60_000;
/// The fewest calls in a minute: with fewer, a burst would be less than one.
pub const LEAST_PER_MINUTE: u32 = 6;
/// See [`MOST_PER_MINUTE`].
pub const MOST_AT_ONCE: u32 = 1_000;

/// Somebody's numbers; none where they said nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Calls of the whole tenant in a minute.
    pub per_minute: Option<u32>,
    /// Calls of one user.
    pub user_per_minute: Option<u32>,
    /// Calls of one connection.
    pub token_per_minute: Option<u32>,
    /// Calls of the whole tenant that run at the same time.
    pub at_once: Option<u32>,
}

impl From<[Option<i32>; 4]> for Numbers {
    /// As stored, in the order of the fields.
    fn from(stored: [Option<i32>; 4]) -> Self {
        let [per_minute, user_per_minute, token_per_minute, at_once] =
            stored.map(|number| u32::try_from(number?).ok());
        Self { per_minute, user_per_minute, token_per_minute, at_once }
    }
}

impl Numbers {
    pub(super) fn stored(self) -> [Option<i32>; 4] {
        let Self { per_minute, user_per_minute, token_per_minute, at_once } = self;
        [per_minute, user_per_minute, token_per_minute, at_once]
            .map(|number| i32::try_from(number?).ok())
    }
}

/// A tenant's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TenantLimits {
    /// How far they may go.
    pub bound: Numbers,
    /// What the tenant's admins chose.
    pub chosen: Numbers,
}

impl TenantLimits {
    /// Each number as it holds.
    #[must_use]
    pub fn in_force(&self) -> [u32; 4] {
        [self.tenant().calls, self.user().calls, self.token().calls, self.at_once()]
    }

    /// The bound on each.
    #[must_use]
    pub fn bounds(&self) -> [u32; 4] {
        Self { chosen: Numbers::default(), ..*self }.in_force()
    }

    pub(super) fn tenant(&self) -> Rate {
        rate(TENANT.into(), self.bound.per_minute, self.chosen.per_minute)
    }

    /// As large a part of the tenant's as usual.
    pub(super) fn client(&self) -> Rate {
        let tenant = u64::from(self.tenant().calls);
        let calls = tenant * u64::from(CLIENT.per_minute) / u64::from(TENANT.per_minute);
        Rate::from(CLIENT).with_calls(u32::try_from(calls).unwrap_or(u32::MAX))
    }

    pub(super) fn user(&self) -> Rate {
        rate(USER.into(), self.bound.user_per_minute, self.chosen.user_per_minute)
    }

    pub(super) fn token(&self) -> Rate {
        rate(TOKEN.into(), self.bound.token_per_minute, self.chosen.token_per_minute)
    }

    /// Calls that run at the same time.
    #[must_use]
    pub fn at_once(&self) -> u32 {
        let bound = self.bound.at_once.unwrap_or(TENANT_AT_ONCE);
        self.chosen.at_once.unwrap_or(bound).min(bound).max(1)
    }
}

fn rate(usual: Rate, bound: Option<u32>, chosen: Option<u32>) -> Rate {
    let bound = bound.unwrap_or(usual.calls);
    usual.with_calls(chosen.unwrap_or(bound).min(bound))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn admins_stay_below_what_the_operator_allows() {
        let usual = TenantLimits::default();
        assert_eq!(usual.in_force(), [600, 120, 60, 20]);
        assert_eq!((usual.client().calls, usual.client().burst), (450, 150));
        let bound = Numbers { per_minute: Some(1200), at_once: Some(5), ..Numbers::default() };
        let chosen = Numbers { per_minute: Some(9999), user_per_minute: Some(12), ..bound };
        let limits = TenantLimits { bound, chosen };
        assert_eq!(limits.in_force(), [1200, 12, 60, 5]);
        assert_eq!((limits.tenant().burst, limits.user().burst), (400, 6));
        assert_eq!(limits.bounds(), [1200, 120, 60, 5]);
    }
}
