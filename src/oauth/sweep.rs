//! Forgetting: what strangers can make grows without end unless it is taken away again.
//!
//! What has expired is refused whether it was swept or not; the sweep keeps each kind of row as
//! long as it still tells something apart.

use time::{Duration, OffsetDateTime};

use super::{store_approvals, store_sweep as store};
use crate::{db::Db, fault::Fault};

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
/// For what is wrong with the installation, once it is not seen any more.
const PROBLEMS: Duration = Duration::days(30);
/// For a client that was registered and never connected.
const UNUSED_CLIENTS: Duration = Duration::DAY;
/// For a client that was in use once.
const IDLE_CLIENTS: Duration = Duration::days(90);

/// Delete what has been over for long enough. Any number of nodes may do it at once.
pub(super) async fn sweep(db: &Db, now: OffsetDateTime) -> Result<(), Fault> {
    let mut tx = db.control().await?;
    store::requests(&mut tx, now - REQUESTS).await?;
    store::codes(&mut tx, now - CODES).await?;
    store::refresh_tokens(&mut tx, now).await?;
    store::unresolved_requests(&mut tx, now - REQUESTS).await?;
    store::pushed_requests(&mut tx, now - REQUESTS).await?;
    store::used_proofs(&mut tx, now - USED_PROOFS).await?;
    store::problems(&mut tx, now - PROBLEMS).await?;
    store_approvals::forget_waiting(&mut tx, now - WAITING_APPS).await?;
    store::revoked_access_tokens(&mut tx, now - REVOKED_ACCESS_TOKENS).await?;
    store::grants(&mut tx, now - GRANTS).await?;
    tx.commit().await?;
    // By itself: somebody may be consenting to one of these this very moment.
    let mut tx = db.control().await?;
    store::clients(&mut tx, (now - UNUSED_CLIENTS, now - IDLE_CLIENTS), now).await?;
    tx.commit().await?;
    Ok(())
}
