//! Forgetting: what strangers can make grows without end unless it is taken away again.
//!
//! What has expired is refused whether it was swept or not; the sweep keeps each kind of row as
//! long as it still tells something apart. Each goes by itself and a part at a time, so that however
//! much there is, no statement takes long and what is gone stays gone.

use std::time::Duration as Seconds;

use time::{Duration, OffsetDateTime};
use tokio::time::Instant;

use super::{grants::RevokedFor, store_approvals, store_sweep as store};
use crate::{
    audit::{self, Event, Kind as Act},
    db::{ControlTx, Db},
    fault::Fault,
};

/// An old tab that comes back a little late still reads that it was answered.
const REQUESTS: Duration = Duration::minutes(10);
/// A code that is replayed meanwhile still ends its grant.
const CODES: Duration = Duration::DAY;
/// Other nodes' clocks may be behind.
const REVOKED_ACCESS_TOKENS: Duration = Duration::HOUR;
/// The same: a proof that one of them still takes for fresh must still be known.
const USED_PROOFS: Duration = Duration::HOUR;
/// A refresh token that comes back meanwhile is still known to be a dead grant's.
const GRANTS: Duration = Duration::days(7);
/// For an app that a member asked for and no admin decided on: its registration is gone by then.
const WAITING_APPS: Duration = Duration::days(90);
/// For a client that was registered and never connected.
const UNUSED_CLIENTS: Duration = Duration::DAY;
/// For a client that was in use once.
const IDLE_CLIENTS: Duration = Duration::days(90);

/// How long one kind may take; the rest is for the next time.
const BUDGET: Seconds = Seconds::from_secs(60);

/// What is swept.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Requests,
    UnresolvedRequests,
    PushedRequests,
    UsedProofs,
    Codes,
    RefreshTokens,
    RevokedAccessTokens,
    WaitingApps,
    LostGrants,
    Grants,
    Clients,
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::Requests,
        Self::UnresolvedRequests,
        Self::PushedRequests,
        Self::UsedProofs,
        Self::Codes,
        Self::RefreshTokens,
        Self::RevokedAccessTokens,
        Self::WaitingApps,
        Self::LostGrants,
        Self::Grants,
        Self::Clients,
    ];
}

/// Delete what has been over for long enough. Any number of nodes may do it at once. What fails
/// keeps nothing else from going; the first failure is returned.
pub(super) async fn sweep(db: &Db, now: OffsetDateTime) -> Result<(), Fault> {
    let mut outcome = Ok(());
    for kind in Kind::ALL {
        let until = Instant::now() + BUDGET;
        let swept = loop {
            match part(db, kind, now).await {
                Ok(rows) if rows >= store::PART && Instant::now() < until => {}
                swept => break swept,
            }
        };
        if let Err(fault) = swept {
            tracing::warn!(?kind, error = %fault.chain(), "could not be swept");
            outcome = outcome.and(Err(fault));
        }
    }
    outcome
}

/// Delete the clients of back ends that are gone, and others that nobody uses: as the sweep does.
///
/// # Errors
/// When the database fails.
pub async fn forget_clients(db: &Db, now: OffsetDateTime) -> Result<(), Fault> {
    while part(db, Kind::Clients, now).await? >= store::PART {}
    Ok(())
}

async fn part(db: &Db, kind: Kind, now: OffsetDateTime) -> Result<u64, Fault> {
    let mut tx = db.control().await?;
    let rows = match kind {
        Kind::Requests => store::requests(&mut tx, now - REQUESTS).await,
        Kind::UnresolvedRequests => store::unresolved_requests(&mut tx, now - REQUESTS).await,
        Kind::PushedRequests => store::pushed_requests(&mut tx, now - REQUESTS).await,
        Kind::UsedProofs => store::used_proofs(&mut tx, now - USED_PROOFS).await,
        Kind::Codes => store::codes(&mut tx, now - CODES).await,
        Kind::RefreshTokens => store::refresh_tokens(&mut tx, now).await,
        Kind::RevokedAccessTokens => {
            store::revoked_access_tokens(&mut tx, now - REVOKED_ACCESS_TOKENS).await
        }
        Kind::WaitingApps => {
            store_approvals::forget_waiting(&mut tx, now - WAITING_APPS).await.map(|()| 0)
        }
        Kind::LostGrants => end_lost_grants(&mut tx, now).await,
        Kind::Grants => store::grants(&mut tx, now - GRANTS).await,
        Kind::Clients => {
            store::clients(&mut tx, (now - UNUSED_CLIENTS, now - IDLE_CLIENTS), now).await
        }
    }?;
    tx.commit().await?;
    Ok(rows)
}

/// Say of grants that no call is let through for any more that they have ended, so that lists and
/// the audit say so too.
async fn end_lost_grants(tx: &mut ControlTx, now: OffsetDateTime) -> sqlx::Result<u64> {
    let reason = RevokedFor::ClientChanged;
    let lost = store::end_lost_grants(tx, reason, now).await?;
    let events: Vec<Event> = lost
        .iter()
        .map(|grant| {
            Event::new(Act::GrantRevoked, now)
                .tenant(grant.tenant)
                .user(grant.user)
                .client(&grant.client_id)
                .grant(grant.id)
                .with("client_name", grant.client_name.as_str())
                .with("reason", reason.as_str())
        })
        .collect();
    audit::store::append_batch(tx, &events).await?;
    Ok(events.len() as u64)
}
