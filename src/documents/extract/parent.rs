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

use super::{Answer, MediaType, Parsed, Unreadable, unreadable};
use crate::fault::Fault;

const WALL: Duration = Duration::from_secs(30);
const MAX_OUTPUT: u64 = 20 * 1024 * 1024;

/// Starts the child process that reads a file. Clones share a bound on how many run at once.
#[derive(Clone, Debug)]
pub struct Extractor {
    program: PathBuf,
    places: Arc<Semaphore>,
    wall: Duration,
}

impl Extractor {
    /// Run `program extract TYPE`.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let places = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { program: program.into(), places: Arc::new(Semaphore::new(places)), wall: WALL }
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

    /// Read a file of this kind.
    ///
    /// # Errors
    /// When the child cannot be started; what the file does wrong is [`Unreadable`].
    pub async fn extract(
        &self,
        media: MediaType,
        bytes: &[u8],
    ) -> Result<Result<Parsed, Unreadable>, Fault> {
        let _place = self.places.acquire().await?;
        let mut child = Command::new(&self.program)
            .arg("extract")
            .arg(media.as_str())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        match tokio::time::timeout(self.wall, converse(&mut child, bytes)).await {
            Ok(outcome) => Ok(judge(&outcome?)),
            Err(_) => {
                let seconds = self.wall.as_secs();
                Ok(Err(unreadable(format!("reading the file took longer than {seconds} seconds"))))
            }
        }
    }
}

struct Outcome {
    status: ExitStatus,
    output: Vec<u8>,
}

async fn converse(child: &mut Child, bytes: &[u8]) -> std::io::Result<Outcome> {
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

fn judge(outcome: &Outcome) -> Result<Parsed, Unreadable> {
    if outcome.output.len() as u64 > MAX_OUTPUT {
        return Err(unreadable("the file unpacks to more than 20 MiB of text"));
    }
    if let Some(signal) = outcome.status.signal() {
        return Err(unreadable(match Signal::try_from(signal) {
            Ok(Signal::SIGXCPU | Signal::SIGKILL) => {
                "reading the file took too much processor time: it may be damaged or hostile"
            }
            _ => {
                "the file makes its reader crash or run out of memory: it may be damaged or hostile"
            }
        }));
    }
    match serde_json::from_slice(&outcome.output) {
        Ok(Answer::Parsed(parsed)) if outcome.status.success() => Ok(parsed),
        Ok(Answer::Unreadable(reason)) if outcome.status.success() => Err(Unreadable(reason)),
        _ => Err(unreadable("the file makes its reader fail: it may be damaged")),
    }
}
