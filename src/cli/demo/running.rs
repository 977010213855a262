//! Which process runs the demonstration of a data folder: the one that holds the lock on
//! `demo.pid`. A number alone can outlive its process and come to name another; a lock cannot.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Stop;

/// Longer than running requests and Postgres are given together.
const STOPPED_WITHIN: Duration = Duration::from_secs(120);

/// Our claim to a data folder, until it is dropped.
pub(super) struct Running {
    _lock: File,
}

impl Running {
    pub(super) fn claim(data_dir: &Path) -> Result<Self, Stop> {
        let path = path(data_dir);
        let failed = |error: io::Error| Stop(format!("cannot write {}: {error}", path.display()));
        let options = File::options().read(true).write(true).create(true).truncate(false).clone();
        let mut lock = options.open(&path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Stop("it is being started by another process".to_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| write!(lock, "{}", std::process::id()))
            .map_err(failed)?;
        Ok(Self { _lock: lock })
    }
}

/// The process that runs, if one does.
pub(super) fn find(data_dir: &Path) -> Result<Option<Pid>, Stop> {
    let path = path(data_dir);
    let failed = |error: io::Error| Stop(format!("cannot read {}: {error}", path.display()));
    let mut file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    match file.try_lock_shared() {
        Ok(()) => return Ok(None),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(failed)?;
    let pid = text.parse().ok().filter(|pid| *pid > 1).map(Pid::from_raw);
    pid.map(Some).ok_or_else(|| Stop("it is only just starting: try again".to_owned()))
}

/// Stop what runs and wait for it.
pub(super) async fn stop(data_dir: &Path) -> Result<(), Stop> {
    let Some(pid) = find(data_dir)? else {
        println!("Nothing runs on {}.", data_dir.display());
        return Ok(());
    };
    kill(pid, Signal::SIGINT)
        .map_err(|error| Stop(format!("cannot stop process {pid}: {error}")))?;
    let since = Instant::now();
    while find(data_dir)?.is_some() {
        if since.elapsed() > STOPPED_WITHIN {
            return Err(Stop(format!(
                "process {pid} has not stopped within {} s; its log is {}",
                STOPPED_WITHIN.as_secs(),
                data_dir.join("demo.log").display(),
            )));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("Stopped. Its data stays in {}.", data_dir.display());
    Ok(())
}

fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("demo.pid")
}
