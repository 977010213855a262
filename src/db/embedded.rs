//! A private Postgres below the data folder, for installations without one of their own.
//!
//! Several processes share it (the server, an import): each holds a shared lock on
//! `postgres.users` for as long as it uses it. Whoever comes first starts Postgres, whoever
//! leaves last stops it, and a process that is killed loses its lock and nothing else: Postgres
//! runs on and the next process finds it. A Postgres that is killed is started again by those
//! that use it. Files in the data folder:
//!
//! | file | what |
//! |---|---|
//! | `postgres/` | the cluster and its socket, private to the user that runs Postgres |
//! | `postgres.log` | what Postgres says |
//! | `postgres.pgpass` | the passwords, mode 0600 |
//! | `postgres.programs` | where the programs are that ran last |
//! | `postgres.users`, `postgres.start` | locks; their content means nothing |

mod account;
mod cluster;
mod error;
mod launch;
mod passwords;
mod postmaster;
mod process;
mod setup;
#[cfg(test)]
mod tests;
mod watch;

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use url::form_urlencoded::byte_serialize;

use crate::secret;

use cluster::Cluster;
pub use error::EmbeddedError;
use error::While;
use passwords::{APP, OWNER, Passwords};
use postmaster::Postmaster;
use watch::Watch;

/// Is told what takes time.
type Report<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// Names the socket; said outright wherever PGPORT could speak up instead.
const PORT: u16 = 5432;
/// The lock around starting.
const START: &str = "postgres.start";
/// Where the folder of the programs is remembered.
const PROGRAMS: &str = "postgres.programs";

/// Our share in the private Postgres of a data folder.
///
/// Give it back with [`release`](Self::release). When it is only dropped, the last user asks
/// Postgres to stop without waiting for it.
pub struct Embedded {
    owner_url: String,
    app_url: String,
    server: Server,
    users: File,
    watch: Option<Watch>,
}

/// Everything that it takes to start Postgres.
#[derive(Clone, Debug)]
struct Server {
    install: PathBuf,
    data_dir: PathBuf,
    cluster: Cluster,
    log: PathBuf,
}

impl Embedded {
    /// Attach to the private Postgres of `data_dir`, starting (and on first use creating) it when
    /// it is not running.
    ///
    /// `install` holds the programs (`bin/postgres`); without it, those that ran last are taken.
    /// `report` is told what takes time.
    ///
    /// # Errors
    /// Whatever keeps Postgres from running, with what to do about it.
    pub async fn attach(
        install: Option<&Path>,
        data_dir: &Path,
        report: Report<'_>,
    ) -> Result<Self, EmbeddedError> {
        let install = find_programs(install, data_dir)?;
        let data_dir = open_data_dir(data_dir)?;

        // First the share, then the start: while we hold a share, nobody stops Postgres.
        let users = lock(&data_dir.join("postgres.users"), Lock::Shared, report).await?;
        let start = lock(&data_dir.join(START), Lock::Exclusive, report).await?;
        let cluster = Cluster::find_or_create(&install, &data_dir, report).await?;
        let log = data_dir.join("postgres.log");
        let server = Server { install, data_dir, cluster, log };
        let passwords = Passwords::read(&server.data_dir.join("postgres.pgpass"))?;
        let running = server.start_and_set_up(&passwords, report).await?;
        remember_programs(&server)?;
        drop(start);

        let url = |role: &str, password: &str| url_of(role, password, &running);
        let (owner_url, app_url) = (url(OWNER, &passwords.owner), url(APP, &passwords.app));
        let watch = Some(Watch::over(server.clone()));
        Ok(Self { owner_url, app_url, server, users, watch })
    }

    /// The URL of the role that owns the database, for migrations.
    #[must_use]
    pub fn owner_url(&self) -> &str {
        &self.owner_url
    }

    /// The URL of `app_login`, the role that the server signs in as.
    #[must_use]
    pub fn app_url(&self) -> &str {
        &self.app_url
    }

    /// Stop Postgres if nobody else uses it.
    ///
    /// # Errors
    /// Postgres did not stop in time.
    pub async fn release(mut self) -> Result<(), EmbeddedError> {
        if let Some(watch) = self.watch.take() {
            watch.end().await;
        }
        if self.is_last() {
            // While we hold the lock alone, nobody attaches.
            postmaster::stop(&self.server.cluster, &self.server.log).await?;
        }
        Ok(())
    }

    /// Trade our share for the whole; of several that leave at once, one at most gets it.
    fn is_last(&self) -> bool {
        self.users.unlock().is_ok() && self.users.try_lock().is_ok()
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if self.is_last() {
            postmaster::ask_to_stop(&self.server.cluster.folder);
        }
    }
}

/// Says where, and no password.
impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Server {
    /// Find Postgres or start it, and see that it is complete. The caller holds the start lock.
    ///
    /// Somebody who left without waiting may have told it to stop a moment ago; then it is started
    /// anew.
    async fn start_and_set_up(
        &self,
        passwords: &Passwords,
        report: Report<'_>,
    ) -> Result<Postmaster, EmbeddedError> {
        let mut attempts = 1..=3;
        loop {
            let running = self.start(report).await?;
            match setup::complete(&running.socket_folder, passwords).await {
                Ok(()) => return Ok(running),
                Err(error) if setup::is_stopping(&error) && attempts.next().is_some() => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn start(&self, report: Report<'_>) -> Result<Postmaster, EmbeddedError> {
        postmaster::find_or_start(&self.install, &self.cluster, &self.log, report).await
    }

    /// Start it again if it is gone, which no user of it has asked for.
    async fn revive(&self) -> Result<(), EmbeddedError> {
        let start = lock(&self.data_dir.join(START), Lock::Exclusive, &|_| {}).await?;
        self.start(&|_| {}).await?;
        drop(start);
        Ok(())
    }
}

fn url_of(role: &str, password: &str, running: &Postmaster) -> String {
    let socket: String = byte_serialize(running.socket_folder.as_os_str().as_bytes()).collect();
    let database = setup::DATABASE;
    format!(
        "postgres://{role}:{password}@localhost:{PORT}/{database}?host={socket}&sslmode=disable"
    )
}

/// The folder of the programs: as given, or as remembered.
fn find_programs(given: Option<&Path>, data_dir: &Path) -> Result<PathBuf, EmbeddedError> {
    let install = match given {
        Some(given) => given.to_owned(),
        None => fs::read_to_string(data_dir.join(PROGRAMS))
            .map(PathBuf::from)
            .map_err(|_| EmbeddedError::ProgramsUnknown)?,
    };
    if !install.join("bin/postgres").is_file() {
        return Err(EmbeddedError::ProgramsMissing(install));
    }
    install.canonicalize().while_("open", &install)
}

fn remember_programs(server: &Server) -> Result<(), EmbeddedError> {
    let (path, programs) = (server.data_dir.join(PROGRAMS), server.install.to_string_lossy());
    if fs::read_to_string(&path).is_ok_and(|known| known == programs) {
        return Ok(());
    }
    secret::file::replace(&path, &programs).while_("write", &path)
}

/// The data folder, created if need be; others may pass through it but not look into it.
fn open_data_dir(data_dir: &Path) -> Result<PathBuf, EmbeddedError> {
    if !data_dir.exists() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o711)
            .create(data_dir)
            .while_("create", data_dir)?;
    }
    data_dir.canonicalize().while_("open", data_dir)
}

#[derive(Clone, Copy)]
enum Lock {
    Shared,
    Exclusive,
}

impl Lock {
    fn try_on(self, file: &File) -> Result<(), TryLockError> {
        match self {
            Self::Shared => file.try_lock_shared(),
            Self::Exclusive => file.try_lock(),
        }
    }

    fn wait_on(self, file: &File) -> io::Result<()> {
        match self {
            Self::Shared => file.lock_shared(),
            Self::Exclusive => file.lock(),
        }
    }
}

/// Lock a file; the lock ends with the process at the latest.
async fn lock(path: &Path, kind: Lock, report: Report<'_>) -> Result<File, EmbeddedError> {
    let opened = File::options().read(true).append(true).create(true).mode(0o600).open(path);
    let file = opened.while_("open", path)?;
    match kind.try_on(&file) {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(error).while_("lock", path),
    }
    report("waiting for another process that is starting or stopping Postgres");
    let waited = tokio::task::spawn_blocking(move || kind.wait_on(&file).map(|()| file)).await;
    waited.unwrap_or_else(|stopped| Err(io::Error::other(stopped))).while_("lock", path)
}
