//! What a client signs to prove who it is: RFC 7523 §2.2 and §3, draft-ietf-oauth-rfc7523bis.
//!
//! Signed by EdDSA (or Ed25519), ES256, PS256, or RS256, which ChatGPT uses. Reading does no I/O and believes
//! nothing; the signature is checked by whoever has the client's keys (`client_auth`).

use serde::Deserialize;
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};

use crate::{
    clock::LEEWAY,
    jose::{
        jwk_set::PublicKey,
        jws::{self, Algorithm, Parts},
    },
};

/// RFC 7523 §2.2: the only `client_assertion_type`.
pub(super) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How far ahead an assertion may end.
const LONGEST_LIFE: Duration = Duration::minutes(5);
/// The longest `jti`.
const LONGEST_JTI: usize = 255;

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: Option<String>,
    kid: Option<String>,
}

/// RFC 7523 §3. Times may have fractions: RFC 7519 §2.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: f64,
    iat: Option<f64>,
    nbf: Option<f64>,
    jti: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// An assertion that is in order, whoever signed it.
pub(super) struct Assertion<'a> {
    parts: Parts<'a, Header, Claims>,
    pub(super) algorithm: Algorithm,
    expires_at: OffsetDateTime,
}

/// Read an assertion; otherwise, what is wrong with it.
pub(super) fn read(text: &str, now: OffsetDateTime) -> Result<Assertion<'_>, &'static str> {
    let parts = jws::read::<Header, Claims>(text)
        .ok_or("client_assertion must be a signed JWT with iss, sub, aud, exp and jti")?;
    let typ = parts.header.typ.as_deref().unwrap_or("JWT");
    if !["JWT", "client-authentication+jwt"].iter().any(|one| one.eq_ignore_ascii_case(typ)) {
        return Err("typ of the client assertion must be client-authentication+jwt or JWT");
    }
    let algorithm = Algorithm::from_name(&parts.header.alg)
        .ok_or("alg of the client assertion must be Ed25519, EdDSA, ES256, PS256 or RS256")?;
    let claims = &parts.claims;
    if claims.iss != claims.sub {
        return Err("iss and sub of the client assertion must both be the client_id");
    }
    if claims.jti.is_empty() || claims.jti.len() > LONGEST_JTI {
        return Err("jti of the client assertion must have 1 to 255 characters");
    }
    let expires_at = instant(claims.exp).ok_or(EXPIRY)?;
    if expires_at <= now - LEEWAY {
        return Err("the client assertion has expired");
    }
    if expires_at > now + LONGEST_LIFE + LEEWAY {
        return Err(EXPIRY);
    }
    for begins in [claims.iat, claims.nbf].into_iter().flatten() {
        let sane = instant(begins).is_some_and(|begins| begins <= now + LEEWAY);
        if !sane || begins > claims.exp {
            return Err("iat and nbf of the client assertion must not be in the future");
        }
    }
    Ok(Assertion { parts, algorithm, expires_at })
}

const EXPIRY: &str = "exp of the client assertion must be at most 5 minutes ahead";

impl Assertion<'_> {
    /// Who is said to speak.
    pub(super) fn client_id(&self) -> &str {
        &self.parts.claims.sub
    }

    /// Which key is said to have signed.
    pub(super) fn kid(&self) -> Option<&str> {
        self.parts.header.kid.as_deref()
    }

    pub(super) fn is_signed_by(&self, key: &PublicKey) -> bool {
        self.parts.is_signed_by(key, self.algorithm)
    }

    /// The audience, where there is exactly one: a list would let whoever else it names pass the
    /// assertion on (rfc7523bis §4).
    pub(super) fn audience(&self) -> Option<&str> {
        match &self.parts.claims.aud {
            Audience::One(one) => Some(one),
            Audience::Several(several) => match several.as_slice() {
                [one] => Some(one),
                _ => None,
            },
        }
    }

    /// What is spent when it is used: whose it is, and its name.
    pub(super) fn digest(&self) -> [u8; 32] {
        let claims = &self.parts.claims;
        let mut hasher = Sha256::new();
        hasher.update(b"client assertion");
        // With its length, so that no other split of the same text is the same assertion.
        hasher.update((claims.sub.len() as u64).to_be_bytes());
        hasher.update(&claims.sub);
        hasher.update(&claims.jti);
        hasher.finalize().into()
    }

    /// From when on no node takes it any more, however far apart their clocks are.
    pub(super) fn forgotten_at(&self) -> OffsetDateTime {
        self.expires_at + LEEWAY + LEEWAY
    }
}

/// RFC 7519 §2: seconds since 1970.
fn instant(seconds: f64) -> Option<OffsetDateTime> {
    #[expect(clippy::cast_possible_truncation, reason = "a cast of floats saturates")]
    let whole = seconds.floor() as i64;
    OffsetDateTime::from_unix_timestamp(whole).ok()
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde_json::{Value, json};

    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn assertion(header: &Value, changes: &Value) -> String {
        let mut claims = json!({
            "iss": "c", "sub": "c", "aud": "https://as.example", "exp": NOW + 60, "jti": "1",
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.AA", part(header), part(&claims))
    }

    fn outcome(header: &Value, changes: &Value) -> Result<(), &'static str> {
        let now = OffsetDateTime::from_unix_timestamp(NOW).unwrap();
        read(&assertion(header, changes), now).map(drop)
    }

    #[test]
    fn what_clients_send_is_read() {
        for alg in ["EdDSA", "Ed25519", "ES256", "PS256", "RS256"] {
            assert_eq!(outcome(&json!({ "alg": alg, "typ": "JWT" }), &json!({})), Ok(()));
        }
        let header = json!({ "alg": "RS256", "typ": "client-authentication+jwt", "kid": "1" });
        for changes in [
            json!({ "iat": NOW, "nbf": NOW }),
            json!({ "iat": NOW + 30, "nbf": f64::from(1_799_999_999) + 0.5 }),
            json!({ "exp": NOW + 330 }),
            json!({ "exp": NOW - 29 }),
            json!({ "aud": ["https://as.example"], "htm": "POST" }),
        ] {
            assert_eq!(outcome(&header, &changes), Ok(()), "{changes}");
        }
    }

    #[test]
    fn what_is_out_of_order_is_refused() {
        for header in [
            json!({ "alg": "none" }),
            json!({ "alg": "HS256" }),
            json!({ "alg": "RS1" }),
            json!({ "alg": "es256" }),
            json!({ "alg": "ES256", "typ": "at+jwt" }),
            json!({ "alg": "ES256", "typ": "dpop+jwt" }),
            json!({ "alg": "ES256", "crit": ["exp"] }),
            json!({}),
        ] {
            assert!(outcome(&header, &json!({})).is_err(), "{header}");
        }
        for changes in [
            json!({ "iss": "other" }),
            json!({ "sub": null }),
            json!({ "aud": 1 }),
            json!({ "jti": "" }),
            json!({ "jti": "x".repeat(256) }),
            json!({ "exp": NOW - 30 }),
            json!({ "exp": NOW + 331 }),
            json!({ "exp": 1e300 }),
            json!({ "exp": -1e300 }),
            json!({ "exp": "soon" }),
            json!({ "iat": NOW + 31 }),
            json!({ "nbf": NOW + 31 }),
            json!({ "exp": NOW, "nbf": NOW + 1 }),
            json!({ "iat": 1e300 }),
        ] {
            assert!(outcome(&json!({ "alg": "ES256" }), &changes).is_err(), "{changes}");
        }
    }

    #[test]
    fn one_audience_is_the_audience_and_several_are_none() {
        let now = OffsetDateTime::from_unix_timestamp(NOW).unwrap();
        for (aud, expected) in [
            (json!("a"), Some("a")),
            (json!(["a"]), Some("a")),
            (json!(["a", "b"]), None),
            (json!(["a", "a"]), None),
            (json!([]), None),
        ] {
            let text = assertion(&json!({ "alg": "ES256" }), &json!({ "aud": aud }));
            assert_eq!(read(&text, now).unwrap().audience(), expected, "{aud}");
        }
    }

    #[test]
    fn the_digest_is_of_the_client_and_the_name() {
        let now = OffsetDateTime::from_unix_timestamp(NOW).unwrap();
        let digest = |changes: Value| {
            let text = assertion(&json!({ "alg": "ES256" }), &changes);
            read(&text, now).unwrap().digest()
        };
        let one = digest(json!({ "iss": "c1", "sub": "c1", "jti": "2" }));
        assert_eq!(one, digest(json!({ "iss": "c1", "sub": "c1", "jti": "2", "exp": NOW + 90 })));
        assert_ne!(one, digest(json!({ "iss": "c", "sub": "c", "jti": "12" })));
        assert_ne!(one, digest(json!({ "iss": "c1", "sub": "c1", "jti": "3" })));
    }
}
