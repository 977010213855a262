//! One look at one place.

use std::{
    collections::{HashMap, HashSet},
    time::Duration as StdDuration,
};

use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{
    Claim, Context, Found, Place, Source, Unavailable, secret_place, store,
    store_round::{self, Looked},
};
use crate::{
    audit::Origin,
    db::TenantScope,
    documents::{Importer, MAX_UPLOAD, Upload, extract::MediaType, ingest, sync},
    fault::Fault,
    tenants::vault,
};

/// How long until a place is looked at again.
const PAUSE: Duration = Duration::minutes(5);
/// How many files are read in one look; the others follow at once, after other tenants' places.
const AT_ONCE: usize = 20;
/// The longest that a look takes: a node that takes longer has lost its lease.
const LEASE: Duration = Duration::minutes(10);
const LIMIT: StdDuration = StdDuration::from_secs(9 * 60);

/// Looks at places whose turn it is. Clones are one node.
#[derive(Clone, Debug)]
pub struct Watcher {
    importer: Importer,
    context: Context,
    owner: Uuid,
}

impl Watcher {
    /// A node that puts what it finds into the queue.
    #[must_use]
    pub fn new(importer: Importer, context: Context) -> Self {
        Self { importer, context, owner: Uuid::new_v4() }
    }

    /// What it takes to look at places.
    #[must_use]
    pub const fn context(&self) -> &Context {
        &self.context
    }

    /// Look at the place that has waited longest; `false` when none waits.
    ///
    /// # Errors
    /// When the database fails. The place is looked at again when the lease is over.
    pub async fn look(&self) -> Result<bool, Fault> {
        let since = self.context.clock.now();
        let mut tx = self.importer.db.control().await?;
        let due = store_round::claim(&mut tx, self.owner, (since, since + LEASE)).await?;
        tx.commit().await?;
        let Some(due) = due else { return Ok(false) };
        #[expect(clippy::disallowed_methods, reason = "the place that is due names its tenant")]
        let scope = TenantScope::proven(due.tenant);
        let (slug, store, fence) = (due.slug, due.store, due.fence);
        let claim = Claim { scope, slug, store, owner: self.owner, fence };
        let looked = match tokio::time::timeout(LIMIT, self.look_at(&claim)).await {
            Ok(looked) => looked?,
            Err(_) => failed(Unavailable("looking at it took too long")),
        };
        self.finish(&claim, &looked, since).await?;
        Ok(true)
    }

    async fn finish(
        &self,
        claim: &Claim,
        looked: &Looked,
        since: OffsetDateTime,
    ) -> Result<(), Fault> {
        let now = self.context.clock.now();
        let is_more = looked.waiting > 0 && looked.failure.is_none();
        let next = if is_more { now } else { now + PAUSE };
        let mut tx = self.importer.db.tenant(claim.scope).await?;
        if store_round::hold(&mut tx, claim.store, (claim.owner, claim.fence)).await? {
            store_round::finish(&mut tx, claim.store, looked, (since, now, next)).await?;
            tx.commit().await?;
        }
        Ok(())
    }

    async fn look_at(&self, claim: &Claim) -> Result<Looked, Fault> {
        let Some((place, secret)) = self.open(claim).await? else { return Ok(Looked::default()) };
        let source = match self.context.source(&claim.slug, &place, secret) {
            Ok(source) => source,
            Err(unavailable) => return Ok(failed(unavailable)),
        };
        let found = match self.context.list(&source).await? {
            Ok(found) => found,
            Err(unavailable) => return Ok(failed(unavailable)),
        };
        let found: Vec<Found> = found.into_iter().filter(is_read).collect();
        let mut tx = self.importer.db.tenant(claim.scope).await?;
        let known = store_round::files(&mut tx, claim.store).await?;
        drop(tx);
        if found.is_empty() && !known.is_empty() {
            return Ok(failed(Unavailable("there is no file any more: nothing was removed")));
        }
        let marks: HashMap<&str, &str> =
            known.iter().map(|file| (file.path.as_str(), file.mark.as_str())).collect();
        let is_new = |file: &&Found| marks.get(file.path.as_str()) != Some(&file.mark.as_str());
        let new: Vec<&Found> = found.iter().filter(is_new).collect();
        let mut looked = Looked { files: found.len(), waiting: new.len(), ..Looked::default() };
        for file in new.iter().take(AT_ONCE) {
            match self.take(claim, &source, file).await? {
                Taken::Noted => looked.waiting -= 1,
                Taken::NotOurs => return Ok(looked),
                Taken::Stopped(unavailable) => {
                    return Ok(Looked { failure: Some(unavailable.0), ..looked });
                }
            }
        }
        if looked.waiting == 0 {
            let there: HashSet<&str> = found.iter().map(|file| file.path.as_str()).collect();
            for gone in known.iter().filter(|file| !there.contains(file.path.as_str())) {
                looked.removed += self.withdraw(claim, &gone.path).await?;
            }
        }
        Ok(looked)
    }

    async fn open(
        &self,
        claim: &Claim,
    ) -> Result<Option<(Place, Option<crate::secret::Secret>)>, Fault> {
        let now = self.context.clock.now();
        let mut tx = self.importer.db.tenant(claim.scope).await?;
        let Some(watched) = store::find(&mut tx, claim.store, now).await? else { return Ok(None) };
        let sealed = store_round::secret(&mut tx, claim.store).await?;
        let secret = match &sealed {
            Some(sealed) => {
                let place = secret_place(claim.store);
                let master = &self.context.master_key;
                Some(vault::open(&mut tx, master, (&place, sealed)).await?)
            }
            None => None,
        };
        Ok(Some((watched.place, secret)))
    }

    /// Put one file into the queue, or note why not.
    async fn take(&self, claim: &Claim, source: &Source, file: &Found) -> Result<Taken, Fault> {
        let noted = |outcome: Result<[u8; 32], String>| self.note(claim, file, outcome);
        if file.size > MAX_UPLOAD as u64 {
            return noted(Err("the file is larger than 25 MiB".to_owned())).await;
        }
        let bytes = match self.context.read(source, &file.path, MAX_UPLOAD).await? {
            Ok(bytes) => bytes,
            Err(Unavailable(reason)) => return noted(Err(reason.to_owned())).await,
        };
        let hash: [u8; 32] = Sha256::digest(&bytes).into();
        let mut tx = self.importer.db.tenant(claim.scope).await?;
        let is_ours = store_round::hold(&mut tx, claim.store, (claim.owner, claim.fence)).await?;
        drop(tx);
        if !is_ours {
            return Ok(Taken::NotOurs);
        }
        let upload = Upload {
            file_name: file.path.clone(),
            content: bytes.into(),
            uploaded_by: None,
            origin: Origin::default(),
        };
        let key = Some(ingest::watched_key(&file.path));
        match ingest::enqueue_as(&self.importer, claim.scope, claim.store, upload, key).await? {
            Ok(_) => noted(Ok(hash)).await,
            // It is taken when there is room again.
            Err(failure) if failure.reason == ingest::FULL => {
                Ok(Taken::Stopped(Unavailable(ingest::FULL)))
            }
            Err(failure) => noted(Err(failure.reason)).await,
        }
    }

    async fn note(
        &self,
        claim: &Claim,
        file: &Found,
        outcome: Result<[u8; 32], String>,
    ) -> Result<Taken, Fault> {
        let mut tx = self.importer.db.tenant(claim.scope).await?;
        if !store_round::hold(&mut tx, claim.store, (claim.owner, claim.fence)).await? {
            return Ok(Taken::NotOurs);
        }
        let outcome = outcome.as_ref().map_err(String::as_str);
        store_round::note(&mut tx, claim.store, (&file.path, &file.mark), outcome).await?;
        tx.commit().await?;
        Ok(Taken::Noted)
    }

    /// What was read from a file that is gone goes too, unless another one says the same.
    async fn withdraw(&self, claim: &Claim, path: &str) -> Result<i64, Fault> {
        let now = self.context.clock.now();
        let mut tx = self.importer.db.tenant(claim.scope).await?;
        if !store_round::hold(&mut tx, claim.store, (claim.owner, claim.fence)).await? {
            return Ok(0);
        }
        let heir = store_round::forget(&mut tx, claim.store, path).await?;
        let heir = heir.map(|heir| ingest::watched_key(&heir));
        let key = ingest::watched_key(path);
        let gone = sync::withdraw(&mut tx, claim.store, (&key, heir.as_deref()), now).await?;
        tx.commit().await?;
        Ok(gone)
    }
}

/// What came of one file.
enum Taken {
    /// It is in the queue, or it is known why not.
    Noted,
    /// Another node has the place.
    NotOurs,
    /// Nothing more is taken this time.
    Stopped(Unavailable),
}

fn failed(unavailable: Unavailable) -> Looked {
    Looked { failure: Some(unavailable.0), ..Looked::default() }
}

/// Whether a file is of a kind that is read, and of a name that can be kept.
fn is_read(file: &Found) -> bool {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    let is_short = file.path.chars().count() <= 500;
    is_short && !file.path.contains(char::is_control) && MediaType::of_name(name).is_some()
}
