//! Proof Key for Code Exchange: RFC 7636, method S256 and no other.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// What the client committed to: the SHA-256 of its verifier, base64url, 43 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CodeChallenge(String);

/// What the client reveals: 43 to 128 unreserved characters.
pub(super) struct CodeVerifier<'a>(&'a str);

impl CodeChallenge {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digest = URL_SAFE_NO_PAD.decode(text).ok()?;
        (digest.len() == 32).then(|| Self(text.to_owned()))
    }

    /// One that was parsed before it was stored.
    pub(super) const fn stored(text: String) -> Self {
        Self(text)
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// RFC 7636 §4.6.
    pub(super) fn is_met_by(&self, verifier: &CodeVerifier<'_>) -> bool {
        let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.0));
        self.0.as_bytes().ct_eq(digest.as_bytes()).into()
    }
}

impl<'a> CodeVerifier<'a> {
    /// RFC 7636 §4.1.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let unreserved =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        ((43..=128).contains(&text.len()) && text.bytes().all(unreserved)).then_some(Self(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636 appendix B.
    #[test]
    fn the_vector_of_the_rfc_holds() {
        let challenge =
            CodeChallenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM").unwrap();
        let verifier = CodeVerifier::parse("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").unwrap();
        assert!(challenge.is_met_by(&verifier));
        let other = "e".repeat(43);
        assert!(!challenge.is_met_by(&CodeVerifier::parse(&other).unwrap()));
    }

    #[test]
    fn malformed_ones_do_not_exist() {
        for bad in ["", "short", &"a".repeat(42), &"a".repeat(129), &format!("{}+", "a".repeat(43))]
        {
            assert!(CodeVerifier::parse(bad).is_none(), "{bad}");
        }
        for bad in ["", "x", &"A".repeat(42), &"A".repeat(44), &format!("{}=", "A".repeat(43))] {
            assert!(CodeChallenge::parse(bad).is_none(), "{bad}");
        }
        assert!(CodeChallenge::parse(&format!("{}+A", "A".repeat(41))).is_none());
    }
}
