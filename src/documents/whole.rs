//! One file on its way in, with everything that it holds: an archive's members, a message's
//! attachments, a file's records. Each becomes a document, or a reason, of its own.

use std::{pin::Pin, time::Duration};

use tokio::time::Instant;

use super::{
    draft::Facts,
    extract::{MediaType, Member, Unreadable},
    importer::{Importer, Source, source_key},
    records::{self, Sightings},
    report::{Outcome, Report},
    room::FULL,
};
use crate::fault::Fault;

/// How deep files may hold files: an archive of messages with messages attached.
const MOST_DEPTH: usize = 3;
/// What one file may hold in all, however it is nested.
const MOST_MEMBERS: usize = 1_000;
const MOST_BYTES: u64 = 100 * 1024 * 1024;
/// How long an upload may go on with what one file holds.
const UPLOAD_TIME: Duration = Duration::from_secs(300);

/// A file, and where it is.
pub(super) struct Whole<'a> {
    pub(super) source: Source<'a>,
    /// `path` or `upload`.
    pub(super) kind: &'a str,
    /// `folder/mail.zip/2024/offer.eml`: shown, and with the kind its key.
    pub(super) path: String,
}

/// What has come of it so far, and what it may still take.
pub(super) struct Tally<'a> {
    report: &'a mut Report,
    seen: &'a mut Sightings,
    members: usize,
    bytes: u64,
    until: Option<Instant>,
    /// In what the file at hand is.
    inside: Vec<MediaType>,
    /// Nothing more is taken from this file.
    is_over: bool,
}

impl<'a> Tally<'a> {
    /// For a file from the operator's own disk.
    pub(super) const fn new(report: &'a mut Report, seen: &'a mut Sightings) -> Self {
        Self {
            report,
            seen,
            members: MOST_MEMBERS,
            bytes: MOST_BYTES,
            until: None,
            inside: Vec::new(),
            is_over: false,
        }
    }

    /// For a file that a person sent: others wait for their turn.
    pub(super) fn in_time(self) -> Self {
        Self { until: Some(Instant::now() + UPLOAD_TIME), ..self }
    }

    /// Whether there is time for another document; says so once if not.
    fn has_time(&mut self, path: &str) -> bool {
        if self.until.is_some_and(|until| Instant::now() > until) {
            let late = "reading all that the file holds takes longer than five minutes: this and \
                        what comes after it was not read; split the file";
            self.stop(path, late);
        }
        !self.is_over
    }

    /// Whether a member of this size may be looked at.
    fn may_hold(&mut self, path: &str, size: usize) -> bool {
        let size = size as u64;
        if self.members == 0 || self.bytes < size {
            let reason = "the file holds more than 1,000 members or 100 MiB in all: this and what \
                          comes after it was not read; split the file";
            self.stop(path, reason);
        } else {
            self.members -= 1;
            self.bytes -= size;
        }
        !self.is_over
    }

    fn stop(&mut self, path: &str, reason: &str) {
        if !self.is_over {
            self.report.fail(path, reason);
            self.is_over = true;
        }
    }

    fn count(&mut self, path: &str, outcome: Result<Outcome, Unreadable>) {
        self.report.count(path, outcome);
        self.heed();
    }

    /// Where one had no room, neither has the next.
    fn heed(&mut self) {
        self.is_over |= self.report.failed.last().is_some_and(|last| last.reason == FULL);
    }
}

/// Bring in a file and what it holds.
pub(super) async fn bring_in(
    importer: &Importer,
    file: &Whole<'_>,
    tally: &mut Tally<'_>,
) -> Result<(), Fault> {
    if !tally.has_time(&file.path) {
        return Ok(());
    }
    match file.source.media {
        MediaType::JsonLines => lines(importer, file, tally).await,
        MediaType::Zip => members(importer, file, tally).await,
        MediaType::Mail => message(importer, file, tally).await,
        _ => {
            let outcome = importer.file(&file.source).await?;
            tally.count(&file.path, outcome);
            Ok(())
        }
    }
}

async fn lines(importer: &Importer, file: &Whole<'_>, tally: &mut Tally<'_>) -> Result<(), Fault> {
    let shown = Source { name: &file.path, ..file.source.beside() };
    for (number, line) in file.source.bytes.split(|byte| *byte == b'\n').enumerate() {
        if !line.trim_ascii().is_empty()
            && !tally.has_time(&format!("{}:{}", file.path, number + 1))
        {
            break;
        }
        let place = (number + 1, line);
        records::line(importer, &shown, place, tally.seen, tally.report).await?;
        tally.heed();
    }
    Ok(())
}

/// A message after its attachments: once it is there, so are they, and it is passed over next time.
async fn message(
    importer: &Importer,
    file: &Whole<'_>,
    tally: &mut Tally<'_>,
) -> Result<(), Fault> {
    let source = &file.source;
    if let Some(id) = importer.unchanged(source).await? {
        tally.report.count(&file.path, Ok(Outcome::Unchanged(id)));
        return Ok(());
    }
    let outcome = match importer.read(source).await? {
        Ok(parsed) => {
            if parsed.holds_members {
                members(importer, file, tally).await?;
            }
            importer.parsed(source, parsed, Facts::default()).await?
        }
        Err(unreadable) => Err(unreadable),
    };
    tally.count(&file.path, outcome);
    Ok(())
}

async fn members(
    importer: &Importer,
    file: &Whole<'_>,
    tally: &mut Tally<'_>,
) -> Result<(), Fault> {
    let media = file.source.media;
    if media == MediaType::Zip && tally.inside.contains(&MediaType::Zip) {
        tally.report.fail(&file.path, "an archive inside an archive is not read: unpack it first");
        return Ok(());
    }
    if tally.inside.len() >= MOST_DEPTH {
        let reason = "the messages are attached to each other more than three deep: what this one \
                      holds was not read";
        tally.report.fail(&file.path, reason);
        return Ok(());
    }
    let mut members = importer.extractor.open(media, file.source.bytes).await?;
    tally.inside.push(media);
    while !tally.is_over {
        match members.next().await? {
            Member::File(name, bytes) => {
                let path = format!("{}/{name}", file.path);
                if tally.may_hold(&path, bytes.len()) {
                    member(importer, file, (&path, &bytes), tally).await?;
                }
            }
            Member::Refused(name, Unreadable(reason)) => {
                let path = format!("{}/{name}", file.path);
                if tally.may_hold(&path, 0) {
                    tally.report.fail(&path, reason);
                }
            }
            Member::Failed(Unreadable(reason)) => {
                tally.report.fail(&file.path, reason);
                break;
            }
            Member::End => break,
        }
    }
    tally.inside.pop();
    Ok(())
}

/// One member, which may hold others: hence the box.
fn member<'a>(
    importer: &'a Importer,
    file: &'a Whole<'_>,
    (path, bytes): (&'a str, &'a [u8]),
    tally: &'a mut Tally<'_>,
) -> Pin<Box<dyn Future<Output = Result<(), Fault>> + Send + 'a>> {
    Box::pin(async move {
        let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
        let media = match MediaType::detect(name, bytes) {
            Ok(media) => media,
            Err(Unreadable(reason)) => {
                tally.report.fail(path, reason);
                return Ok(());
            }
        };
        let key = source_key(file.kind, path);
        // Two members of one name would replace each other, this time and every time.
        if let Some(first) = tally.seen.note(&key, path) {
            let reason = format!("its name is that of {first} too: only one of them is kept");
            tally.report.fail(path, reason);
            return Ok(());
        }
        let source = Source { key, name, bytes, media, ..file.source.beside() };
        let member = Whole { source, kind: file.kind, path: path.to_owned() };
        bring_in(importer, &member, tally).await
    })
}
