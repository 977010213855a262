//! Running in the background.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Listeners, Metrics, Note, Stop};
use crate::config::Config;

const GLANCE: Duration = Duration::from_millis(50);

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
    let mut said = Said::of(&path).map_err(failed)?;
    while !is_ready(config).await {
        said.show();
        require_alive(&mut child, &path)?;
        tokio::time::sleep(GLANCE).await;
    }
    said.show();
    require_alive(&mut child, &path)?; // it was this one that answered
    let note = Note::read(&config.data_dir)?;
    note.map_or(Ok(()), |note| note.print(config))?;
    println!("Its log is {}; end it with: scripts/demo --stop", path.display());
    Ok(())
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

    fn show(&mut self) {
        let _ = self.file.read_to_string(&mut self.unfinished); // shown on the way, no more
        while let Some((line, rest)) = self.unfinished.split_once('\n') {
            if line.starts_with("  ") || line.starts_with("callslip: ") {
                eprintln!("{line}");
            }
            self.unfinished = rest.to_owned();
        }
    }
}
