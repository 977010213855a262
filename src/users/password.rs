//! Passwords: what may be one, and how it is hashed (spec rows W-20 to W-25).

mod hashing;
mod rules;

use std::fmt;

use unicode_normalization::UnicodeNormalization;

use crate::secret::Secret;
pub use hashing::{Busy, Cost, Hashing, Place, Verdict};
pub use rules::Unfit;

/// The most bytes that are ever hashed: more is refused before any work is done.
const MOST_BYTES: usize = 1024;

/// A password as somebody gave it, normalised to NFC and otherwise untouched: not trimmed, not
/// truncated, every character counts.
#[derive(Clone)]
pub struct Password(Secret);

/// Longer than 1,024 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a password has at most 1,024 bytes")]
pub struct TooLong;

impl Password {
    /// One that somebody presents in order to sign in: any that is not too long to be hashed.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn presented(text: &str) -> Result<Self, TooLong> {
        if text.len() > MOST_BYTES {
            return Err(TooLong);
        }
        let normal: String = text.nfc().collect();
        // NFC can lengthen a text in rare scripts.
        if normal.len() > MOST_BYTES { Err(TooLong) } else { Ok(Self(Secret::new(normal))) }
    }

    /// One that somebody chooses. `about` holds what others know of them: name, address, tenant.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn chosen(text: &str, about: &[&str]) -> Result<Self, Unfit> {
        let password = Self::presented(text).map_err(|TooLong| Unfit::TooLong)?;
        rules::require_fit(password.0.expose(), about)?;
        Ok(password)
    }

    /// A fresh one of 125 random bits, in groups that can be read aloud.
    #[must_use]
    pub fn generate() -> Self {
        const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
        let random: [u8; 25] = rand::random();
        let groups: Vec<String> = random
            .chunks(5)
            .map(|group| {
                group.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect()
            })
            .collect();
        Self(Secret::new(groups.join("-")))
    }

    /// The text itself: for hashing, and for showing a generated one once.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// An argon2id hash with its salt and cost, as a PHC string. Debug does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// As the database holds it.
    #[must_use]
    pub(super) const fn stored(text: String) -> Self {
        Self(text)
    }

    /// The PHC string, for storing it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [W-22] Length is bounded in bytes, before hashing; nothing is cut off; NUL counts.
    #[test]
    fn a_password_is_taken_whole_or_not_at_all() {
        assert_eq!(Password::presented(&"x".repeat(1024)).unwrap().expose().len(), 1024);
        assert_eq!(Password::presented(&"x".repeat(1025)).unwrap_err(), TooLong);
        assert_eq!(Password::presented(&"é".repeat(513)).unwrap_err(), TooLong);
        assert_eq!(Password::presented(" a\0b ").unwrap().expose(), " a\0b ");
        let composed = Password::presented("pass é word").unwrap();
        assert_eq!(Password::presented("pass e\u{301} word").unwrap().expose(), composed.expose());
    }

    #[test]
    fn a_generated_password_is_fit_and_secret() {
        let generated = Password::generate();
        assert!(Password::chosen(generated.expose(), &[]).is_ok());
        assert_ne!(generated.expose(), Password::generate().expose());
        assert_eq!(format!("{generated:?}"), "***");
    }
}
