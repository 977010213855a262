//! One proof, checked as RFC 9449 §4.3 says.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use time::{Duration, OffsetDateTime};

use super::{Refused, Target, nonce::Nonces};
use crate::jose::{
    jwk_set::PublicKey,
    jws::{self, Algorithm},
};

/// How far a client's clock may be off, in seconds.
const SKEW: i64 = 60;
/// How long a proof is remembered after its time: nodes' clocks may differ as well.
const REMEMBERED: Duration = Duration::seconds(3 * SKEW);
/// The longest `jti`.
const MAX_JTI: usize = 128;

/// A proof that holds for the request that it came with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    jkt: String,
    digest: [u8; 32],
    expires_at: OffsetDateTime,
}

impl Proof {
    /// The RFC 7638 thumbprint of the key that made it.
    #[must_use]
    pub fn jkt(&self) -> &str {
        &self.jkt
    }

    /// What it is remembered by.
    pub(super) const fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Until when it has to be.
    pub(super) const fn expires_at(&self) -> OffsetDateTime {
        self.expires_at
    }
}

#[derive(Deserialize)]
struct Header {
    typ: String,
    alg: String,
    jwk: Value,
}

#[derive(Deserialize)]
struct Claims {
    jti: String,
    htm: String,
    htu: String,
    iat: i64,
    ath: Option<String>,
    nonce: Option<String>,
}

pub(super) const MALFORMED: Refused = Refused::Proof(
    "the DPoP proof must be a compact JWS of at most 8 KiB whose header has typ, alg and jwk, and \
     whose claims are jti, htm, htu and iat in whole seconds",
);

/// Check a proof against the request that it came with.
pub(in crate::oauth) fn check(
    text: &str,
    origin: &str,
    target: &Target<'_>,
    (nonces, now): (&Nonces, OffsetDateTime),
) -> Result<Proof, Refused> {
    let parts = jws::read::<Header, Claims>(text).ok_or(MALFORMED)?;
    if parts.header.typ != "dpop+jwt" {
        return Err(Refused::Proof("typ of the DPoP proof must be dpop+jwt"));
    }
    let algorithm = Algorithm::from_name(&parts.header.alg)
        .ok_or(Refused::Proof("alg of the DPoP proof must be one that the metadata lists"))?;
    let key = PublicKey::read(&parts.header.jwk).filter(|key| key.fits(algorithm)).ok_or(
        Refused::Proof("jwk of the DPoP proof must be a public key that fits alg, and no more"),
    )?;
    if !parts.is_signed_by(&key, algorithm) {
        return Err(Refused::Proof("the signature of the DPoP proof does not match its jwk"));
    }
    let claims = parts.claims;
    let url = require_target(&claims, origin, target)?;
    if (now.unix_timestamp() - claims.iat).abs() > SKEW {
        return Err(Refused::Proof("iat of the DPoP proof is more than 60 seconds from our clock"));
    }
    if claims.jti.is_empty() || claims.jti.len() > MAX_JTI {
        return Err(Refused::Proof("jti of the DPoP proof must have 1 to 128 characters"));
    }
    if !claims.nonce.is_some_and(|nonce| nonces.accepts(&nonce, now)) {
        return Err(Refused::Nonce);
    }
    let jkt = key.thumbprint().to_owned();
    let digest = digest(&[&jkt, &claims.jti, &url]);
    Ok(Proof { jkt, digest, expires_at: now + REMEMBERED })
}

/// The method and the URL of the request, which the proof must name, and the token beside it.
/// Returns the URL in our own spelling.
fn require_target(
    claims: &Claims,
    origin: &str,
    Target { method, path, access_token }: &Target<'_>,
) -> Result<String, Refused> {
    if claims.htm != method.as_str() {
        return Err(Refused::Proof("htm of the DPoP proof is not the method of the request"));
    }
    if !is_same_url(&claims.htu, origin, path) {
        return Err(Refused::Proof(
            "htu of the DPoP proof must be the URL of the request without query and fragment",
        ));
    }
    if let Some(token) = access_token {
        let expected = URL_SAFE_NO_PAD.encode(Sha256::digest(token));
        let ath = claims.ath.as_deref().unwrap_or_default();
        if !bool::from(ath.as_bytes().ct_eq(expected.as_bytes())) {
            return Err(Refused::Proof(
                "ath of the DPoP proof is not the hash of the access token",
            ));
        }
    }
    Ok(format!("{origin}{path}"))
}

/// Scheme and host in any case (RFC 3986 §6.2.2.1), with or without the scheme's own port
/// (§6.2.3); the rest letter for letter, so that query, fragment and userinfo have no place.
fn is_same_url(htu: &str, origin: &str, path: &str) -> bool {
    let Some((theirs, rest)) = htu.split_at_checked(origin.len()) else { return false };
    if !theirs.eq_ignore_ascii_case(origin) {
        return false;
    }
    let port = if origin.starts_with("https:") { ":443" } else { ":80" };
    rest == path || rest.strip_prefix(port) == Some(path)
}

/// One digest for several texts: each with its length, so that none runs into the next.
fn digest(texts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix("dpop");
    for text in texts {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_the_same_in_the_spellings_that_mean_the_same() {
        let origin = "https://docs.example.com";
        for same in [
            "https://docs.example.com/mcp",
            "HTTPS://Docs.Example.COM/mcp",
            "https://docs.example.com:443/mcp",
        ] {
            assert!(is_same_url(same, origin, "/mcp"), "{same}");
        }
        for other in [
            "",
            "/mcp",
            "https://docs.example.com",
            "https://docs.example.com/mcp/",
            "https://docs.example.com/MCP",
            "https://docs.example.com/mcp?x=1",
            "https://docs.example.com/mcp?",
            "https://docs.example.com/mcp#",
            "https://docs.example.com/mcp#x",
            "https://docs.example.com:80/mcp",
            "https://docs.example.com:8443/mcp",
            "https://docs.example.com:443:443/mcp",
            "https://ada@docs.example.com/mcp",
            "https://docs.example.com@evil.example/mcp",
            "https://docs.example.com.evil.example/mcp",
            "https://evil.example/mcp",
            "http://docs.example.com/mcp",
            "https://docs.example.com/x/../mcp",
            "https://docs.example.com/%6dcp",
            "https://docs.example.cöm/mcp",
        ] {
            assert!(!is_same_url(other, origin, "/mcp"), "{other}");
        }
        assert!(is_same_url("http://127.0.0.1:8700/mcp", "http://127.0.0.1:8700", "/mcp"));
    }

    #[test]
    fn texts_do_not_run_into_each_other() {
        assert_ne!(digest(&["a", "bc"]), digest(&["ab", "c"]));
        assert_ne!(digest(&["a", ""]), digest(&["", "a"]));
    }
}
