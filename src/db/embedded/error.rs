//! What can keep the private Postgres from running; every message says what to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why the private Postgres is not there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    #[error(
        "no Postgres programs in {0}: run scripts/demo once, which fetches them, or set \
         DATABASE_URL to a Postgres of your own"
    )]
    ProgramsMissing(PathBuf),

    #[error(
        "no database: run scripts/demo once, which fetches Postgres, or set CALLSLIP_POSTGRES_DIR \
         to the folder of its programs, or DATABASE_URL to a Postgres of your own"
    )]
    ProgramsUnknown,

    #[error(
        "Postgres refuses to run as root and this system has neither a user `postgres` nor a user \
         `nobody`: create one (useradd --system postgres), or run this command as a normal user"
    )]
    NoAccount,

    #[error(
        "{cluster} belongs to user id {uid}, which has no name on this system: give the folder to \
         an existing user (chown -R postgres {cluster}), or choose another CALLSLIP_DATA_DIR"
    )]
    NamelessOwner { cluster: PathBuf, uid: u32 },

    #[error(
        "{cluster} belongs to {owner}, and this command runs as another user: run it as {owner} or \
         as root, or choose another CALLSLIP_DATA_DIR"
    )]
    OtherOwner { cluster: PathBuf, owner: String },

    #[error(
        "user `{account}`, as which Postgres has to run, may not enter {folder}: let it \
         (chmod o+x {folder}), or choose a place outside that folder with {variable}"
    )]
    ClosedFolder { folder: PathBuf, account: String, variable: &'static str },

    #[error(
        "the disk of {folder} is full ({free_mb} MB free, {needed_mb} MB needed): free some space, \
         or choose another CALLSLIP_DATA_DIR"
    )]
    DiskFull { folder: PathBuf, free_mb: u64, needed_mb: u64 },

    #[error(
        "{0} is missing or damaged, and without the passwords in it the database cannot be opened: \
         restore it from a backup, or move the whole data folder away to start anew"
    )]
    PasswordsLost(PathBuf),

    #[error(
        "the short folder {0} for the database socket exists and is not private to the user of \
         Postgres: remove it, or choose a CALLSLIP_DATA_DIR with a shorter path"
    )]
    SocketFolder(PathBuf),

    #[error("Postgres could not create its folder {cluster}. It said:\n{said}")]
    Initdb { cluster: PathBuf, said: String },

    #[error("Postgres did not start. The end of its log, {log}:\n{tail}")]
    Start { log: PathBuf, tail: String },

    #[error(
        "processes of a Postgres that was killed still use {cluster}: wait until they have ended, \
         or end them (fuser {cluster}), and try again"
    )]
    Orphans { cluster: PathBuf },

    #[error("Postgres (process {pid}) is not ready after {seconds} s; its log is {log}")]
    Slow { pid: i32, seconds: u64, log: PathBuf },

    #[error("Postgres (process {pid}) did not stop within {seconds} s; its log is {log}")]
    WouldNotStop { pid: i32, seconds: u64, log: PathBuf },

    #[error("the private Postgres runs, but refused to be set up: {0}")]
    Setup(#[from] sqlx::Error),

    #[error("could not {doing} {path}: {source}{advice}", advice = Advice(source))]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
}

/// What to do about an error of the operating system.
struct Advice<'a>(&'a io::Error);

impl fmt::Display for Advice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                ": free some space, or choose another CALLSLIP_DATA_DIR"
            }
            io::ErrorKind::PermissionDenied => {
                ": run this command as the user that owns the data folder, or choose another \
                 CALLSLIP_DATA_DIR"
            }
            io::ErrorKind::ReadOnlyFilesystem => ": choose a CALLSLIP_DATA_DIR that can be written",
            _ => "",
        })
    }
}

/// Puts the act and the path to an error of the operating system.
pub(super) trait While<T> {
    fn while_(self, doing: &'static str, path: &Path) -> Result<T, EmbeddedError>;
}

impl<T> While<T> for io::Result<T> {
    fn while_(self, doing: &'static str, path: &Path) -> Result<T, EmbeddedError> {
        self.map_err(|source| EmbeddedError::Io { doing, path: path.to_owned(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_answered_with_what_to_do() {
        let full: io::Result<()> = Err(io::ErrorKind::StorageFull.into());
        let said = full.while_("write", Path::new("/data/x")).unwrap_err().to_string();
        assert!(said.starts_with("could not write /data/x: "), "{said}");
        assert!(said.ends_with("free some space, or choose another CALLSLIP_DATA_DIR"), "{said}");
    }
}
