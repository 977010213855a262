//! Secrets: values that no log, error or Debug output shows.
//!
//! [`Secret`] is any secret text. [`Plaintext`] is one that we issued: 256 random bits behind a
//! fixed prefix, with a checksum so that secret scanners can tell it from noise; only its
//! [`SecretHash`] is stored. [`seal`] keeps other people's secrets at rest.

pub mod derive;
pub mod file;
pub mod seal;

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use derive::DerivationKey;

/// Secret text. Debug prints `***`; there is no Display.
#[derive(Clone, Zeroize, ZeroizeOnDrop, serde::Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wrap what must not be seen.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself: for the one call that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `presented` is the same text, in a time that tells nothing of where they differ.
    #[must_use]
    pub fn is(&self, presented: &str) -> bool {
        Sha256::digest(&self.0).ct_eq(&Sha256::digest(presented)).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What a [`Plaintext`] is good for; each kind has its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// OAuth authorization code.
    AuthorizationCode,
    /// OAuth refresh token.
    RefreshToken,
    /// OAuth client secret.
    ClientSecret,
    /// A pending authorization request.
    AuthorizationRequest,
    /// An authorization request that a client pushed.
    PushedRequest,
    /// What a client manages its registration with.
    RegistrationAccessToken,
    /// A signed-in browser session.
    Session,
    /// A browser that has not signed in.
    Browser,
    /// A link that works once.
    OneTimeLink,
    /// The `state` of a sign-in through a tenant's provider.
    SsoState,
    /// The browser that began one.
    SsoBrowser,
    /// An open stream, to which messages can be posted.
    Stream,
}

impl Kind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "csl_ac_",
            Self::RefreshToken => "csl_rt_",
            Self::ClientSecret => "csl_cs_",
            Self::AuthorizationRequest => "csl_ar_",
            Self::PushedRequest => "csl_pr_",
            Self::RegistrationAccessToken => "csl_ra_",
            Self::Session => "csl_se_",
            Self::Browser => "csl_br_",
            Self::OneTimeLink => "csl_ot_",
            Self::SsoState => "csl_ss_",
            Self::SsoBrowser => "csl_sb_",
            Self::Stream => "csl_st_",
        }
    }
}

/// A secret that we issued: prefix, 43 base64url characters (256 bits), 6 of checksum.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Plaintext(String);

impl Plaintext {
    /// A fresh one.
    #[must_use]
    pub fn generate(kind: Kind) -> Self {
        Self::of(kind, &rand::random())
    }

    /// The one that follows from `self`: whoever presents `self` again can be given it again,
    /// though neither is stored.
    #[must_use]
    pub fn successor(&self, kind: Kind, key: &DerivationKey) -> Self {
        Self::of(kind, &key.derive(self.0.as_bytes()))
    }

    pub(crate) fn of(kind: Kind, bits: &[u8; 32]) -> Self {
        let body = format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(bits));
        Self(format!("{body}{}", checksum(&body)))
    }

    /// One that somebody presented, if it has the form of its kind. The checksum guards against
    /// slips, not against forgery: only the look-up by [`Plaintext::hash`] proves anything.
    #[must_use]
    pub fn presented(kind: Kind, text: &str) -> Option<Self> {
        let well_formed = text.starts_with(kind.prefix())
            && text.len() == kind.prefix().len() + 43 + 6
            && text.is_ascii()
            && checksum(&text[..text.len() - 6]) == text[text.len() - 6..];
        well_formed.then(|| Self(text.to_owned()))
    }

    /// What is stored.
    #[must_use]
    pub fn hash(&self) -> SecretHash {
        SecretHash(Sha256::digest(&self.0).into())
    }

    /// The text itself: for the answer or cookie that delivers it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The prefix and four characters identify a leak without being one.
        write!(f, "{}…", self.0.get(..11).unwrap_or_default())
    }
}

fn checksum(body: &str) -> String {
    let digest = Sha256::digest(body);
    let mut text = URL_SAFE_NO_PAD.encode(&digest[..5]);
    text.truncate(6);
    text
}

/// SHA-256 of a [`Plaintext`]. Equality takes constant time.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The bytes, for binding to a statement.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// A hash as it was stored; `None` unless it is 32 bytes long.
    #[must_use]
    pub fn from_stored(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_issued_is_recognised_and_a_slip_is_not() {
        let issued = Plaintext::generate(Kind::RefreshToken);
        let text = issued.expose();
        let again = Plaintext::presented(Kind::RefreshToken, text).unwrap();
        assert_eq!(again.hash(), issued.hash());
        assert!(Plaintext::presented(Kind::AuthorizationCode, text).is_none());
        let mut slip = text.to_owned();
        slip.replace_range(12..13, if &text[12..13] == "A" { "B" } else { "A" });
        assert!(Plaintext::presented(Kind::RefreshToken, &slip).is_none());
        assert!(Plaintext::presented(Kind::RefreshToken, &text[..20]).is_none());
    }

    #[test]
    fn a_successor_follows_from_its_predecessor_and_the_key() {
        let master = seal::MasterKey::from_hex(&"5a".repeat(32)).unwrap();
        let key = master.derivation_key("test");
        let first = Plaintext::generate(Kind::RefreshToken);
        let second = first.successor(Kind::RefreshToken, &key);
        assert_eq!(first.successor(Kind::RefreshToken, &key).expose(), second.expose());
        assert!(Plaintext::presented(Kind::RefreshToken, second.expose()).is_some());
        let others = [
            first.clone(),
            second.successor(Kind::RefreshToken, &key),
            first.successor(Kind::RefreshToken, &master.derivation_key("another")),
            first
                .successor(Kind::RefreshToken, &seal::MasterKey::generate().derivation_key("test")),
        ];
        assert!(others.iter().all(|other| other.expose() != second.expose()));
    }

    #[test]
    fn debug_shows_no_secret() {
        let issued = Plaintext::generate(Kind::Session);
        assert!(!format!("{issued:?}").contains(&issued.expose()[12..]));
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(format!("{secret:?}"), "***");
        assert!(secret.is("hunter2") && !secret.is("hunter") && !secret.is(""));
    }
}
