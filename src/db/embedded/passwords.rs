//! The passwords of one installation's private Postgres, made at random and kept in a file that
//! `psql` understands too (`PGPASSFILE`).

use std::fs;
use std::io;
use std::path::Path;

use super::error::{EmbeddedError, While};
use crate::secret;

/// The role that may do everything; used to set the database up, and for nothing else.
pub(super) const SUPERUSER: &str = "postgres";
/// The role that owns the database and migrates it.
pub(super) const OWNER: &str = "callslip";
/// The role that the server signs in as; it has no rights of its own.
pub(super) const APP: &str = "app_login";

/// One password a role.
pub(super) struct Passwords {
    pub(super) superuser: String,
    pub(super) owner: String,
    pub(super) app: String,
}

impl Passwords {
    pub(super) fn random() -> Self {
        Self { superuser: random_password(), owner: random_password(), app: random_password() }
    }

    /// Read what [`Self::write`] wrote.
    pub(super) fn read(path: &Path) -> Result<Self, EmbeddedError> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read.while_("read", path)?,
        };
        let of = |role: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(&format!("*:*:*:{role}:")))
                .filter(|password| !password.is_empty())
                .map(str::to_owned)
        };
        match (of(SUPERUSER), of(OWNER), of(APP)) {
            (Some(superuser), Some(owner), Some(app)) => Ok(Self { superuser, owner, app }),
            _ => Err(EmbeddedError::PasswordsLost(path.to_owned())),
        }
    }

    /// Write a `.pgpass` file that only its owner may read, and do not return before it is on disk.
    pub(super) fn write(&self, path: &Path) -> Result<(), EmbeddedError> {
        let roles = [(SUPERUSER, &self.superuser), (OWNER, &self.owner), (APP, &self.app)];
        let lines = roles.map(|(role, password)| format!("*:*:*:{role}:{password}\n"));
        secret::file::replace(path, &lines.concat()).while_("write", path)
    }
}

/// 256 bits in hexadecimal: safe in SQL, in a URL and in a `.pgpass` line.
fn random_password() -> String {
    rand::random::<[u8; 32]>().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_survive_the_file_and_a_damaged_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("postgres.pgpass");
        let passwords = Passwords::random();
        passwords.write(&path).unwrap();

        let read = Passwords::read(&path).unwrap();
        assert_eq!(read.app, passwords.app);
        assert_ne!(read.app, read.owner);

        fs::write(&path, "*:*:*:app_login:\n").unwrap();
        assert!(
            matches!(Passwords::read(&path), Err(EmbeddedError::PasswordsLost(p)) if p == path)
        );
    }
}
