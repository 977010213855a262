//! Public keys of others: RFC 7517, of the kinds that we check signatures with.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::jws::Algorithm;

/// How many keys one may have.
const MAX_KEYS: usize = 50;
/// RFC 7518 §6: the members of private and of symmetric keys, which nobody may show us.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A public key that signatures can be checked with.
#[derive(Clone)]
pub(crate) struct PublicKey {
    pub(crate) kid: Option<String>,
    kind: Kind,
    /// The only algorithm that it is for, where it says so.
    only: Option<Algorithm>,
    verifying: DecodingKey,
    thumbprint: String,
    /// What was understood of it, and nothing else.
    members: Map<String, Value>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ed25519,
    P256,
    Rsa,
}

impl Kind {
    /// The members that make such a key. Each is base64url, or a name of ours.
    const fn members(self) -> &'static [&'static str] {
        match self {
            Self::Ed25519 => &["kty", "crv", "x"],
            Self::P256 => &["kty", "crv", "x", "y"],
            Self::Rsa => &["kty", "n", "e"],
        }
    }
}

impl PublicKey {
    /// Read one JWK. None if it is not a public key, not for signatures, or of a kind or size that
    /// we do not take.
    pub(crate) fn read(jwk: &Value) -> Option<Self> {
        let jwk = jwk.as_object()?;
        if is_private(jwk) || !is_for_signatures(jwk) {
            return None;
        }
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let only = match jwk.get("alg") {
            Some(name) => Some(Algorithm::from_name(name.as_str()?)?),
            None => None,
        };
        let (kind, verifying, canonical) = match (text("kty")?, text("crv")) {
            ("OKP", Some("Ed25519")) => {
                let x = number(text("x")?, 32..=32)?;
                let key = DecodingKey::from_ed_components(x).ok()?;
                (Kind::Ed25519, key, format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#))
            }
            ("EC", Some("P-256")) => {
                let (x, y) = (number(text("x")?, 32..=32)?, number(text("y")?, 32..=32)?);
                let key = DecodingKey::from_ec_components(x, y).ok()?;
                (Kind::P256, key, format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#))
            }
            ("RSA", _) => {
                // 2048 to 8192 bits.
                let (n, e) = (number(text("n")?, 256..=1024)?, number(text("e")?, 1..=4)?);
                // RFC 7518 §6.3.1.1: the shortest form, so that one key has one thumbprint.
                if leads_with_zero(n) || leads_with_zero(e) {
                    return None;
                }
                let key = DecodingKey::from_rsa_components(n, e).ok()?;
                (Kind::Rsa, key, format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#))
            }
            _ => return None,
        };
        // Postgres cannot keep a zero byte.
        let kid = text("kid").filter(|kid| !kid.contains('\0')).map(str::to_owned);
        let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(canonical));
        let understood = kind.members().iter().chain(&["alg", "use"]);
        let mut members: Map<String, Value> = understood
            .filter_map(|name| Some(((*name).to_owned(), jwk.get(*name)?.clone())))
            .collect();
        members.extend(kid.clone().map(|kid| ("kid".to_owned(), kid.into())));
        let key = Self { kid, kind, only, verifying, thumbprint, members };
        only.is_none_or(|algorithm| key.fits(algorithm)).then_some(key)
    }

    /// RFC 7638 §3: what names this key and no other, in base64url.
    pub(crate) fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Whether the key makes such signatures, and is meant to.
    pub(crate) fn fits(&self, algorithm: Algorithm) -> bool {
        let kind = match algorithm {
            Algorithm::EdDsa | Algorithm::Ed25519 => Kind::Ed25519,
            Algorithm::Es256 => Kind::P256,
            Algorithm::Ps256 | Algorithm::Rs256 => Kind::Rsa,
        };
        self.kind == kind
            && self.only.is_none_or(|only| only.implemented() == algorithm.implemented())
    }

    pub(crate) const fn verifying(&self) -> &DecodingKey {
        &self.verifying
    }
}

/// The public keys of one who signs.
#[derive(Clone)]
pub(crate) struct KeySet(Vec<PublicKey>);

impl KeySet {
    /// Read a JWK Set. Keys of unknown kinds are passed over (RFC 7517 §5); a private key, or no
    /// key that we could use, is nobody's key set.
    pub(crate) fn read(set: &Value) -> Option<Self> {
        let keys = set.as_object()?.get("keys")?.as_array()?;
        if keys.len() > MAX_KEYS || keys.iter().any(|key| key.as_object().is_none_or(is_private)) {
            return None;
        }
        let keys: Vec<_> = keys.iter().filter_map(PublicKey::read).collect();
        (!keys.is_empty()).then_some(Self(keys))
    }

    /// The set again, with what was understood of each key, which Postgres can keep.
    pub(crate) fn to_json(&self) -> Value {
        let keys: Vec<Value> =
            self.0.iter().map(|key| Value::Object(key.members.clone())).collect();
        json!({ "keys": keys })
    }

    /// Whether there is a key for such signatures.
    pub(crate) fn has(&self, algorithm: Algorithm) -> bool {
        self.0.iter().any(|key| key.fits(algorithm))
    }

    /// The key for a signature: the one of that name, or without a name the only one that fits.
    pub(crate) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&PublicKey> {
        let mut fitting = self.0.iter().filter(|key| {
            key.fits(algorithm) && kid.is_none_or(|kid| key.kid.as_deref() == Some(kid))
        });
        let first = fitting.next()?;
        // A choice among several would be a guess.
        fitting.next().is_none().then_some(first)
    }
}

fn is_private(jwk: &Map<String, Value>) -> bool {
    PRIVATE.iter().any(|name| jwk.contains_key(*name))
}

/// RFC 7517 §4.2, §4.3.
fn is_for_signatures(jwk: &Map<String, Value>) -> bool {
    let purpose = jwk.get("use").is_none_or(|purpose| purpose == "sig");
    let operations = jwk.get("key_ops").is_none_or(|operations| {
        operations.as_array().is_some_and(|all| all.iter().any(|one| one == "verify"))
    });
    purpose && operations
}

/// A number or point in base64url, of a fitting size.
fn number(text: &str, bytes: std::ops::RangeInclusive<usize>) -> Option<&str> {
    bytes.contains(&URL_SAFE_NO_PAD.decode(text).ok()?.len()).then_some(text)
}

fn leads_with_zero(text: &str) -> bool {
    URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.first() == Some(&0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thumbprint(jwk: &Value) -> String {
        PublicKey::read(jwk).unwrap().thumbprint().to_owned()
    }

    /// RFC 7638 §3.1 and RFC 8037 appendix A.3.
    #[test]
    fn thumbprints_are_those_of_the_specifications() {
        let rsa = json!({
            "kty": "RSA", "e": "AQAB", "alg": "RS256", "kid": "2011-04-29",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L\
                  6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ\
                  5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD\
                  08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEg\
                  U8awapJzKnqDKgw"
        });
        assert_eq!(thumbprint(&rsa), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
        let ed25519 = json!({
            "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
        });
        assert_eq!(thumbprint(&ed25519), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    fn p256() -> Value {
        json!({
            "kty": "EC", "crv": "P-256", "kid": "1",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"
        })
    }

    fn with(name: &str, value: Value) -> Value {
        let mut jwk = p256();
        jwk[name] = value;
        jwk
    }

    #[test]
    fn what_is_no_public_signature_key_is_not_read() {
        assert!(PublicKey::read(&p256()).is_some());
        assert!(PublicKey::read(&with("use", json!("sig"))).is_some());
        for bad in [
            with("d", json!("870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE")),
            with("use", json!("enc")),
            with("key_ops", json!(["sign"])),
            with("alg", json!("ES384")),
            with("alg", json!("RS256")),
            with("alg", Value::Null),
            with("crv", json!("P-384")),
            with("x", json!("AAAA")),
            with("kty", json!("oct")),
            json!({ "kty": "oct", "k": "AAAA" }),
            json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" }),
            json!("a key"),
        ] {
            assert!(PublicKey::read(&bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_key_is_found_by_its_name_or_because_it_is_the_only_one() {
        let set = KeySet::read(&json!({ "keys": [p256(), { "kty": "FUTURE" }] })).unwrap();
        let found = |kid, algorithm| set.find(kid, algorithm).is_some();
        assert!(found(Some("1"), Algorithm::Es256) && found(None, Algorithm::Es256));
        assert!(!found(Some("2"), Algorithm::Es256) && !found(Some("1"), Algorithm::EdDsa));
        let two = json!({ "keys": [p256(), with("kid", json!("2"))] });
        let set = KeySet::read(&two).unwrap();
        assert!(set.find(Some("2"), Algorithm::Es256).is_some());
        assert!(set.find(None, Algorithm::Es256).is_none());
        for bad in [
            json!({ "keys": [] }),
            json!({ "keys": [{ "kty": "FUTURE" }] }),
            json!({ "keys": [p256(), with("d", json!("AAAA"))] }),
            json!([p256()]),
            json!({}),
        ] {
            assert!(KeySet::read(&bad).is_none(), "{bad}");
        }
    }
}
