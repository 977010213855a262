//! Running in the background.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Listeners, Metrics, Note, Stop};
use crate::config::Config;

const GLANCE: Duration = Duration::from_millis(50);
/// Long steps say how they go; one that says nothing for this long goes nowhere.
const SILENT_FOR: Duration = Duration::from_secs(120);

/// Start ourselves again, without the terminal, and return when the server is ready.
pub(super) async fn start(config: &Config) -> Result<(), Stop> {
    drop(Listeners::bind(config, Metrics::Anywhere).await?); // who answers there later is the child, and nobody else
    let path = config.data_dir.join("demo.log");
    let failed = |error: io::Error| Stop(format!("cannot write {}: {error}", path.display()));
    fs::create_dir_all(&config.data_dir).map_err(failed)?;
    let mut options = File::options();
    let log = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
    let log = log.map_err(failed)?;
    let errors = log.try_clone().map_err(failed)?;
    let mut child = Command::new(std::env::current_exe().map_err(Stop::because)?)
        .args(["demo", "--in-background"])
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .map_err(Stop::because)?;
    wait_until_ready(&mut child, config, &path, SILENT_FOR).await?;
    let note = Note::read(&config.data_dir)?;
    note.map_or(Ok(()), |note| note.print(config))?;
    println!("Its log is {}; end it with: scripts/demo --stop", path.display());
    Ok(())
}

/// Wait until the child answers that it is ready, or give it up.
async fn wait_until_ready(
    child: &mut Child,
    config: &Config,
    log: &Path,
    silent_for: Duration,
) -> Result<(), Stop> {
    let failed = |error: io::Error| Stop(format!("cannot read {}: {error}", log.display()));
    let mut said = Said::of(log).map_err(failed)?;
    let mut last_word = Instant::now();
    while !is_ready(config).await {
        if said.show() {
            last_word = Instant::now();
        }
        require_alive(child, log)?;
        if last_word.elapsed() > silent_for {
            give_up(child);
            let text = fs::read_to_string(log).map_err(failed)?;
            let lines: Vec<&str> = text.lines().collect();
            return Err(Stop(format!(
                "it was stopped, for it was not ready and had said nothing for {} s. The end of \
                 its log, {}:\n{}",
                silent_for.as_secs(),
                log.display(),
                lines[lines.len().saturating_sub(20)..].join("\n"),
            )));
        }
        tokio::time::sleep(GLANCE).await;
    }
    said.show();
    require_alive(child, log) // it was this one that answered
}

/// Ask the child to end; it takes its Postgres with it.
fn give_up(child: &Child) {
    let pid = Pid::from_raw(child.id().cast_signed());
    let _ = kill(pid, Signal::SIGTERM); // it may have ended on its own
}

/// Become a session of our own: closing the terminal ends others, not us.
pub(super) fn leave_terminal() -> Result<(), Stop> {
    nix::unistd::setsid().map(|_| ()).map_err(Stop::because)
}

fn require_alive(child: &mut Child, log: &Path) -> Result<(), Stop> {
    match child.try_wait().map_err(Stop::because)? {
        None => Ok(()),
        Some(_) => Err(Stop(format!("it did not start; its log is {}", log.display()))),
    }
}

async fn is_ready(config: &Config) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(config.listen).await?;
        let host = config.public_url.authority();
        let request = format!("GET /readyz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut status = [0; 12];
        stream.read_exact(&mut status).await?;
        io::Result::Ok(status.ends_with(b" 200"))
    };
    timeout(Duration::from_secs(1), ask).await.is_ok_and(|answer| answer.unwrap_or(false))
}

/// What the child says of its long steps, shown as it comes; its log lines stay in the file.
struct Said {
    file: File,
    unfinished: String,
}

impl Said {
    fn of(log: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(log)?, unfinished: String::new() })
    }

    /// Whether there was anything.
    fn show(&mut self) -> bool {
        let mut shown = false;
        let _ = self.file.read_to_string(&mut self.unfinished); // shown on the way, no more
        while let Some((line, rest)) = self.unfinished.split_once('\n') {
            if line.starts_with("  ") || line.starts_with("callslip: ") {
                eprintln!("{line}");
                shown = true;
            }
            self.unfinished = rest.to_owned();
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A child that lives and never gets ready is given up, with what it said last.
    #[tokio::test]
    async fn a_child_that_never_gets_ready_is_not_waited_for_without_end() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("demo.log");
        fs::write(&log, "the last that it said\n").unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap(); // it never answers
        let listen = port.local_addr().unwrap().to_string();
        let config = Config::of(&[("CALLSLIP_LISTEN", &listen)]);
        let mut child = Command::new("sleep").arg("3600").spawn().unwrap();

        let waited = wait_until_ready(&mut child, &config, &log, Duration::ZERO).await;
        let Stop(said) = waited.unwrap_err();
        assert!(said.ends_with("the last that it said"), "{said}");
        assert!(!child.wait().unwrap().success(), "it was told to end");
    }
}
