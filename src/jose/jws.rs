//! Signed JSON that strangers send (RFC 7515 §3.1), taken apart strictly and believed by nobody yet.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::crypto;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::jwk_set::PublicKey;
use crate::http::json;

/// The longest that is looked at.
const MAX_BYTES: usize = 8 * 1024;

/// The signatures that we check: no HMAC, and never none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    EdDsa,
    /// RFC 9864's name for EdDSA with this one curve, which is the one that we know.
    Ed25519,
    Es256,
    Ps256,
    Rs256,
}

impl Algorithm {
    pub(crate) const ALL: &'static [Self] =
        &[Self::EdDsa, Self::Ed25519, Self::Es256, Self::Ps256, Self::Rs256];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Ed25519 => "Ed25519",
            Self::Es256 => "ES256",
            Self::Ps256 => "PS256",
            Self::Rs256 => "RS256",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.as_str() == name)
    }

    pub(crate) const fn implemented(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::EdDsa | Self::Ed25519 => jsonwebtoken::Algorithm::EdDSA,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Ps256 => jsonwebtoken::Algorithm::PS256,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
        }
    }
}

/// A compact JWS in its parts. Anybody may have written it: see [`Parts::is_signed_by`].
pub(crate) struct Parts<'a, H, C> {
    pub(crate) header: H,
    pub(crate) claims: C,
    message: &'a str,
    signature: &'a str,
}

/// Take a compact JWS apart: three parts, JSON objects without repeated members, and nothing
/// that must be understood (`crit`) and is not.
pub(crate) fn read<H, C>(compact: &str) -> Option<Parts<'_, H, C>>
where
    H: DeserializeOwned,
    C: DeserializeOwned,
{
    if compact.len() > MAX_BYTES {
        return None;
    }
    let (message, signature) = compact.rsplit_once('.')?;
    let (header, claims) = message.split_once('.')?;
    let header = part(header)?;
    // RFC 7515 §4.1.11: what we do not understand, we refuse.
    if header.get("crit").is_some() {
        return None;
    }
    let header = serde_json::from_value(header).ok()?;
    let claims = serde_json::from_value(part(claims)?).ok()?;
    Some(Parts { header, claims, message, signature })
}

impl<H, C> Parts<'_, H, C> {
    /// Whether the holder of `key` wrote it, by `algorithm`, which must fit the key.
    pub(crate) fn is_signed_by(&self, key: &PublicKey, algorithm: Algorithm) -> bool {
        key.fits(algorithm)
            && crypto::verify(
                self.signature,
                self.message.as_bytes(),
                key.verifying(),
                algorithm.implemented(),
            )
            .unwrap_or(false)
    }
}

/// One part: base64url without padding, of a JSON object.
fn part(text: &str) -> Option<Value> {
    let value = json::parse(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    value.is_object().then_some(value)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Header {
        alg: String,
    }

    fn compact(header: &str, claims: &str) -> String {
        format!("{}.{}.AA", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
    }

    fn is_read(compact: &str) -> bool {
        read::<Header, Value>(compact).is_some()
    }

    #[test]
    fn three_parts_of_json_objects_are_read() {
        let text = compact(r#"{"alg":"ES256","extra":1}"#, r#"{"jti":"a"}"#);
        let parts = read::<Header, Value>(&text).unwrap();
        assert_eq!((parts.header.alg.as_str(), parts.claims["jti"].as_str()), ("ES256", Some("a")));
        assert_eq!(format!("{}.{}", parts.message, parts.signature), text);
    }

    #[test]
    fn whatever_else_is_not() {
        let good = compact(r#"{"alg":"ES256"}"#, "{}");
        assert!(is_read(&good));
        for bad in [
            String::new(),
            "..".to_owned(),
            format!("{good}.AA"),
            good.replace('.', "=."),
            good.trim_end_matches(".AA").to_owned(),
            compact(r#"{"alg":"none","alg":"ES256"}"#, "{}"),
            compact(r#"{"alg":"ES256","jwk":{"x":1,"x":2}}"#, "{}"),
            compact(r#"{"alg":"ES256","crit":["b64"],"b64":false}"#, "{}"),
            compact(r#"{"alg":"ES256"}"#, r#"{"aud":"a","aud":"b"}"#),
            compact(r#"{"alg":"ES256"}"#, "[]"),
            compact(r#"{"alg":1}"#, "{}"),
            compact("{}", "{}"),
            compact(r#"{"alg":"ES256"}"#, &format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_BYTES))),
        ] {
            assert!(!is_read(&bad), "{bad}");
        }
    }
}
