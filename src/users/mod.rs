//! People who sign in, in any number of tenants.

pub mod password;
pub mod store;

use std::{fmt, str::FromStr};

use unicode_normalization::UnicodeNormalization;

use crate::ids::UserId;

/// A person. Never carries the password's hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Names them in the database.
    pub id: UserId,
    /// Normalised: see [`Email`].
    pub email: String,
    /// What people call them.
    pub name: String,
    /// Whether they run the installation.
    pub is_operator: bool,
}

/// An e-mail address in the one form that we store and compare: trimmed, NFC, lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Email(String);

impl Email {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an e-mail address looks like name@example.org")]
pub struct NotAnEmail;

impl FromStr for Email {
    type Err = NotAnEmail;

    /// One `@` with something on either side, no white space, 254 bytes at most. Whether mail
    /// arrives there is not ours to tell.
    fn from_str(text: &str) -> Result<Self, NotAnEmail> {
        // Lower case can undo NFC, so normalise after it.
        let email: String = text.trim().nfc().collect::<String>().to_lowercase().nfc().collect();
        let (local, domain) = email.split_once('@').ok_or(NotAnEmail)?;
        let fits = !local.is_empty()
            && !domain.is_empty()
            && !domain.contains('@')
            && email.len() <= 254
            && !email.chars().any(|c| c.is_control() || c.is_whitespace());
        if fits { Ok(Self(email)) } else { Err(NotAnEmail) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_one_form() {
        for text in ["ada@acme.example", " Ada@ACME.example\t", "ADA@acme.EXAMPLE"] {
            assert_eq!(text.parse::<Email>().unwrap().as_str(), "ada@acme.example");
        }
        assert_eq!(
            "Jose\u{301}@x.example".parse::<Email>().unwrap(),
            "JOSÉ@x.example".parse::<Email>().unwrap()
        );
        let long = format!("a@{}", "b".repeat(253));
        for bad in ["", "ada", "@acme", "ada@", "a@b@c", "a b@c", "a@b\nc", "a\0@b", &long] {
            assert_eq!(bad.parse::<Email>(), Err(NotAnEmail), "{bad:?}");
        }
    }
}
