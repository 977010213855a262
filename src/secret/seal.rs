//! Sealing: XChaCha20-Poly1305 with associated data that names the place a secret belongs to.
//!
//! A [`MasterKey`] (the installation's) wraps [`DataKey`]s (a tenant's); a data key seals values.
//! The associated data binds a ciphertext to its tenant, column and row, so one that is copied to
//! another row does not open.

use std::fmt;

use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, KeyInit, Payload},
};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::derive::DerivationKey;

/// The key that the installation's other keys are sealed with: 32 bytes.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey([u8; 32]);

/// A key for one tenant's secrets.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct DataKey([u8; 32]);

/// The ciphertext does not belong here, was changed, or was sealed with another key.
#[derive(Debug, thiserror::Error)]
#[error("a sealed value does not open: wrong key, changed, or moved from its place")]
pub struct CannotOpen;

impl MasterKey {
    /// A fresh key.
    #[must_use]
    pub fn generate() -> Self {
        Self(rand::random())
    }

    /// From 64 hexadecimal digits, as kept in the key file.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let text = text.trim().as_bytes();
        if text.len() != 64 {
            return None;
        }
        let mut key = [0; 32];
        for (byte, digits) in key.iter_mut().zip(text.chunks_exact(2)) {
            let digits = std::str::from_utf8(digits).ok()?;
            *byte = u8::from_str_radix(digits, 16).ok()?;
        }
        Some(Self(key))
    }

    /// 64 hexadecimal digits: for writing the key file.
    #[must_use]
    pub fn to_hex(&self) -> Zeroizing<String> {
        use fmt::Write;
        let mut text = Zeroizing::new(String::with_capacity(64));
        for byte in self.0 {
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// A key for one purpose: other purposes, and sealing, do not share it.
    #[must_use]
    pub fn derivation_key(&self, purpose: &str) -> DerivationKey {
        DerivationKey::new(&self.0, purpose)
    }

    /// A key that seals for one purpose: the same every time, and on every node.
    #[must_use]
    pub fn sealing_key(&self, purpose: &str) -> DataKey {
        DataKey(self.derivation_key(purpose).derive(b"seal"))
    }

    /// Seal `plain` for the place that `context` names.
    #[must_use]
    pub fn seal(&self, plain: &[u8], context: &str) -> Vec<u8> {
        seal(&self.0, plain, context)
    }

    /// Open what [`MasterKey::seal`] made for the same `context`.
    ///
    /// # Errors
    /// [`CannotOpen`].
    pub fn open(&self, sealed: &[u8], context: &str) -> Result<Zeroizing<Vec<u8>>, CannotOpen> {
        open(&self.0, sealed, context)
    }
}

impl DataKey {
    /// A fresh key.
    #[must_use]
    pub fn generate() -> Self {
        Self(rand::random())
    }

    /// Wrapped for storage; `context` names the tenant and the key's version.
    #[must_use]
    pub fn wrap(&self, master: &MasterKey, context: &str) -> Vec<u8> {
        master.seal(&self.0, context)
    }

    /// The reverse of [`DataKey::wrap`].
    ///
    /// # Errors
    /// [`CannotOpen`].
    pub fn unwrap_with(
        wrapped: &[u8],
        master: &MasterKey,
        context: &str,
    ) -> Result<Self, CannotOpen> {
        let plain = master.open(wrapped, context)?;
        Ok(Self(plain.as_slice().try_into().map_err(|_| CannotOpen)?))
    }

    /// Seal `plain` for the place that `context` names.
    #[must_use]
    pub fn seal(&self, plain: &[u8], context: &str) -> Vec<u8> {
        seal(&self.0, plain, context)
    }

    /// Open what [`DataKey::seal`] made for the same `context`.
    ///
    /// # Errors
    /// [`CannotOpen`].
    pub fn open(&self, sealed: &[u8], context: &str) -> Result<Zeroizing<Vec<u8>>, CannotOpen> {
        open(&self.0, sealed, context)
    }
}

/// Nonce (24 bytes), then ciphertext and tag.
fn seal(key: &[u8; 32], plain: &[u8], context: &str) -> Vec<u8> {
    let nonce: [u8; 24] = rand::random();
    let payload = Payload { msg: plain, aad: context.as_bytes() };
    let sealed = XChaCha20Poly1305::new(key.into())
        .encrypt(&XNonce::from(nonce), payload)
        .expect("encryption fails only for messages beyond 256 GiB");
    [nonce.as_slice(), &sealed].concat()
}

fn open(key: &[u8; 32], sealed: &[u8], context: &str) -> Result<Zeroizing<Vec<u8>>, CannotOpen> {
    let (nonce, sealed) = sealed.split_at_checked(24).ok_or(CannotOpen)?;
    let nonce: [u8; 24] = nonce.try_into().map_err(|_| CannotOpen)?;
    let payload = Payload { msg: sealed, aad: context.as_bytes() };
    XChaCha20Poly1305::new(key.into())
        .decrypt(&XNonce::from(nonce), payload)
        .map(Zeroizing::new)
        .map_err(|_| CannotOpen)
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_in_its_place() {
        let master = MasterKey::generate();
        let key = DataKey::generate();
        let sealed = key.seal(b"sk-secret", "tenant/a/vector_stores/1/api_key");
        assert_eq!(&**key.open(&sealed, "tenant/a/vector_stores/1/api_key").unwrap(), b"sk-secret");
        assert!(key.open(&sealed, "tenant/b/vector_stores/1/api_key").is_err());
        assert!(DataKey::generate().open(&sealed, "tenant/a/vector_stores/1/api_key").is_err());
        let mut changed = sealed.clone();
        changed[30] ^= 1;
        assert!(key.open(&changed, "tenant/a/vector_stores/1/api_key").is_err());
        assert!(key.open(&sealed[..10], "tenant/a/vector_stores/1/api_key").is_err());

        let wrapped = key.wrap(&master, "tenant/a/1");
        let again = DataKey::unwrap_with(&wrapped, &master, "tenant/a/1").unwrap();
        assert!(again.open(&sealed, "tenant/a/vector_stores/1/api_key").is_ok());
        assert!(DataKey::unwrap_with(&wrapped, &master, "tenant/b/1").is_err());
    }

    #[test]
    fn a_master_key_survives_its_file() {
        let master = MasterKey::generate();
        let again = MasterKey::from_hex(&master.to_hex()).unwrap();
        assert!(again.open(&master.seal(b"x", "c"), "c").is_ok());
        assert!(MasterKey::from_hex("abcd").is_none());
        let sealed = master.sealing_key("one").seal(b"x", "c");
        assert!(again.sealing_key("one").open(&sealed, "c").is_ok());
        assert!(again.sealing_key("two").open(&sealed, "c").is_err());
    }
}
