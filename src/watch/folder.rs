//! A folder of the operator's: below a root that is named in the configuration, and below it in the
//! folder of the tenant.
//!
//! Links lead nowhere, here least of all: neither the walk nor the opening of a file follows one,
//! and the kernel holds that for every part of the path (`openat2` with `RESOLVE_BENEATH` and
//! `RESOLVE_NO_SYMLINKS`), whatever is exchanged in between.

use std::{
    fs::File,
    io::Read,
    os::fd::{AsFd, OwnedFd},
    path::{Component, Path, PathBuf},
    time::UNIX_EPOCH,
};

use nix::{
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
    sys::stat::Mode,
};

use super::{Found, Unavailable};

/// A folder below a tenant's own.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    /// `{root}/{tenant}`.
    base: PathBuf,
    /// Below it, with no way out.
    place: PathBuf,
}

impl Folder {
    /// The folder of this name in the first root that has a folder for the tenant.
    pub(super) fn find(roots: &[PathBuf], slug: &str, name: &str) -> Result<Self, Unavailable> {
        let place = inner(name).ok_or(Unavailable(
            "the folder is named by a path inside the tenant's own, without dots",
        ))?;
        if roots.is_empty() {
            return Err(Unavailable("the operator allows no folders: CALLSLIP_WATCH_ROOTS"));
        }
        let base = roots
            .iter()
            .map(|root| root.join(slug))
            .find(|base| base.symlink_metadata().is_ok_and(|found| found.is_dir()));
        let base = base.ok_or(Unavailable("the operator has no folder for this tenant"))?;
        let folder = Self { base, place };
        folder.open(Path::new(""), OFlag::O_DIRECTORY)?;
        Ok(folder)
    }

    /// Every file in it, up to so many.
    pub(super) fn list(&self, most: usize) -> Result<Vec<Found>, Unavailable> {
        // Still the folder that it was, and no link.
        self.open(Path::new(""), OFlag::O_DIRECTORY)?;
        let root = self.base.join(&self.place);
        let mut found = Vec::new();
        for entry in walkdir::WalkDir::new(&root).follow_root_links(false).sort_by_file_name() {
            let entry = entry.map_err(|_| NOT_WHOLE)?;
            if !entry.file_type().is_file() {
                continue;
            }
            let (Ok(below), Ok(metadata)) = (entry.path().strip_prefix(&root), entry.metadata())
            else {
                return Err(NOT_WHOLE);
            };
            let Some(path) = below.to_str() else { continue };
            let changed =
                metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            let changed = changed.map_or(0, |at| at.as_nanos());
            let size = metadata.len();
            found.push(Found { path: path.to_owned(), mark: format!("{changed} {size}"), size });
            if found.len() > most {
                return Err(Unavailable("the folder holds more than 10,000 files"));
            }
        }
        Ok(found)
    }

    /// A file's content.
    pub(super) fn read(&self, path: &str, most: usize) -> Result<Vec<u8>, Unavailable> {
        let below = inner(path).ok_or(GONE)?;
        let file = File::from(self.open(&below, OFlag::O_NONBLOCK)?);
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Err(GONE);
        }
        let mut bytes = Vec::new();
        let ceiling = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
        file.take(ceiling).read_to_end(&mut bytes).map_err(|_| GONE)?;
        if bytes.len() > most {
            return Err(Unavailable("the file is larger than 25 MiB"));
        }
        Ok(bytes)
    }

    fn open(&self, below: &Path, flags: OFlag) -> Result<OwnedFd, Unavailable> {
        let base = File::open(&self.base).map_err(|_| GONE)?;
        let path = self.place.join(below);
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path.as_path() };
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | flags)
            .mode(Mode::empty())
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
        openat2(base.as_fd(), path, how).map_err(|_| GONE)
    }
}

const GONE: Unavailable = Unavailable("there is no such folder or file, or it is a link");
const NOT_WHOLE: Unavailable = Unavailable("the folder could not be read whole");

/// A path that leads down and nowhere else.
fn inner(name: &str) -> Option<PathBuf> {
    let path = Path::new(name.trim_matches('/'));
    let leads_down = path.components().all(|part| matches!(part, Component::Normal(_)));
    let is_short = name.len() <= 512 && !name.contains(char::is_control);
    (leads_down && is_short).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn names(folder: &Folder) -> Vec<String> {
        folder.list(10).unwrap().into_iter().map(|found| found.path).collect()
    }

    #[test]
    fn a_folder_leads_down_and_nowhere_else() {
        let root = tempfile::tempdir().unwrap();
        let roots = [root.path().to_owned()];
        let own = root.path().join("acme/docs");
        fs::create_dir_all(own.join("deep")).unwrap();
        fs::create_dir_all(root.path().join("zeta")).unwrap();
        fs::write(root.path().join("zeta/secret.txt"), "theirs").unwrap();
        fs::write(own.join("a.txt"), "ours").unwrap();
        fs::write(own.join("deep/b.txt"), "ours too").unwrap();
        symlink(root.path().join("zeta/secret.txt"), own.join("link.txt")).unwrap();
        symlink(root.path().join("zeta"), own.join("there")).unwrap();
        symlink(root.path().join("zeta"), root.path().join("acme/linked")).unwrap();
        symlink(root.path().join("zeta"), root.path().join("other")).unwrap();

        let folder = Folder::find(&roots, "acme", "docs").unwrap();
        assert_eq!(names(&folder), ["a.txt", "deep/b.txt"]);
        assert_eq!(folder.read("deep/b.txt", 100).unwrap(), b"ours too");
        assert_eq!(names(&Folder::find(&roots, "acme", "").unwrap()).len(), 2);
        for path in ["link.txt", "there/secret.txt", "../../zeta/secret.txt", "/etc/passwd", "deep"]
        {
            assert!(folder.read(path, 100).is_err(), "{path}");
        }
        assert!(folder.read("a.txt", 3).unwrap_err().0.contains("25 MiB"));
        for name in
            ["..", "../zeta", "docs/../../zeta", "linked", "linked/x", "none", "a\0b", "./x"]
        {
            assert!(Folder::find(&roots, "acme", name).is_err(), "{name}");
        }
        assert!(Folder::find(&roots, "other", "").is_err(), "a link is no tenant's folder");
        assert!(Folder::find(&[], "acme", "docs").is_err());

        // What was a folder when it was chosen is a link now.
        fs::rename(&own, root.path().join("acme/moved")).unwrap();
        symlink(root.path().join("zeta"), &own).unwrap();
        assert!(folder.list(10).is_err() && folder.read("secret.txt", 100).is_err());
    }
}
