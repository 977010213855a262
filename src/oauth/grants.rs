//! Grants: the ways of buying tokens with one, and why one ends.

pub(super) mod authorization_code;
pub(super) mod client_credentials;
pub(super) mod refresh_token;

use time::OffsetDateTime;

use super::store_grants;
use crate::{
    audit::{self, Event, Kind, Origin},
    db::ControlTx,
};

/// Why a grant ended, other than that a person revoked it (`apps`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RevokedFor {
    /// The client gave it back.
    Client,
    /// The client became something else than what was consented to.
    ClientChanged,
    /// Its code came twice.
    CodeReplay,
    /// A spent refresh token came back.
    RefreshReuse,
}

impl RevokedFor {
    /// As stored.
    #[must_use]
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::ClientChanged => "client_changed",
            Self::CodeReplay => "code_replay",
            Self::RefreshReuse => "refresh_reuse",
        }
    }
}

impl store_grants::Grant {
    /// Something that happened to the grant, for the audit trail.
    pub(super) fn event(&self, kind: Kind, (now, origin): (OffsetDateTime, &Origin)) -> Event {
        Event::new(kind, now)
            .tenant(self.tenant)
            .user(self.user)
            .client(&self.client_id)
            .grant(self.id)
            .from(origin)
    }
}

/// End a grant because something that was spent came back, with its event.
pub(super) async fn revoke_for_reuse(
    tx: &mut ControlTx,
    grant: &store_grants::Grant,
    reason: RevokedFor,
    (now, origin): (OffsetDateTime, &Origin),
) -> sqlx::Result<()> {
    if store_grants::revoke(tx, grant.tenant, grant.id, reason, now).await? {
        let event = grant.event(Kind::TokenReused, (now, origin)).with("reason", reason.as_str());
        audit::store::append_control(tx, &event).await?;
    }
    Ok(())
}
