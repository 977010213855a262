//! Places that a vector store follows: a folder of the operator's, or a bucket behind the S3 API.
//!
//! 1. An admin names the place; it must answer before it is kept ([`save`]), and a bucket's key is
//!    sealed like every credential.
//! 2. Every five minutes, or when somebody asks, one node at a time looks at it ([`Watcher`]): the
//!    lease is in Postgres, and a node that lost it changes nothing any more (`round`).
//! 3. What is new or looks different, by modification time or `ETag` and size, goes into the queue of
//!    `documents::ingest` as a person's upload does. What is gone is withdrawn, once all that is new
//!    has been read: a file under another name keeps its document.
//!
//! A listing that fails, that is cut short or that is empty removes nothing.

mod bucket;
mod folder;
mod listing;
mod round;
mod sigv4;
pub mod store;
mod store_round;

use std::path::PathBuf;

use time::OffsetDateTime;
use uuid::Uuid;

pub use round::Watcher;

use crate::{
    audit::{self, Actor, Event, Kind},
    clock::Clock,
    db::{TenantScope, TenantTx},
    fault::Fault,
    ids::{UserId, VectorStoreId},
    outbound::Outbound,
    secret::{Secret, seal::MasterKey},
    tenants::vault,
};
use bucket::Bucket;
use folder::Folder;

/// How many files a place may hold: as many as a tenant may have documents.
const MOST_FILES: usize = 10_000;

/// A file there, and how it looks from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    path: String,
    mark: String,
    size: u64,
}

/// Why a place, or a file in it, could not be looked at: in our own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable(pub &'static str);

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Below the tenant's own folder in a root that the operator allows.
    Folder(String),
    /// Behind the S3 API.
    Bucket {
        /// `https://s3.eu-central-1.amazonaws.com`: the bucket is named in the path.
        endpoint: String,
        /// Its name.
        bucket: String,
        /// For the signature.
        region: String,
        /// What the keys of its objects begin with.
        prefix: String,
        /// The half of the credentials that is no secret.
        access_key_id: String,
    },
}

impl Place {
    /// `folder` or `bucket`, for the audit.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Folder(_) => "folder",
            Self::Bucket { .. } => "bucket",
        }
    }
}

/// A place that a store follows, and what came of it.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Where it is.
    pub place: Place,
    /// When it was last looked at.
    pub looked_at: Option<OffsetDateTime>,
    /// Whether somebody looks at the moment.
    pub is_running: bool,
    /// Why the last look came to nothing.
    pub failure: Option<String>,
    /// How many files of a kind that is read there were.
    pub files: i32,
    /// How many of these are still to be read.
    pub waiting: i32,
    /// How many documents went because their files did.
    pub removed: i64,
}

/// What it takes to look at places.
#[derive(Clone, Debug)]
pub struct Context {
    /// Now.
    pub clock: Clock,
    /// The guarded HTTP client.
    pub outbound: Outbound,
    /// What data keys are wrapped with.
    pub master_key: MasterKey,
    /// Where folders may be.
    pub roots: Vec<PathBuf>,
}

/// A place that can be looked at.
#[derive(Clone, Debug)]
enum Source {
    Folder(Folder),
    Bucket(Bucket),
}

impl Context {
    /// The place with what opens it.
    fn source(
        &self,
        slug: &str,
        place: &Place,
        secret: Option<Secret>,
    ) -> Result<Source, Unavailable> {
        match (place, secret) {
            (Place::Folder(name), _) => Folder::find(&self.roots, slug, name).map(Source::Folder),
            (Place::Bucket { .. }, None) => Err(Unavailable("its secret key is gone")),
            (Place::Bucket { endpoint, bucket, region, prefix, access_key_id }, Some(secret)) => {
                Ok(Source::Bucket(Bucket {
                    endpoint: endpoint.clone(),
                    name: bucket.clone(),
                    region: region.clone(),
                    prefix: prefix.clone(),
                    access_key_id: access_key_id.clone(),
                    secret,
                }))
            }
        }
    }

    async fn list(&self, source: &Source) -> Result<Result<Vec<Found>, Unavailable>, Fault> {
        match source {
            Source::Folder(folder) => {
                let folder = folder.clone();
                Ok(tokio::task::spawn_blocking(move || folder.list(MOST_FILES)).await?)
            }
            Source::Bucket(bucket) => bucket.list((&self.outbound, &self.clock), MOST_FILES).await,
        }
    }

    async fn read(
        &self,
        source: &Source,
        path: &str,
        most: usize,
    ) -> Result<Result<Vec<u8>, Unavailable>, Fault> {
        match source {
            Source::Folder(folder) => {
                let (folder, path) = (folder.clone(), path.to_owned());
                Ok(tokio::task::spawn_blocking(move || folder.read(&path, most)).await?)
            }
            Source::Bucket(bucket) => bucket.read((&self.outbound, &self.clock), path, most).await,
        }
    }
}

/// A place that an admin wants followed.
#[derive(Debug)]
pub struct New {
    /// Where.
    pub place: Place,
    /// What opens a bucket.
    pub secret: Option<Secret>,
    /// Who wants it.
    pub user: UserId,
}

/// Whether a place answers.
///
/// # Errors
/// When we fail; when it does, that is [`Unavailable`].
pub async fn check(
    context: &Context,
    slug: &str,
    new: &New,
) -> Result<Result<(), Unavailable>, Fault> {
    let secret = new.secret.as_ref().map(|secret| Secret::new(secret.expose().to_owned()));
    let source = match context.source(slug, &new.place, secret) {
        Ok(source) => source,
        Err(unavailable) => return Ok(Err(unavailable)),
    };
    Ok(context.list(&source).await?.map(drop))
}

/// Follow a place from now on, in place of any before: see [`check`] first. `false` when there is no
/// such builtin store.
///
/// # Errors
/// When the database fails.
pub async fn save(
    tx: &mut TenantTx,
    context: &Context,
    store: VectorStoreId,
    (new, actor): (&New, &Actor),
) -> Result<bool, Fault> {
    let now = context.clock.now();
    let sealed = match &new.secret {
        Some(secret) => {
            let place = secret_place(store);
            Some(vault::seal(tx, &context.master_key, now, (&place, secret)).await?)
        }
        None => None,
    };
    if !store::save(tx, store, new, (sealed.as_deref(), now)).await? {
        return Ok(false);
    }
    let event = about(tx.scope(), Kind::WatchSaved, (store, now)).by(actor);
    audit::store::append(tx, &event.with("place", new.place.kind())).await?;
    Ok(true)
}

/// Follow it no more; the documents stay. `false` when there was none.
///
/// # Errors
/// When the database fails.
pub async fn remove(
    tx: &mut TenantTx,
    store: VectorStoreId,
    actor: &Actor,
    now: OffsetDateTime,
) -> sqlx::Result<bool> {
    if !store::remove(tx, store).await? {
        return Ok(false);
    }
    let event = about(tx.scope(), Kind::WatchRemoved, (store, now)).by(actor);
    audit::store::append(tx, &event).await?;
    Ok(true)
}

fn about(scope: TenantScope, kind: Kind, (store, now): (VectorStoreId, OffsetDateTime)) -> Event {
    Event::new(kind, now).tenant(scope.tenant_id()).with("vector_store", store.to_string())
}

fn secret_place(store: VectorStoreId) -> String {
    format!("watched_places/secret_sealed/{store}")
}

/// A place that is this node's to look at for a while.
#[derive(Clone, Debug)]
struct Claim {
    scope: TenantScope,
    slug: String,
    store: VectorStoreId,
    owner: Uuid,
    fence: i64,
}
