//! What vanished from a folder leaves the store too: `callslip import --sync`.
//!
//! The folders are imported first. [`plan`] then compares what is in them with what the store has
//! from them, somebody looks at it, and [`carry_out`] removes it: each document in a transaction of
//! its own, and only if it is still what was looked at. A folder that is empty or cannot be read
//! whole says nothing about what is gone, so nothing is removed for it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::{
    import::{Found, Walked, walk},
    importer::{Importer, source_key},
    report::Report,
    store_save, store_sync,
};
use crate::{
    audit::{self, Event, Kind},
    db::{TenantScope, TenantTx},
    fault::Fault,
    ids::{DocumentId, VectorStoreId},
};

/// A document that came from a folder.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) id: DocumentId,
    pub(super) source_key: String,
    pub(super) title: String,
    pub(super) content_hash: Vec<u8>,
    pub(super) byte_size: i64,
}

/// What the folders do not hold any more.
#[derive(Debug, Default)]
pub struct Plan {
    gone: Vec<Kept>,
    /// With the key that they go by now.
    moved: Vec<(Kept, String)>,
    known: usize,
}

/// Why nothing may be removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A folder, or something in it, could not be looked at.
    #[error("nothing is removed: {0} could not be read whole")]
    Unreadable(String),
    /// A folder from which there are documents holds no file.
    #[error("nothing is removed: {0} holds no file; was it mounted?")]
    Empty(String),
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Documents that are gone now.
    pub removed: u64,
    /// Documents whose file has another name now; they keep their id.
    pub moved: u64,
    /// Documents that changed, or whose file came back, while somebody looked.
    pub kept: u64,
}

impl Plan {
    /// The files whose documents would be removed.
    pub fn gone(&self) -> impl Iterator<Item = &str> {
        self.gone.iter().map(|kept| path_of(&kept.source_key))
    }

    /// How many documents the store has from the folders.
    #[must_use]
    pub const fn known(&self) -> usize {
        self.known
    }

    /// Whether so much would go that it is more likely a mistake.
    #[must_use]
    pub const fn is_most(&self) -> bool {
        self.gone.len() * 2 > self.known
    }
}

/// Compare folders with what the store has from them; `report` is of the import just before.
///
/// Records of JSON lines are no files of their own, and are left alone. So is what an archive held,
/// unless the import has just read it to its end without a failure.
///
/// # Errors
/// When the database fails.
pub async fn plan(
    importer: &Importer,
    scope: TenantScope,
    store: VectorStoreId,
    sources: &[PathBuf],
    report: &Report,
) -> Result<Result<Plan, Refused>, Fault> {
    let sources = sources.to_vec();
    let walked = tokio::task::spawn_blocking(move || walk(&sources)).await?;
    if let Some((source, _)) = walked.unreadable.first() {
        return Ok(Err(Refused::Unreadable(source.clone())));
    }
    let present: HashSet<String> = walked.files.iter().map(Found::key).collect();
    let mut known = BTreeMap::new();
    let mut tx = importer.db.tenant(scope).await?;
    for root in &walked.roots {
        let place = source_key("path", &root.to_string_lossy());
        let here = store_sync::below(&mut tx, store, &place).await?;
        if !here.is_empty() && !present.iter().any(|key| is_below(key, &place)) {
            return Ok(Err(Refused::Empty(root.display().to_string())));
        }
        known.extend(here.into_iter().map(|kept| (kept.source_key.clone(), kept)));
    }
    drop(tx);
    let known: Vec<Kept> = known.into_values().collect();
    Ok(Ok(tokio::task::spawn_blocking({
        let seen = report.seen();
        move || compare(known, &walked, &present, &seen)
    })
    .await?))
}

/// What an import came across.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Documents that something in the folders says, whatever it is called.
    pub(super) documents: HashSet<DocumentId>,
    /// Archives that were read to their end.
    pub(super) whole: HashSet<String>,
}

fn compare(known: Vec<Kept>, walked: &Walked, present: &HashSet<String>, seen: &Seen) -> Plan {
    let keys: HashSet<String> = known.iter().map(|kept| kept.source_key.clone()).collect();
    let mut plan = Plan { known: known.len(), ..Plan::default() };
    let mut strays = strays(walked, &keys);
    // What may hold others and has not been read to its end: an archive, or a message, whose
    // attachments are not read again while it is the same.
    let mut holders: HashSet<String> = present.difference(&seen.whole).cloned().collect();
    // Holders come before what they hold.
    for kept in known {
        let key = kept.source_key.clone();
        let is_held = key.match_indices('/').any(|(end, _)| holders.contains(&key[..end]));
        if present.contains(&key) || is_held {
            continue;
        }
        if let Some(now) = strays.take(&kept) {
            plan.moved.push((kept, now));
        } else if !seen.documents.contains(&kept.id) {
            plan.gone.push(kept);
            continue;
        }
        holders.insert(key);
    }
    plan
}

/// Files without a document of their name, by size: one of them may be what another one was.
struct Strays<'a>(HashMap<i64, Vec<&'a Found>>);

fn strays<'a>(walked: &'a Walked, keys: &HashSet<String>) -> Strays<'a> {
    let mut by_size: HashMap<i64, Vec<&Found>> = HashMap::new();
    for file in walked.files.iter().filter(|file| !keys.contains(&file.key())) {
        by_size.entry(i64::try_from(file.size).unwrap_or(i64::MAX)).or_default().push(file);
    }
    Strays(by_size)
}

impl Strays<'_> {
    /// The key of the file that holds what this document was made of.
    fn take(&mut self, kept: &Kept) -> Option<String> {
        let alike = self.0.get_mut(&kept.byte_size)?;
        let place = alike.iter().position(|file| {
            hash(&file.path).is_ok_and(|hash| hash.as_slice() == kept.content_hash)
        })?;
        Some(alike.swap_remove(place).key())
    }
}

fn hash(path: &Path) -> std::io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    std::io::copy(&mut File::open(path)?, &mut HashWriter(&mut hasher))?;
    Ok(hasher.finalize().into())
}

struct HashWriter<'a>(&'a mut Sha256);

impl std::io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Remove what is gone, and give what moved its new name.
///
/// # Errors
/// When the database fails; what was removed until then stays removed.
pub async fn carry_out(
    importer: &Importer,
    scope: TenantScope,
    store: VectorStoreId,
    plan: &Plan,
) -> Result<Removed, Fault> {
    let mut done = Removed::default();
    for (kept, key) in &plan.moved {
        let mut tx = importer.db.tenant(scope).await?;
        store_save::hold(&mut tx, store, key, &kept.content_hash).await?;
        if store_sync::rename(&mut tx, store, kept, key).await? {
            tx.commit().await?;
            done.moved += 1;
        }
    }
    for kept in &plan.gone {
        let is_back = Path::new(path_of(&kept.source_key)).exists();
        if !is_back && remove(importer, scope, store, kept).await? {
            done.removed += 1;
        } else {
            done.kept += 1;
        }
    }
    Ok(done)
}

/// Take back what came from a source that is gone, with all that it held: unless another source has
/// the same content, which is its heir. How many documents went.
pub(crate) async fn withdraw(
    tx: &mut TenantTx,
    store: VectorStoreId,
    (key, heir): (&str, Option<&str>),
    now: OffsetDateTime,
) -> sqlx::Result<i64> {
    let mut gone = 0;
    for kept in store_sync::below(tx, store, key).await? {
        store_save::hold(tx, store, &kept.source_key, &kept.content_hash).await?;
        if let Some(heir) = heir.filter(|_| kept.source_key == key)
            && store_sync::rename(tx, store, &kept, heir).await?
        {
            return Ok(0);
        }
        if store_sync::delete(tx, &kept).await? {
            audit::store::append(tx, &vanished(tx.scope(), &kept, now)).await?;
            gone += 1;
        }
    }
    Ok(gone)
}

fn vanished(scope: TenantScope, kept: &Kept, now: OffsetDateTime) -> Event {
    let (_, path) = kept.source_key.split_once(':').unwrap_or_default();
    Event::new(Kind::DocumentDeleted, now)
        .tenant(scope.tenant_id())
        .with("document", kept.id.to_string())
        .with("title", kept.title.as_str())
        .with("vanished", path)
}

/// Of a removal and an upload of the same content at once, the later one sees what the other did.
async fn remove(
    importer: &Importer,
    scope: TenantScope,
    store: VectorStoreId,
    kept: &Kept,
) -> Result<bool, Fault> {
    let mut tx = importer.db.tenant(scope).await?;
    store_save::hold(&mut tx, store, &kept.source_key, &kept.content_hash).await?;
    if !store_sync::delete(&mut tx, kept).await? {
        return Ok(false);
    }
    audit::store::append(&mut tx, &vanished(scope, kept, importer.clock.now())).await?;
    tx.commit().await?;
    Ok(true)
}

fn is_below(key: &str, place: &str) -> bool {
    let place = place.trim_end_matches('/');
    key.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn path_of(key: &str) -> &str {
    key.strip_prefix("path:").unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_above_what_is_in_it_and_nothing_else() {
        for (key, place, below) in [
            ("path:/a/b.txt", "path:/a", true),
            ("path:/a", "path:/a", true),
            ("path:/ab/c.txt", "path:/a", false),
            ("path:/a/b.txt", "path:/", true),
            ("upload:a", "path:/", false),
        ] {
            assert_eq!(is_below(key, place), below, "{key} {place}");
        }
    }
}
