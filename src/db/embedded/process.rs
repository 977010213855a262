//! Whose a process number is: a number alone can belong to anyone.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

/// What the system says of a process number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Process {
    /// The Postgres of the cluster that was asked about.
    Postmaster,
    /// Nobody, or proved to be something else.
    Other,
    /// Somebody, and we may not know who.
    Hidden,
}

impl Process {
    /// What `pid` is to the cluster in this folder.
    pub(super) fn of(pid: Pid, cluster: &Path) -> Self {
        if !Path::new("/proc/self/exe").exists() {
            return Self::listed(pid, cluster);
        }
        let process = Path::new("/proc").join(pid.to_string());
        match fs::read_link(process.join("exe")) {
            Ok(program) => Self::proved(
                program.file_name().is_some_and(|name| name.as_bytes().starts_with(b"postgres"))
                    && fs::read_link(process.join("cwd")).is_ok_and(|folder| folder == cluster),
            ),
            // Root needs CAP_SYS_PTRACE to look at others so closely; few containers have it.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                Self::by_command_line(&process, cluster)
            }
            // A zombie, or a thread of the kernel.
            Err(_) if process.exists() => Self::Other,
            // Gone, unless /proc is mounted so as to hide it (hidepid).
            Err(_) if kill(pid, None) == Err(Errno::ESRCH) => Self::Other,
            Err(_) => Self::Hidden,
        }
    }

    const fn proved(postmaster: bool) -> Self {
        if postmaster { Self::Postmaster } else { Self::Other }
    }

    /// By what everybody may read, which anybody may also write: so the user counts as well.
    fn by_command_line(process: &Path, cluster: &Path) -> Self {
        let (Ok(line), Ok(about), Ok(home)) =
            (fs::read(process.join("cmdline")), fs::metadata(process), fs::metadata(cluster))
        else {
            return if process.exists() { Self::Hidden } else { Self::Other };
        };
        let mut words = line.split(|byte| *byte == 0);
        let program = words.next().and_then(|word| word.rsplit(|byte| *byte == b'/').next());
        if program != Some(b"postgres".as_slice()) || about.uid() != home.uid() {
            return Self::Other; // so is a zombie, whose line is empty
        }
        match words.skip_while(|word| *word != b"-D").nth(1) {
            Some(folder) => Self::proved(folder == cluster.as_os_str().as_bytes()),
            None => Self::Hidden, // started by hand; the folder is in its environment
        }
    }

    /// Without `/proc`, which macOS has not.
    fn listed(pid: Pid, cluster: &Path) -> Self {
        let listed = Command::new("ps").args(["-o", "command=", "-p", &pid.to_string()]).output();
        Self::proved(listed.is_ok_and(|listed| {
            let command = String::from_utf8_lossy(&listed.stdout).into_owned();
            command.contains("postgres") && command.contains(&*cluster.to_string_lossy())
        }))
    }
}
