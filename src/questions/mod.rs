//! What assistants ask: not kept (spec row G-05), unless the tenant wants its admins to read it.
//!
//! Of every question there is its length on record, and a fingerprint, under which the same question
//! of the same tenant is known again and no question is guessed without our key. A tenant that opts
//! in has the text itself, sealed, for seven days.

mod store;
mod unanswered;

use std::collections::HashMap;

use time::{Duration, OffsetDateTime};

pub use unanswered::Unanswered;

use crate::{
    audit::{self, Actor, Event, Kind},
    clock::Clock,
    db::{ControlTx, Db, TenantScope, TenantTx},
    fault::Fault,
    ids::{EventId, TenantId},
    secret::{Secret, derive::DerivationKey, seal::MasterKey},
    tenants::vault,
};

/// How long a question is kept.
pub const KEPT: Duration = Duration::days(7);

/// Keeps questions, and finds them again. Clones share.
#[derive(Clone, Debug)]
pub struct Questions {
    db: Db,
    clock: Clock,
    master_key: MasterKey,
    fingerprints: DerivationKey,
}

impl Questions {
    /// In this database.
    #[must_use]
    pub fn new(db: Db, clock: Clock, master_key: MasterKey) -> Self {
        let fingerprints = master_key.derivation_key("callslip question fingerprint");
        Self { db, clock, master_key, fingerprints }
    }

    /// What a question is known by, in this tenant alone.
    #[must_use]
    pub fn fingerprint(&self, tenant: TenantId, text: &str) -> String {
        let digest =
            self.fingerprints.derive(&[tenant.uuid().as_bytes(), text.as_bytes()].concat());
        digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Keep the text of a call's question. The tenant has asked for it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn keep(&self, scope: TenantScope, event: EventId, text: &str) -> Result<(), Fault> {
        let now = self.clock.now();
        let mut tx = self.db.tenant(scope).await?;
        let secret = Secret::new(text.to_owned());
        let place = place(event);
        let sealed = vault::seal(&mut tx, &self.master_key, now, (&place, &secret)).await?;
        store::insert(&mut tx, event, now, &sealed).await?;
        Ok(tx.commit().await?)
    }

    /// The texts that there are of these calls.
    ///
    /// # Errors
    /// When the database fails, or a text does not open in its place.
    pub async fn texts(
        &self,
        tx: &mut TenantTx,
        events: &[EventId],
    ) -> Result<HashMap<EventId, String>, Fault> {
        let since = self.clock.now() - KEPT;
        let mut texts = HashMap::new();
        for (event, sealed) in store::list(tx, events, since).await? {
            let opened = vault::open(tx, &self.master_key, (&place(event), &sealed)).await?;
            texts.insert(event, opened.expose().to_owned());
        }
        Ok(texts)
    }
}

/// Whether a tenant's questions are kept.
///
/// # Errors
/// When the database fails.
pub async fn are_kept(tx: &mut ControlTx, tenant: TenantId) -> sqlx::Result<bool> {
    store::are_kept(tx, tenant).await
}

/// Keep a tenant's questions from here on, or no more; then those that are kept go too.
///
/// # Errors
/// When the database fails.
pub async fn decide(
    tx: &mut ControlTx,
    (tenant, keep): (TenantId, bool),
    actor: &Actor,
    at: OffsetDateTime,
) -> sqlx::Result<()> {
    if !store::decide(tx, tenant, keep).await? {
        return Ok(());
    }
    if !keep {
        store::forget_all(tx, tenant).await?;
    }
    let event = Event::new(Kind::QuestionsDecided, at).tenant(tenant).by(actor).with("kept", keep);
    audit::store::append_control(tx, &event).await
}

/// Forget what was kept for long enough, and what came too late for its tenant's change of mind.
///
/// # Errors
/// When the database fails.
pub async fn forget_old(tx: &mut ControlTx, now: OffsetDateTime) -> sqlx::Result<()> {
    unanswered::forget_dismissed(tx, now).await?;
    store::forget_old(tx, now - KEPT).await
}

fn place(event: EventId) -> String {
    format!("questions/text_sealed/{event}")
}
