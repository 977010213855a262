//! Where the private Postgres keeps its files, and how they come to be.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

use super::Report;
use super::account::Account;
use super::error::{EmbeddedError, While};
use super::passwords::{Passwords, SUPERUSER};
use crate::secret;

/// Room that a new cluster needs, with some for the first documents.
const NEEDED_MB: u64 = 200;
/// Where clusters go whose data folder the user of Postgres cannot reach.
const SHARED_STATE: &str = "/var/lib/callslip";

/// A folder that `initdb` made, and whose it is.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    /// Absolute and free of symbolic links.
    pub(super) folder: PathBuf,
    pub(super) account: Account,
}

impl Cluster {
    /// Find the cluster of a data folder, or create it. The caller holds the start lock.
    pub(super) async fn find_or_create(
        install: &Path,
        data_dir: &Path,
        report: Report<'_>,
    ) -> Result<Self, EmbeddedError> {
        let door = data_dir.join("postgres");
        let folder = match door.canonicalize() {
            Ok(folder) => folder,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                create(install, &door, &data_dir.join("postgres.pgpass"), report).await?
            }
            Err(error) => return Err(error).while_("open", &door),
        };
        let account = Account::of_cluster(&folder)?;
        require_open(&account, &folder, "CALLSLIP_DATA_DIR")?;
        require_open(&account, &install.join("bin"), "CALLSLIP_POSTGRES_DIR")?;
        Ok(Self { folder, account })
    }
}

/// Refuse early, and precisely, what would otherwise be a bare "permission denied".
fn require_open(
    account: &Account,
    path: &Path,
    variable: &'static str,
) -> Result<(), EmbeddedError> {
    let account_name = || account.name.clone();
    account.closed_folder(path).map_or(Ok(()), |folder| {
        Err(EmbeddedError::ClosedFolder { folder, account: account_name(), variable })
    })
}

/// Create the cluster behind `door`: complete, or not at all.
async fn create(
    install: &Path,
    door: &Path,
    passwords: &Path,
    report: Report<'_>,
) -> Result<PathBuf, EmbeddedError> {
    let account = Account::for_new_cluster()?;
    require_open(&account, &install.join("bin"), "CALLSLIP_POSTGRES_DIR")?;
    let home = home_of_new_cluster(door, &account, report)?;
    require_room(home.parent().unwrap_or(&home))?;

    report(&format!("creating a private Postgres in {}", home.display()));
    let secrets = Passwords::random();
    secrets.write(passwords)?;
    let unfinished = home.with_extension("new");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).while_("remove the unfinished", &unfinished)?;
    }
    account.create_private_folder(&unfinished)?;
    initdb(install, &account, &unfinished, &secrets.superuser).await?;
    fs::rename(&unfinished, &home).while_("name", &home)?;
    if home != door {
        let _ = fs::remove_file(door); // a link to a cluster that is gone
        std::os::unix::fs::symlink(&home, door).while_("link", door)?;
    }
    home.canonicalize().while_("open", &home)
}

/// Behind the door itself, or, if the user of Postgres cannot get there, below `/var/lib`.
fn home_of_new_cluster(
    door: &Path,
    account: &Account,
    report: Report<'_>,
) -> Result<PathBuf, EmbeddedError> {
    let data_dir = door.parent().unwrap_or(door);
    let Some(closed) = account.closed_folder(data_dir) else { return Ok(door.to_owned()) };
    let shared = Path::new(SHARED_STATE);
    fs::create_dir_all(shared).while_("create", shared)?;
    require_open(account, shared, "CALLSLIP_DATA_DIR")?;
    let home = shared.join(format!("postgres-{:016x}", rand::random::<u64>()));
    report(&format!(
        "user `{}`, as which Postgres runs, may not enter {}: its files go to {}",
        account.name,
        closed.display(),
        home.display(),
    ));
    Ok(home)
}

/// Refuse a disk that is too full to work on.
pub(super) fn require_room(folder: &Path) -> Result<(), EmbeddedError> {
    let disk = statvfs(folder).map_err(Into::into).while_("look at the disk of", folder)?;
    // The width of these counters differs between systems.
    #[expect(clippy::useless_conversion, reason = "u32 on macOS")]
    let free_mb = (u64::from(disk.blocks_available()) * u64::from(disk.fragment_size())) >> 20;
    if free_mb < NEEDED_MB {
        let folder = folder.to_owned();
        return Err(EmbeddedError::DiskFull { folder, free_mb, needed_mb: NEEDED_MB });
    }
    Ok(())
}

async fn initdb(
    install: &Path,
    account: &Account,
    folder: &Path,
    password: &str,
) -> Result<(), EmbeddedError> {
    let password_file = folder.with_extension("password");
    secret::file::replace(&password_file, password).while_("write", &password_file)?;
    account.own(&password_file)?;
    let program = install.join("bin/initdb");
    let output = account
        .command(&program)
        .arg("--pgdata")
        .arg(folder)
        .arg("--pwfile")
        .arg(&password_file)
        .args(["--username", SUPERUSER, "--auth", "scram-sha-256", "--encoding", "UTF8"])
        // The same order and case rules on every system, whatever locales it has.
        .args(["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C"])
        .arg("--no-instructions")
        .output()
        .await;
    fs::remove_file(&password_file).while_("remove", &password_file)?;
    let output = output.while_("run", &program)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(EmbeddedError::Initdb { cluster: folder.to_owned(), said })
}
