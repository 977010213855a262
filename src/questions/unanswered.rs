//! Questions that were kept and not answered well, for an admin to do something about.

use time::{Duration, OffsetDateTime};

use super::{KEPT, Questions, store};
use crate::{
    audit,
    db::{ControlTx, TenantTx},
    fault::Fault,
};

/// How many are shown.
const SHOWN: i64 = 50;
/// How long one that was put away stays so.
const PUT_AWAY: Duration = Duration::days(90);

/// A question that found nothing, or nothing that anybody opened.
#[derive(Clone, Debug)]
pub struct Unanswered {
    /// To put it away.
    pub fingerprint: String,
    /// What was asked.
    pub text: String,
    /// How often.
    pub times: i64,
    /// Whether anything was found.
    pub found: bool,
    /// When it was last asked.
    pub last_at: OffsetDateTime,
}

impl Questions {
    /// Those of the last seven days whose text is kept and that nobody has put away.
    ///
    /// # Errors
    /// When the database fails, or a text does not open in its place.
    pub async fn unanswered(&self, tx: &mut TenantTx) -> Result<Vec<Unanswered>, Fault> {
        let dismissed = store::dismissed(tx).await?;
        let limit = SHOWN + i64::try_from(dismissed.len())?;
        let since = self.clock.now() - KEPT;
        let mut asked = audit::store_unanswered::unanswered(tx, since, limit).await?;
        asked.retain(|one| !dismissed.contains(&one.fingerprint));
        let events: Vec<_> = asked.iter().map(|one| one.event).collect();
        let mut texts = self.texts(tx, &events).await?;
        let kept = asked.into_iter().filter_map(|one| {
            Some(Unanswered {
                text: texts.remove(&one.event)?,
                fingerprint: one.fingerprint,
                times: one.times,
                found: one.found,
                last_at: one.last_at,
            })
        });
        Ok(kept.collect())
    }

    /// Put a question away.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn dismiss(&self, tx: &mut TenantTx, fingerprint: &str) -> sqlx::Result<()> {
        store::dismiss(tx, fingerprint, self.clock.now()).await
    }
}

/// Forget what was put away long ago.
///
/// # Errors
/// When the database fails.
pub(super) async fn forget_dismissed(tx: &mut ControlTx, now: OffsetDateTime) -> sqlx::Result<()> {
    store::forget_dismissed(tx, now - PUT_AWAY).await
}
