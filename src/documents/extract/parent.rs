//! The parent's side of extraction: start, feed, bound, and put what went wrong into words.

use std::{
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use nix::sys::signal::Signal;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    sync::Semaphore,
};

use super::{Answer, MediaType, Members, Parsed, Tesseract, Unreadable, pdf, unreadable};
use crate::fault::Fault;

const WALL: Duration = Duration::from_secs(30);
const MAX_OUTPUT: u64 = 20 * 1024 * 1024;

/// Starts the child process that reads a file. Clones share a bound on how many run at once.
#[derive(Clone, Debug)]
pub struct Extractor {
    program: PathBuf,
    pub(super) places: Arc<Semaphore>,
    pub(super) wall: Duration,
    pub(super) tesseract: Option<Tesseract>,
}

impl Extractor {
    /// Run `program extract TYPE`.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let places = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let places = Arc::new(Semaphore::new(places));
        Self { program: program.into(), places, wall: WALL, tesseract: None }
    }

    /// Run this very executable, even after it was replaced on disk.
    #[must_use]
    pub fn this_program() -> Self {
        Self::new("/proc/self/exe")
    }

    /// With another time than 30 seconds for a file.
    #[must_use]
    pub fn within(self, wall: Duration) -> Self {
        Self { wall, ..self }
    }

    /// With text recognition for pages that have no text.
    #[must_use]
    pub fn with_tesseract(self, tesseract: Option<Tesseract>) -> Self {
        Self { tesseract, ..self }
    }

    /// Read a file of this kind.
    ///
    /// # Errors
    /// When the child cannot be started; what the file does wrong is [`Unreadable`].
    pub async fn extract(
        &self,
        media: MediaType,
        bytes: &[u8],
    ) -> Result<Result<Parsed, Unreadable>, Fault> {
        let read = self.read(media, bytes).await?;
        if media != MediaType::Pdf {
            return Ok(read);
        }
        let mut parsed = match read {
            Ok(parsed) => parsed,
            Err(unreadable) => return Ok(Err(unreadable)),
        };
        self.recognize(bytes, &mut parsed).await?;
        Ok(pdf::require_text(parsed))
    }

    async fn read(
        &self,
        media: MediaType,
        bytes: &[u8],
    ) -> Result<Result<Parsed, Unreadable>, Fault> {
        let _place = self.places.acquire().await?;
        let mut child = self.command(media.as_str()).spawn()?;
        match tokio::time::timeout(self.wall, converse(&mut child, bytes)).await {
            Ok(outcome) => Ok(judge(&outcome?)),
            Err(_) => Ok(Err(too_slow(self.wall))),
        }
    }

    /// Take what a file holds, an archive's members or a message's attachments, one at a time.
    ///
    /// The child waits while they are read: it takes none of the places.
    ///
    /// # Errors
    /// When the child cannot be started.
    pub async fn open(&self, media: MediaType, bytes: &[u8]) -> Result<Members, Fault> {
        self.open_as(media, &["--members"], bytes).await
    }

    /// The same, with these arguments for the child.
    pub(super) async fn open_as(
        &self,
        media: MediaType,
        arguments: &[&str],
        bytes: &[u8],
    ) -> Result<Members, Fault> {
        let mut child = self.command(media.as_str()).args(arguments).spawn()?;
        let stdin = child.stdin.take();
        let feed = async {
            if let Some(mut stdin) = stdin {
                let _ = stdin.write_all(bytes).await;
            }
        };
        // It reads all of the file before it says anything.
        let fed = tokio::time::timeout(self.wall, feed).await.is_ok();
        Ok(Members::new(child, if fed { self.wall } else { Duration::ZERO }))
    }

    /// `program extract …`
    pub(super) fn command(&self, what: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("extract")
            .arg(what)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        command
    }
}

pub(super) fn too_slow(wall: Duration) -> Unreadable {
    unreadable(format!("{TOO_SLOW} {} seconds", wall.as_secs()))
}

pub(super) struct Outcome {
    pub(super) status: ExitStatus,
    pub(super) output: Vec<u8>,
}

pub(super) async fn converse(child: &mut Child, bytes: &[u8]) -> std::io::Result<Outcome> {
    let stdin = child.stdin.take();
    let stdout = child.stdout.take();
    let feed = async {
        if let Some(mut stdin) = stdin {
            // The child may give up before it has read everything: its answer says why.
            let _ = stdin.write_all(bytes).await;
        }
    };
    let mut output = Vec::new();
    let listen = async {
        match stdout {
            Some(stdout) => stdout.take(MAX_OUTPUT + 1).read_to_end(&mut output).await.map(drop),
            None => Ok(()),
        }
    };
    let ((), heard) = tokio::join!(feed, listen);
    heard?;
    if output.len() as u64 > MAX_OUTPUT {
        child.start_kill()?;
    }
    Ok(Outcome { status: child.wait().await?, output })
}

/// Why a child that a signal ended could not go on.
pub(super) fn ended(status: ExitStatus) -> Option<Unreadable> {
    let signal = status.signal()?;
    Some(unreadable(match Signal::try_from(signal) {
        Ok(Signal::SIGXCPU | Signal::SIGKILL) => OUT_OF_CPU,
        _ => CRASHED,
    }))
}

fn judge(outcome: &Outcome) -> Result<Parsed, Unreadable> {
    if outcome.output.len() as u64 > MAX_OUTPUT {
        return Err(unreadable("the file unpacks to more than 20 MiB of text"));
    }
    if let Some(reason) = ended(outcome.status) {
        return Err(reason);
    }
    match serde_json::from_slice(&outcome.output) {
        Ok(Answer::Parsed(parsed)) if outcome.status.success() => Ok(parsed),
        Ok(Answer::Unreadable(reason)) if outcome.status.success() => Err(Unreadable(reason)),
        _ => Err(failed()),
    }
}

pub(super) fn failed() -> Unreadable {
    unreadable(FAILED)
}

const TOO_SLOW: &str = "reading the file took longer than";
const OUT_OF_CPU: &str =
    "reading the file took too much processor time: it may be damaged or hostile";
const CRASHED: &str =
    "the file makes its reader crash or run out of memory: it may be damaged or hostile";
const FAILED: &str = "the file makes its reader fail: it may be damaged";

impl Unreadable {
    /// Whether its reader came to an end that the machine may have had a part in.
    #[must_use]
    pub fn is_crash(&self) -> bool {
        [TOO_SLOW, OUT_OF_CPU, CRASHED, FAILED].iter().any(|reason| self.0.starts_with(reason))
    }
}
