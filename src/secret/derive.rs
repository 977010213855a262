//! Secrets that can be made again: from a key of the server's and what somebody presented.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A key for one purpose, derived from the master key.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct DerivationKey([u8; 32]);

impl DerivationKey {
    /// HMAC-SHA256 of the purpose's name.
    pub(super) fn new(master: &[u8; 32], purpose: &str) -> Self {
        Self(hmac(master, purpose.as_bytes()))
    }

    /// What `input` leads to: unguessable without the key, and always the same.
    #[must_use]
    pub fn derive(&self, input: &[u8]) -> [u8; 32] {
        hmac(&self.0, input)
    }
}

impl fmt::Debug for DerivationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

fn hmac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}
