//! The user as which Postgres runs: ourselves, or an unprivileged one when we are root.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::unistd::{Uid, User, getegid, geteuid};
use tokio::process::Command;

use super::error::{EmbeddedError, While};

/// Who runs Postgres.
#[derive(Clone, Debug)]
pub(super) struct Account {
    pub(super) name: String,
    uid: u32,
    gid: u32,
    /// We are root and become this user in the child.
    switches: bool,
}

impl Account {
    /// The user for a cluster that does not exist yet.
    pub(super) fn for_new_cluster() -> Result<Self, EmbeddedError> {
        if !geteuid().is_root() {
            return Ok(Self::ourselves());
        }
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map(Self::switching_to)
            .ok_or(EmbeddedError::NoAccount)
    }

    /// The user for a cluster that exists: its owner, since Postgres accepts no other.
    pub(super) fn of_cluster(cluster: &Path) -> Result<Self, EmbeddedError> {
        let uid = fs::metadata(cluster).while_("look at", cluster)?.uid();
        let owner = User::from_uid(Uid::from_raw(uid)).ok().flatten();
        let (us, cluster) = (geteuid(), cluster.to_owned());
        if us.as_raw() == uid && !us.is_root() {
            return Ok(Self::ourselves());
        }
        match owner {
            Some(owner) if us.is_root() && uid != 0 => Ok(Self::switching_to(owner)),
            Some(owner) => Err(EmbeddedError::OtherOwner { cluster, owner: owner.name }),
            None => Err(EmbeddedError::NamelessOwner { cluster, uid }),
        }
    }

    fn ourselves() -> Self {
        let uid = geteuid();
        let name = User::from_uid(uid).ok().flatten().map_or(uid.to_string(), |user| user.name);
        Self { name, uid: uid.as_raw(), gid: getegid().as_raw(), switches: false }
    }

    fn switching_to(user: User) -> Self {
        Self { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw(), switches: true }
    }

    /// A program of Postgres, about to run as this user, out of reach of the terminal's signals.
    ///
    /// It inherits nothing of our environment, which holds secrets and a locale that may not exist.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .envs([("LC_ALL", "C"), ("TZ", "UTC")])
            .current_dir("/")
            .stdin(Stdio::null())
            .process_group(0);
        if self.switches {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Create a folder that only this user may enter (and root).
    pub(super) fn create_private_folder(&self, folder: &Path) -> Result<(), EmbeddedError> {
        fs::create_dir(folder).while_("create", folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).while_("protect", folder)?;
        self.own(folder)
    }

    /// Hand a file or folder of ours to this user.
    pub(super) fn own(&self, path: &Path) -> Result<(), EmbeddedError> {
        if self.switches {
            chown(path, Some(self.uid), Some(self.gid)).while_("hand over", path)?;
        }
        Ok(())
    }

    /// Whether `folder` is a real folder, of this user, closed to everybody else.
    pub(super) fn alone_owns(&self, folder: &Path) -> io::Result<bool> {
        let about = fs::symlink_metadata(folder)?;
        Ok(about.is_dir() && about.uid() == self.uid && about.mode() & 0o077 == 0)
    }

    /// The topmost folder on the way to `path` (itself included) that this user may not enter.
    pub(super) fn closed_folder(&self, path: &Path) -> Option<PathBuf> {
        let mut way: Vec<&Path> = path.ancestors().collect();
        way.reverse();
        way.into_iter().find(|folder| !self.may_enter(folder)).map(Path::to_owned)
    }

    fn may_enter(&self, folder: &Path) -> bool {
        if !self.switches || folder == OsStr::new("") {
            return true; // as ourselves, the attempt itself will tell
        }
        fs::metadata(folder).is_ok_and(|about| {
            let bit = if about.uid() == self.uid {
                0o100
            } else if about.gid() == self.gid {
                0o010
            } else {
                0o001
            };
            about.mode() & bit != 0
        })
    }
}
