//! The Postgres process: is it there, start it, stop it.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::time::sleep;

use super::Report;
use super::cluster::{Cluster, require_room};
use super::error::{EmbeddedError, While};
use super::launch::{spawn, tail};
use super::process::Process;

/// Recovery after a crash reads at most `max_wal_size` of log; this is far beyond that.
const READY_WITHIN: Duration = Duration::from_secs(600);
const STOPPED_WITHIN: Duration = Duration::from_secs(60);
const ORPHANS_GONE_WITHIN: Duration = Duration::from_secs(30);
const GLANCE: Duration = Duration::from_millis(10);
const SOCKET: &str = ".s.PGSQL.5432";

/// What `postmaster.pid` says.
#[derive(Clone, Debug)]
pub(super) struct Postmaster {
    pub(super) pid: Pid,
    pub(super) socket_folder: PathBuf,
    status: String,
}

impl Postmaster {
    /// The Postgres of this cluster if it runs, in whatever state.
    pub(super) fn find(cluster: &Path) -> Option<Self> {
        Self::recorded(cluster).filter(|found| found.runs_in(cluster))
    }

    /// What the file says, which a crash can leave behind.
    fn recorded(cluster: &Path) -> Option<Self> {
        let text = fs::read_to_string(cluster.join("postmaster.pid")).ok()?;
        let mut lines = text.lines();
        let pid = lines.next()?.trim().parse().ok().filter(|pid| *pid > 1)?;
        let socket_folder = lines.nth(3).unwrap_or_default().into(); // line 5
        let status = lines.nth(2).unwrap_or_default().trim().to_owned(); // line 8
        Some(Self { pid: Pid::from_raw(pid), socket_folder, status })
    }

    /// Whether the process is Postgres, in this folder. Where we may not know, its socket tells.
    fn runs_in(&self, cluster: &Path) -> bool {
        match Process::of(self.pid, cluster) {
            Process::Postmaster => true,
            Process::Other => false,
            Process::Hidden => UnixStream::connect(self.socket_folder.join(SOCKET)).is_ok(),
        }
    }
}

/// Find the running Postgres of the cluster or start it; in the end it answers.
pub(super) async fn find_or_start(
    install: &Path,
    cluster: &Cluster,
    log: &Path,
    report: Report<'_>,
) -> Result<Postmaster, EmbeddedError> {
    if let Some(found) = Postmaster::find(&cluster.folder) {
        if found.status != "stopping" {
            return Wait::new(cluster, log, report).until_ready(None).await;
        }
        report("waiting for Postgres to stop, to start it again");
        gone(&found, cluster, STOPPED_WITHIN, log).await?;
    }
    forget_stranger(&cluster.folder)?;
    let patience = Instant::now();
    loop {
        let (child, said_from) = spawn(install, cluster, log)?;
        let waiting = Wait::new(cluster, log, report).until_ready(Some(child)).await;
        let Err(EmbeddedError::Start { .. }) = &waiting else { return waiting };
        let tail = tail(log, said_from);
        if tail.contains("No space left on device") {
            require_room(&cluster.folder)?;
        }
        if !tail.contains("pre-existing shared memory block") {
            return Err(EmbeddedError::Start { log: log.to_owned(), tail });
        }
        // A killed Postgres leaves children, which end as soon as they notice.
        if patience.elapsed() > ORPHANS_GONE_WITHIN {
            return Err(EmbeddedError::Orphans { cluster: cluster.folder.clone() });
        }
        sleep(20 * GLANCE).await;
    }
}

/// Stop Postgres: running transactions are rolled back, everything committed is kept.
pub(super) async fn stop(cluster: &Cluster, log: &Path) -> Result<(), EmbeddedError> {
    let Some(running) = Postmaster::find(&cluster.folder) else { return Ok(()) };
    signal(&running, Signal::SIGINT);
    if gone(&running, cluster, STOPPED_WITHIN, log).await.is_err() {
        signal(&running, Signal::SIGQUIT); // it recovers at the next start
        gone(&running, cluster, STOPPED_WITHIN, log).await?;
    }
    Ok(())
}

/// Ask Postgres to stop, and do not wait for it.
pub(super) fn ask_to_stop(cluster: &Path) {
    if let Some(running) = Postmaster::find(cluster) {
        signal(&running, Signal::SIGINT);
    }
}

fn signal(running: &Postmaster, signal: Signal) {
    // It may have ended on its own; whoever called looks whether it is gone.
    let _ = kill(running.pid, signal);
}

async fn gone(
    running: &Postmaster,
    cluster: &Cluster,
    within: Duration,
    log: &Path,
) -> Result<(), EmbeddedError> {
    let since = Instant::now();
    while Process::of(running.pid, &cluster.folder) != Process::Other {
        if since.elapsed() > within {
            let (pid, seconds) = (running.pid.as_raw(), within.as_secs());
            return Err(EmbeddedError::WouldNotStop { pid, seconds, log: log.to_owned() });
        }
        sleep(GLANCE).await;
    }
    Ok(())
}

/// Drop a pid file whose number now belongs to a process that is proved to be somebody else's.
///
/// After a crash in a container, numbers repeat, and Postgres would take that process for its
/// twin. What is left of a real twin it recognises by its shared memory all the same.
fn forget_stranger(cluster: &Path) -> Result<(), EmbeddedError> {
    let path = cluster.join("postmaster.pid");
    let is_useless = match Postmaster::recorded(cluster) {
        Some(recorded) if Process::of(recorded.pid, cluster) == Process::Other => {
            let _ = fs::remove_file(recorded.socket_folder.join(format!("{SOCKET}.lock")));
            kill(recorded.pid, None).is_ok()
        }
        // It may be the twin after all: Postgres decides.
        Some(_) => false,
        None => path.exists(), // cut off by a full disk or a crash: useless to Postgres too
    };
    if is_useless {
        fs::remove_file(&path).while_("remove the stale", &path)?;
    }
    Ok(())
}

/// Waiting for Postgres to answer.
struct Wait<'a> {
    cluster: &'a Cluster,
    log: &'a Path,
    report: Report<'a>,
    since: Instant,
    reported: Duration,
}

impl<'a> Wait<'a> {
    fn new(cluster: &'a Cluster, log: &'a Path, report: Report<'a>) -> Self {
        Self { cluster, log, report, since: Instant::now(), reported: Duration::ZERO }
    }

    /// Wait for the process that we started, or for the one that runs.
    async fn until_ready(mut self, mut child: Option<Child>) -> Result<Postmaster, EmbeddedError> {
        loop {
            let ended = match &mut child {
                Some(child) => child.try_wait().while_("watch", self.log)?.is_some(),
                None => Postmaster::find(&self.cluster.folder).is_none(),
            };
            if ended {
                let (log, tail) = (self.log.to_owned(), tail(self.log, 0));
                return Err(EmbeddedError::Start { log, tail });
            }
            let found = Postmaster::recorded(&self.cluster.folder)
                .filter(|found| child.as_ref().is_none_or(|child| is(child, found.pid)));
            if let Some(ready) = found.filter(|found| found.status == "ready") {
                reap(child);
                return Ok(ready);
            }
            self.pause(child.as_ref()).await?;
        }
    }

    async fn pause(&mut self, child: Option<&Child>) -> Result<(), EmbeddedError> {
        let waited = self.since.elapsed();
        if waited > READY_WITHIN {
            let pid = child.and_then(Child::id).map_or(0, u32::cast_signed);
            let seconds = waited.as_secs();
            return Err(EmbeddedError::Slow { pid, seconds, log: self.log.to_owned() });
        }
        if waited - self.reported > Duration::from_secs(5) {
            self.reported = waited;
            (self.report)(&format!(
                "Postgres is starting or recovering ({} s so far)",
                waited.as_secs(),
            ));
        }
        sleep(GLANCE).await;
        Ok(())
    }
}

fn is(child: &Child, pid: Pid) -> bool {
    child.id().is_some_and(|id| id.cast_signed() == pid.as_raw())
}

/// Take note of the child's end whenever it comes, lest it stay behind as a zombie.
fn reap(child: Option<Child>) {
    if let Some(mut child) = child {
        tokio::spawn(async move { child.wait().await });
    }
}
