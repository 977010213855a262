//! Bringing folders and files into the builtin store: again and again, with the same outcome.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::PathBuf,
};

use super::{
    extract::{MediaType, UNSUPPORTED, Unreadable},
    importer::{Importer, Source, source_key},
    ingest::Stage,
    records::{self, Sightings},
    report::Report,
    whole::{Tally, Whole, bring_in},
};
use crate::{db::TenantScope, fault::Fault, ids::VectorStoreId};

/// What [`import`] tells while it runs.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// How many bytes there are to read in all.
    Total(u64),
    /// About to read this source.
    Reading(&'a str),
    /// It, or what it holds, is this far.
    At(Stage),
    /// This many more bytes are done.
    Done(u64),
}

/// Hears of [`Progress`].
pub type Listener<'a> = &'a (dyn Fn(Progress<'_>) + Sync);

/// The largest file that is read whole.
const MAX_FILE: u64 = 256 * 1024 * 1024;

/// Bring in files and folders. Each document is its own transaction: running it again goes on
/// where it stopped. In folders, files of other kinds are passed over.
///
/// # Errors
/// When the database fails; what a file does wrong is in the [`Report`].
pub async fn import(
    importer: &Importer,
    scope: TenantScope,
    store: VectorStoreId,
    sources: &[PathBuf],
    progress: Listener<'_>,
) -> Result<Report, Fault> {
    let mut report = Report::default();
    let mut seen = Sightings::default();
    let Walked { files, unreadable, unsupported, .. } = walk(sources);
    for (source, reason) in unreadable {
        report.fail(&source, reason);
    }
    for source in unsupported {
        report.fail(&source, UNSUPPORTED);
    }
    progress(Progress::Total(files.iter().map(|file| file.size).sum()));
    for file in &files {
        let shown = file.path.display().to_string();
        progress(Progress::Reading(&shown));
        let source = Source {
            scope,
            store,
            key: file.key(),
            name: &file.name,
            bytes: &[],
            media: file.media,
            uploaded_by: None,
            origin: None,
            claim: None,
            kept: None,
            hears: Some(progress),
        };
        if file.media == MediaType::JsonLines {
            lines(importer, &source, file, progress, (&mut seen, &mut report)).await?;
            continue;
        }
        match read(file) {
            Ok(bytes) => {
                let source = Source { bytes: &bytes, ..source };
                let file = Whole { source, kind: "path", path: shown };
                let failures = report.failed.len();
                bring_in(importer, &file, &mut Tally::new(&mut report, &mut seen)).await?;
                if file.source.media == MediaType::Zip && report.failed.len() == failures {
                    report.read_whole(file.source.key);
                }
            }
            Err(Unreadable(reason)) => report.fail(&shown, reason),
        }
        progress(Progress::Done(file.size));
    }
    Ok(report)
}

/// A file to read.
pub(super) struct Found {
    pub(super) path: PathBuf,
    name: String,
    media: MediaType,
    pub(super) size: u64,
}

impl Found {
    /// What its document is called.
    pub(super) fn key(&self) -> String {
        source_key("path", &self.path.to_string_lossy())
    }
}

/// What is in the folders that were named.
#[derive(Default)]
pub(super) struct Walked {
    /// The files to read, in the order of their paths: the same order every time.
    pub(super) files: Vec<Found>,
    /// Where the walk began, and was able to.
    pub(super) roots: Vec<PathBuf>,
    /// What could not be looked at, and why.
    pub(super) unreadable: Vec<(String, String)>,
    /// Files that were named and are of no kind that is read.
    unsupported: Vec<String>,
}

/// Look for files.
pub(super) fn walk(sources: &[PathBuf]) -> Walked {
    let mut walked = Walked::default();
    for source in sources {
        // The whole path is the document's key, so that `docs` and `./docs` are one.
        let Ok(root) = source.canonicalize() else {
            let gone = "there is no such file or folder".to_owned();
            walked.unreadable.push((source.display().to_string(), gone));
            continue;
        };
        let named = root.is_file();
        for entry in walkdir::WalkDir::new(&root).sort_by_file_name() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    let reason = format!("cannot be read: {error}");
                    walked.unreadable.push((root.display().to_string(), reason));
                    continue;
                }
            };
            if !entry.file_type().is_file() {
                continue; // folders, and links, which could lead anywhere
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            let size = entry.metadata().map_or(0, |metadata| metadata.len());
            match MediaType::of_name(&name) {
                Some(media) => {
                    walked.files.push(Found { path: entry.into_path(), name, media, size });
                }
                None if named => walked.unsupported.push(root.display().to_string()),
                None => {}
            }
        }
        walked.roots.push(root);
    }
    walked
}

fn read(file: &Found) -> Result<Vec<u8>, Unreadable> {
    if file.size > MAX_FILE {
        return Err(Unreadable("the file is larger than 256 MiB".to_owned()));
    }
    let mut bytes = Vec::new();
    File::open(&file.path)
        .and_then(|open| open.take(MAX_FILE).read_to_end(&mut bytes))
        .map_err(|error| Unreadable(format!("cannot be read: {error}")))?;
    MediaType::detect(&file.name, &bytes)?;
    Ok(bytes)
}

async fn lines(
    importer: &Importer,
    source: &Source<'_>,
    file: &Found,
    progress: Listener<'_>,
    (seen, report): (&mut Sightings, &mut Report),
) -> Result<(), Fault> {
    let shown = file.path.display().to_string();
    let Ok(open) = File::open(&file.path) else {
        report.fail(&shown, "cannot be read");
        return Ok(());
    };
    let mut reader = BufReader::new(open);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        match reader.read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(read) => {
                records::line(importer, source, (number, &line), seen, report).await?;
                progress(Progress::Done(read as u64));
            }
            Err(error) => {
                report.fail(&shown, format!("line {number} cannot be read: {error}"));
                break;
            }
        }
    }
    Ok(())
}
