//! Sessions: how long they live, and that the server alone decides (spec row W-36).

use time::{Duration, OffsetDateTime};

use crate::{
    db::ControlTx,
    ids::{TenantId, UserId},
    secret::SecretHash,
};

use super::{sso, store};

/// How long a session lives: unused, and at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    idle: Duration,
    absolute: Duration,
}

impl Lifetime {
    /// For those who manage something: operators, and admins and owners of any tenant.
    pub const PRIVILEGED: Self =
        Self { idle: Duration::minutes(30), absolute: Duration::hours(12) };
    /// For everybody else.
    pub const ORDINARY: Self = Self { idle: Duration::hours(24), absolute: Duration::days(30) };

    /// The one for a user who does or does not manage something.
    #[must_use]
    pub const fn of(is_privileged: bool) -> Self {
        if is_privileged { Self::PRIVILEGED } else { Self::ORDINARY }
    }

    /// How long the browser keeps the cookie, in seconds: the server may end it sooner.
    pub(super) const fn cookie_seconds(self) -> i64 {
        self.absolute.whole_seconds()
    }
}

/// A live session.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// Names it; the secret itself stays in the cookie.
    pub hash: SecretHash,
    /// Whose.
    pub user: UserId,
    /// When the password was given, or the provider's word.
    pub created_at: OffsetDateTime,
    /// When it was last used, to the minute.
    pub last_seen_at: OffsetDateTime,
    /// The tenant by whose provider's word it began: it opens that one alone.
    pub only_in: Option<TenantId>,
}

/// How far ahead of ours the clock of the node that wrote a row may be.
const SKEW: Duration = Duration::minutes(1);
/// How exactly the last use is kept: a write a minute and not one a request.
const TOUCH_EVERY: Duration = Duration::minutes(1);

impl Session {
    /// Whether it still counts. One from the future does not.
    #[must_use]
    pub fn is_alive(&self, lifetime: Lifetime, now: OffsetDateTime) -> bool {
        let age = now - self.created_at;
        let unused = now - self.last_seen_at;
        age >= -SKEW && unused >= -SKEW && age < lifetime.absolute && unused < lifetime.idle
    }

    pub(super) fn needs_touch(&self, now: OffsetDateTime) -> bool {
        now - self.last_seen_at >= TOUCH_EVERY
    }
}

/// End every session of a user.
///
/// # Errors
/// When the database fails.
pub async fn end_all(tx: &mut ControlTx, user: UserId) -> sqlx::Result<u64> {
    store::delete_all(tx, user).await
}

/// Forget sessions that cannot be alive any more, and links and sign-ins that expired: for a
/// periodic task.
///
/// # Errors
/// When the database fails.
pub async fn purge(tx: &mut ControlTx, now: OffsetDateTime) -> sqlx::Result<u64> {
    sso::purge(tx, now).await?;
    store::purge(tx, now, now - Lifetime::ORDINARY.absolute, now - Lifetime::ORDINARY.idle).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::{Kind, Plaintext};

    fn session(created_at: OffsetDateTime, last_seen_at: OffsetDateTime) -> Session {
        let hash = Plaintext::generate(Kind::Session).hash();
        Session { hash, user: UserId::new(), created_at, last_seen_at, only_in: None }
    }

    /// [W-36] To the second, on both limits, and never from the future.
    #[test]
    fn a_session_ends_exactly_when_it_should() {
        let start = OffsetDateTime::UNIX_EPOCH;
        let second = Duration::SECOND;
        for lifetime in [Lifetime::PRIVILEGED, Lifetime::ORDINARY] {
            let fresh = session(start, start);
            assert!(fresh.is_alive(lifetime, start));
            assert!(fresh.is_alive(lifetime, start + lifetime.idle - second));
            assert!(!fresh.is_alive(lifetime, start + lifetime.idle));
            let end = start + lifetime.absolute;
            let busy = session(start, end - second);
            assert!(busy.is_alive(lifetime, end - second));
            assert!(!busy.is_alive(lifetime, end));
            assert!(fresh.is_alive(lifetime, start - SKEW));
            assert!(!fresh.is_alive(lifetime, start - SKEW - second));
        }
        assert_eq!(Lifetime::of(true).idle, Duration::minutes(30));
        assert_eq!(Lifetime::of(true).absolute, Duration::hours(12));
        assert_eq!(Lifetime::of(false).idle, Duration::hours(24));
        assert_eq!(Lifetime::of(false).absolute, Duration::days(30));
    }
}
