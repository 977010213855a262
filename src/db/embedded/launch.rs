//! The command line of Postgres: its settings, its socket, its log.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tokio::process::Child;

use super::PORT;
use super::cluster::Cluster;
use super::error::{EmbeddedError, While};

/// A Unix socket's path has room for 107 bytes; the names in its folder take this many of them.
const LONGEST_SOCKET_FOLDER: usize = 107 - "/.s.PGSQL.5432.lock".len();
/// A log beyond this is put aside at the next start.
const LARGEST_LOG: u64 = 16 << 20;

/// Start the process; also returns where in the log its words begin.
pub(super) fn spawn(
    install: &Path,
    cluster: &Cluster,
    log: &Path,
) -> Result<(Child, u64), EmbeddedError> {
    if fs::metadata(log).is_ok_and(|about| about.len() > LARGEST_LOG) {
        fs::rename(log, log.with_extension("log.old")).while_("put aside", log)?;
    }
    let output = File::options().append(true).create(true).mode(0o600).open(log);
    let output = output.while_("open", log)?;
    let said_from = output.metadata().while_("look at", log)?.len();
    let errors = output.try_clone().while_("open", log)?;

    let program = install.join("bin/postgres");
    let mut command = cluster.account.command(&program);
    command.arg("-D").arg(&cluster.folder);
    for (name, value) in settings(&socket_folder(cluster)?) {
        command.arg("-c").arg(format!("{name}={value}"));
    }
    let child = command.stdout(output).stderr(errors).spawn().while_("run", &program)?;
    Ok((child, said_from))
}

/// Beyond these, Postgres' own defaults; fsync above all stays on.
fn settings(socket_folder: &Path) -> Vec<(&'static str, String)> {
    let quoted = format!("\"{}\"", socket_folder.to_string_lossy().replace('"', "\"\""));
    let mut settings = vec![("unix_socket_directories", quoted), ("port", PORT.to_string())];
    settings.extend(
        [
            ("listen_addresses", ""),
            ("unix_socket_permissions", "0600"),
            // An idle installation should be small: pages beyond this are the system's to cache.
            ("shared_buffers", "64MB"),
            ("io_method", "sync"),
            ("max_logical_replication_workers", "0"),
            ("max_wal_size", "512MB"),
            ("timezone", "UTC"),
            ("log_timezone", "UTC"),
            ("log_line_prefix", "%m [%p] "),
            // The pool says "rollback" after every use: without this, a warning each time.
            ("log_min_messages", "error"),
            // Parameters hold what people ask and what documents say.
            ("log_parameter_max_length", "0"),
            ("log_parameter_max_length_on_error", "0"),
        ]
        .map(|(name, value)| (name, value.to_owned())),
    );
    settings
}

/// The cluster itself, or a short folder where its path is too long for a socket.
fn socket_folder(cluster: &Cluster) -> Result<PathBuf, EmbeddedError> {
    if cluster.folder.as_os_str().len() <= LONGEST_SOCKET_FOLDER {
        return Ok(cluster.folder.clone());
    }
    let hash = Sha256::digest(cluster.folder.as_os_str().as_bytes());
    let name: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let short = PathBuf::from(format!("/tmp/callslip-{name}"));
    match cluster.account.alone_owns(&short) {
        Ok(true) => Ok(short),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            cluster.account.create_private_folder(&short).map(|()| short)
        }
        _ => Err(EmbeddedError::SocketFolder(short)),
    }
}

/// What the log says from `from` on, but for the last lines only.
pub(super) fn tail(log: &Path, from: u64) -> String {
    let mut bytes = Vec::new();
    let read = File::open(log).and_then(|mut file| {
        file.seek(SeekFrom::Start(from))?;
        file.take(LARGEST_LOG).read_to_end(&mut bytes)
    });
    if let Err(error) = read {
        return format!("(unreadable: {error})");
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
