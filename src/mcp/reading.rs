//! Who reads far more documents in an hour than they usually do: the tenant's admins hear of it
//! (spec row N-10). Nobody is stopped by it; that is what limits are for.
//!
//! Each node counts what it gives out itself; every [`STEP`] documents of a user it looks at what
//! all nodes have on record.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use time::{Duration, OffsetDateTime};

use super::dispatch::Asker;
use crate::{
    audit::{self, Event, Kind},
    clock::Clock,
    db::{Db, TenantScope},
    fault::Fault,
    ids::{TenantId, UserId},
    search::Reference,
};

/// So many documents in an hour are never out of the ordinary.
const MANY: usize = 100;
/// Nor are so many times as many as in an average hour in which the user reads at all.
const TIMES: usize = 3;
/// How far back that is looked for.
const USUAL: Duration = Duration::days(14);
/// How many documents a user reads here between two looks.
const STEP: usize = 10;
/// How many users' hours are kept before those that are over are thrown out.
const MOST_HOURS: usize = 10_000;

/// What users read. Clones share.
#[derive(Clone, Debug)]
pub(super) struct Readers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: Db,
    clock: Clock,
    hours: Mutex<HashMap<(TenantId, UserId), Hour>>,
}

/// What this node gave to one user in an hour.
#[derive(Debug)]
struct Hour {
    begun: OffsetDateTime,
    documents: HashSet<String>,
}

impl Readers {
    pub(super) fn new(db: Db, clock: Clock) -> Self {
        Self(Arc::new(Inner { db, clock, hours: Mutex::default() }))
    }

    /// These documents go out to somebody, and are on record. Nobody waits for what follows.
    pub(super) fn note(&self, asker: &Asker, ids: &[String]) {
        // A back end in its own name has no habits.
        let Some(user) = asker.caller.user() else { return };
        let scope = asker.caller.scope();
        if !self.0.is_time_to_look((scope.tenant_id(), user), ids) {
            return;
        }
        let event = Event::new(Kind::UnusualReading, self.0.clock.now())
            .tenant(scope.tenant_id())
            .user(user)
            .client(asker.caller.client_id())
            .grant(asker.caller.grant())
            .from(&asker.origin);
        let readers = Arc::clone(&self.0);
        tokio::spawn(async move {
            if let Err(fault) = readers.look(scope, user, event).await {
                fault.log();
            }
        });
    }
}

impl Inner {
    fn is_time_to_look(&self, reader: (TenantId, UserId), ids: &[String]) -> bool {
        let now = self.clock.now();
        let is_over = |hour: &Hour| (now - hour.begun).abs() >= Duration::HOUR;
        let mut hours = self.hours.lock().unwrap_or_else(PoisonError::into_inner);
        if hours.len() >= MOST_HOURS {
            hours.retain(|_, hour| !is_over(hour));
        }
        let new = || Hour { begun: now, documents: HashSet::new() };
        let hour = hours.entry(reader).or_insert_with(new);
        if is_over(hour) {
            *hour = new();
        }
        let before = hour.documents.len();
        hour.documents.extend(ids.iter().filter_map(|id| document(id)));
        before / STEP != hour.documents.len() / STEP
    }

    /// Whether what is on record for the last hour is out of the ordinary; it is said once an hour.
    async fn look(&self, scope: TenantScope, user: UserId, event: Event) -> Result<(), Fault> {
        let (now, hour_ago) = (event.at, event.at - Duration::HOUR);
        let mut tx = self.db.tenant(scope).await?;
        audit::store::hold_reader(&mut tx, user).await?;
        if audit::store::has_happened(&mut tx, Kind::UnusualReading, user, hour_ago).await? {
            return Ok(());
        }
        let read = audit::store::read_by(&mut tx, user, (now - USUAL, now)).await?;
        let mut hours: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
        for one in read {
            if let Some(document) = document(&one.id) {
                hours.entry(one.hours_ago).or_default().insert(document);
            }
        }
        let documents = hours.remove(&0).map_or(0, |documents| documents.len());
        let usual = hours.values().map(BTreeSet::len).sum::<usize>() / hours.len().max(1);
        if documents > MANY.max(TIMES * usual) {
            tracing::warn!(tenant = %scope.tenant_id(), documents, usual, "unusual reading");
            let event = event.with("documents", documents).with("usual", usual);
            audit::store::append(&mut tx, &event).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

/// The document that an id names, whatever its passage.
fn document(id: &str) -> Option<String> {
    let Reference { store, document } = Reference::parse(id)?;
    Some(Reference { store, document: document.whole() }.to_string())
}
