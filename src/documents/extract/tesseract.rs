//! Text recognition by Tesseract, where it is installed: the pages of a PDF that have no text.
//!
//! Pictures of such pages come from one child ([`super::scans`]), one at a time, and each is read by
//! Tesseract in another, behind walls of its own ([`super::sandbox`]).

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use tokio::{
    process::Command,
    time::{Instant, timeout},
};

use super::{Extractor, MediaType, Member, Parsed, parent::converse};
use crate::fault::Fault;

/// Where it is looked for.
const PLACES: [&str; 3] =
    ["/usr/bin/tesseract", "/usr/local/bin/tesseract", "/opt/homebrew/bin/tesseract"];
/// How long it may take to say which languages it reads.
const LISTED_WITHIN: Duration = Duration::from_secs(10);
/// How long one file may take: a book of 300 pages on one processor.
const MOST_TIME: Duration = Duration::from_secs(600);
/// A page is not longer.
const MOST_PAGE: usize = 1 << 20;

/// How many pages were read so, in a document's metadata.
const READ: &str = "pages_read_from_images";

/// The program, and how it is run.
#[derive(Clone, Debug)]
pub struct Tesseract {
    program: PathBuf,
    /// As in `eng+deu`.
    languages: String,
    /// Whether it can tell how a page was laid on the glass.
    orients: bool,
}

impl Tesseract {
    /// Where it usually is; `None` where it is not.
    #[must_use]
    pub fn usual_place() -> Option<&'static Path> {
        PLACES.into_iter().map(Path::new).find(|place| place.is_file())
    }

    /// Make sure that it runs, behind walls that hold. The languages are those named, or all that
    /// it has.
    ///
    /// # Errors
    /// What is wrong, for the operator.
    pub async fn find(
        extractor: &Extractor,
        program: &Path,
        languages: &[String],
    ) -> Result<Self, String> {
        let mut check = extractor.command("--recognize");
        if !matches!(ran(check.arg("--check")).await, Some(output) if output.status.success()) {
            return Err("it cannot be locked in here, which takes Linux with Landlock".to_owned());
        }
        let mut list = Command::new(program);
        list.arg("--list-langs").env_clear().stdin(Stdio::null()).kill_on_drop(true);
        let listed = ran(&mut list).await.filter(|output| output.status.success());
        let Some(text) = listed.and_then(|output| String::from_utf8(output.stdout).ok()) else {
            return Err(format!("{} does not say which languages it reads", program.display()));
        };
        let known: Vec<&str> = text.lines().skip(1).map(str::trim).collect();
        let wanted: Vec<&str> = match languages {
            [] => known.iter().copied().filter(|name| !["osd", "equ", ""].contains(name)).collect(),
            named => named.iter().map(String::as_str).collect(),
        };
        if wanted.is_empty() || wanted.iter().any(|name| !known.contains(name)) {
            return Err(format!("{} does not read these languages", program.display()));
        }
        let orients = known.contains(&"osd");
        Ok(Self { program: program.to_owned(), languages: wanted.join("+"), orients })
    }

    /// What it is run with, after the name of the program.
    fn arguments(&self) -> [&str; 6] {
        let layout = if self.orients { "1" } else { "3" };
        ["stdin", "stdout", "-l", &self.languages, "--psm", layout]
    }
}

async fn ran(command: &mut Command) -> Option<Output> {
    timeout(LISTED_WITHIN, command.output()).await.ok()?.ok()
}

impl Extractor {
    /// Give the silent pages of a PDF the text that their pictures show.
    pub(super) async fn recognize(&self, bytes: &[u8], parsed: &mut Parsed) -> Result<(), Fault> {
        let Some(tesseract) = &self.tesseract else { return Ok(()) };
        let until = Instant::now() + MOST_TIME;
        let mut read = 0;
        let mut next = silent(parsed, 0);
        // A page may end the child that looks for its picture: another goes on behind it.
        while let Some(from) = next {
            let number = from.to_string();
            let arguments = ["--pictures", number.as_str()];
            let mut pictures = self.open_as(MediaType::Pdf, &arguments, bytes).await?;
            let mut behind = from + 1;
            while Instant::now() < until
                && let Some((page, picture)) = page(pictures.next().await?)
                && page < parsed.sections.len()
            {
                behind = page + 1;
                let Some(picture) = picture else { continue };
                if let Some(text) = self.look(tesseract, &picture).await? {
                    parsed.sections[page] = text;
                    read += 1;
                }
            }
            next = silent(parsed, behind).filter(|_| Instant::now() < until);
        }
        note(parsed, read);
        Ok(())
    }

    /// What a picture says; `None` where it says nothing, or cannot be read.
    async fn look(&self, tesseract: &Tesseract, picture: &[u8]) -> Result<Option<String>, Fault> {
        let _place = self.places.acquire().await?;
        let mut command = self.command("--recognize");
        let mut child = command.arg(&tesseract.program).args(tesseract.arguments()).spawn()?;
        let Ok(outcome) = timeout(self.wall, converse(&mut child, picture)).await else {
            return Ok(None);
        };
        let outcome = outcome?;
        let text = String::from_utf8_lossy(&outcome.output);
        let is_good = outcome.status.success() && text.len() <= MOST_PAGE;
        Ok((is_good && !text.trim().is_empty()).then(|| text.replace('\u{c}', "\n")))
    }
}

/// The first page from here on that has no text.
fn silent(parsed: &Parsed, from: usize) -> Option<usize> {
    let sections = parsed.sections.iter().enumerate().skip(from);
    sections.filter(|(_, text)| text.trim().is_empty()).map(|(page, _)| page).next()
}

/// A page's number with its picture, if there is one; `None` at the end, whatever brought it.
fn page(member: Member) -> Option<(usize, Option<Vec<u8>>)> {
    match member {
        Member::File(name, picture) => Some((name.parse().ok()?, Some(picture))),
        Member::Refused(name, _) => Some((name.parse().ok()?, None)),
        Member::Failed(_) | Member::End => None,
    }
}

/// Say in the metadata how many pages have their text from where.
fn note(parsed: &mut Parsed, read: usize) {
    const SILENT: &str = "pages_without_text";
    if read == 0 {
        return;
    }
    parsed.metadata.insert(READ.to_owned(), read.to_string());
    let silent = parsed.metadata.get(SILENT).and_then(|count| count.parse::<usize>().ok());
    match silent.unwrap_or(0).saturating_sub(read) {
        0 => drop(parsed.metadata.remove(SILENT)),
        left => drop(parsed.metadata.insert(SILENT.to_owned(), left.to_string())),
    }
}
