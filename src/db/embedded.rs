//! A private Postgres below the data folder, for installations without one of their own.
//!
//! Several processes share it (the server, an import): each holds a shared lock on
//! `postgres.users` for as long as it uses it. Whoever comes first starts Postgres, whoever
//! leaves last stops it, and a process that is killed loses its lock and nothing else: Postgres
//! runs on and the next process finds it. Files in the data folder:
//!
//! | file | what |
//! |---|---|
//! | `postgres/` | the cluster and its socket, private to the user that runs Postgres |
//! | `postgres.log` | what Postgres says |
//! | `postgres.pgpass` | the passwords, mode 0600 |
//! | `postgres.users`, `postgres.start` | locks; their content means nothing |

mod account;
mod cluster;
mod error;
mod launch;
mod passwords;
mod postmaster;
mod setup;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use url::form_urlencoded::byte_serialize;

use cluster::Cluster;
pub use error::EmbeddedError;
use error::While;
use passwords::{APP, OWNER, Passwords};
use postmaster::Postmaster;

/// Our share in the private Postgres of a data folder.
///
/// Give it back with [`release`](Self::release). When it is only dropped, the last user asks
/// Postgres to stop without waiting for it.
pub struct Embedded {
    owner_url: String,
    app_url: String,
    log: PathBuf,
    cluster: Cluster,
    users: File,
}

impl Embedded {
    /// Attach to the private Postgres of `data_dir`, starting (and on first use creating) it when
    /// it is not running.
    ///
    /// `install` holds the programs (`bin/postgres`); `report` is told what takes time.
    ///
    /// # Errors
    /// Whatever keeps Postgres from running, with what to do about it.
    pub async fn attach(
        install: &Path,
        data_dir: &Path,
        report: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Self, EmbeddedError> {
        if !install.join("bin/postgres").is_file() {
            return Err(EmbeddedError::ProgramsMissing(install.to_owned()));
        }
        let install = install.canonicalize().while_("open", install)?;
        let data_dir = open_data_dir(data_dir)?;
        let log = data_dir.join("postgres.log");

        // First the share, then the start: while we hold a share, nobody stops Postgres.
        let users = lock(&data_dir.join("postgres.users"), Lock::Shared, report).await?;
        let start = lock(&data_dir.join("postgres.start"), Lock::Exclusive, report).await?;
        let cluster = Cluster::find_or_create(&install, &data_dir, report).await?;
        let passwords = Passwords::read(&data_dir.join("postgres.pgpass"))?;
        let running = start_and_set_up(&install, &cluster, &log, &passwords, report).await?;
        drop(start);

        let url = |role: &str, password: &str| {
            let socket: String =
                byte_serialize(running.socket_folder.as_os_str().as_bytes()).collect();
            let database = setup::DATABASE;
            format!(
                "postgres://{role}:{password}@localhost/{database}?host={socket}&sslmode=disable"
            )
        };
        let (owner_url, app_url) = (url(OWNER, &passwords.owner), url(APP, &passwords.app));
        Ok(Self { owner_url, app_url, log, cluster, users })
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
    pub async fn release(self) -> Result<(), EmbeddedError> {
        if self.is_last() {
            // While we hold the lock alone, nobody attaches.
            postmaster::stop(&self.cluster, &self.log).await?;
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
            postmaster::ask_to_stop(&self.cluster.folder);
        }
    }
}

/// Says where, and no password.
impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded").field("cluster", &self.cluster.folder).finish_non_exhaustive()
    }
}

/// Find Postgres or start it, and see that it is complete.
///
/// Somebody who left without waiting may have told it to stop a moment ago; then it is started
/// anew.
async fn start_and_set_up(
    install: &Path,
    cluster: &Cluster,
    log: &Path,
    passwords: &Passwords,
    report: &(dyn Fn(&str) + Send + Sync),
) -> Result<Postmaster, EmbeddedError> {
    let mut attempts = 1..=3;
    loop {
        let running = postmaster::find_or_start(install, cluster, log, report).await?;
        match setup::complete(&running.socket_folder, passwords).await {
            Ok(()) => return Ok(running),
            Err(error) if setup::is_stopping(&error) && attempts.next().is_some() => {}
            Err(error) => return Err(error.into()),
        }
    }
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
async fn lock(
    path: &Path,
    kind: Lock,
    report: &(dyn Fn(&str) + Send + Sync),
) -> Result<File, EmbeddedError> {
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
