//! Files with secrets in them, readable by their owner alone.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Replace `path` by a file of mode 0600 that holds `text`: at once, and on disk when this returns.
///
/// # Errors
/// When the folder cannot be written, or is full; then the old file is still there.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    place(path, text, |draft| fs::rename(draft, path))
}

/// Create `path` like [`replace`], but only if there is none: of several at once, one does.
///
/// # Errors
/// As [`replace`], and [`io::ErrorKind::AlreadyExists`].
pub fn create(path: &Path, text: &str) -> io::Result<()> {
    place(path, text, |draft| fs::hard_link(draft, path))
}

fn place(path: &Path, text: &str, act: impl Fn(&Path) -> io::Result<()>) -> io::Result<()> {
    // Nobody else's, and not what a process left that was killed: its number may be ours now.
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{:016x}.tmp", rand::random::<u64>()));
    let draft = PathBuf::from(draft);
    let placed = write(&draft, text).and_then(|()| act(&draft));
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return placed.and(Err(error)),
        _ => {} // renamed, or never there
    }
    placed?;
    // The name is on disk only when its folder is.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

fn write(draft: &Path, text: &str) -> io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_created_once_and_replaced_at_will() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        create(&path, "first").unwrap();
        let taken = create(&path, "second").unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        replace(&path, "third").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "third");

        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
    }
}
