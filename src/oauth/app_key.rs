//! What names one app among those of a tenant, in pages' addresses.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, de::Error};

/// Registrations that a person could not tell apart have one key, whatever their client ids are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AppKey([u8; 32]);

impl AppKey {
    /// As Postgres holds it.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }
}

/// From Postgres, whose constraints and functions know no other length.
impl From<Vec<u8>> for AppKey {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.try_into().expect("a SHA-256"))
    }
}

impl fmt::Display for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The text is not the hexadecimal of 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the key of an app")]
pub struct NotAKey;

impl FromStr for AppKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(|digit| b"0123456789abcdef".contains(digit)) {
            return Err(NotAKey);
        }
        let mut bytes = [0; 32];
        for (byte, place) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[place..place + 2], 16).map_err(|_| NotAKey)?;
        }
        Ok(Self(bytes))
    }
}

impl<'de> Deserialize<'de> for AppKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_printed() {
        let key = AppKey(std::array::from_fn(|place| u8::try_from(place * 8).unwrap()));
        assert_eq!(key.to_string().parse(), Ok(key));
        for bad in ["", "00", &"0".repeat(63), &"0".repeat(65), &"+1".repeat(32), &"é".repeat(32)]
        {
            assert_eq!(bad.parse::<AppKey>(), Err(NotAKey), "{bad}");
        }
    }
}
