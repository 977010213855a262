//! The members of client metadata that tell of its keys: RFC 7591 §2.

use serde_json::{Map, Value};
use url::Url;

use super::client::AuthMethod;
use crate::jose::{jwk_set::KeySet, jws::Algorithm};

/// The longest address, and the longest key set, that is kept.
const LONGEST_LINK: usize = 512;
const LONGEST_SET: usize = 8 * 1024;

/// What a client tells of its keys.
#[derive(Debug, Default)]
pub(super) struct KeyMetadata {
    pub(super) jwks: Option<Value>,
    pub(super) jwks_uri: Option<String>,
    /// The only algorithm that its assertions are signed by, where it says so.
    pub(super) signing_alg: Option<Algorithm>,
}

/// Read them, for a client that authenticates by one of `methods`; otherwise, what is wrong.
pub(super) fn read(
    metadata: &Map<String, Value>,
    methods: &[AuthMethod],
) -> Result<KeyMetadata, &'static str> {
    let (jwks, jwks_uri) = keys(metadata)?;
    let signing_alg = match member(metadata, "token_endpoint_auth_signing_alg") {
        None => None,
        Some(name) => Some(name.as_str().and_then(Algorithm::from_name).ok_or(
            "token_endpoint_auth_signing_alg must be Ed25519, EdDSA, ES256, PS256 or RS256",
        )?),
    };
    if methods.contains(&AuthMethod::PrivateKeyJwt) && jwks.is_none() && jwks_uri.is_none() {
        return Err("private_key_jwt needs jwks or jwks_uri");
    }
    let set = jwks.as_ref().and_then(KeySet::read);
    if let (Some(set), Some(algorithm)) = (set, signing_alg)
        && !set.has(algorithm)
    {
        return Err("jwks has no key for token_endpoint_auth_signing_alg");
    }
    Ok(KeyMetadata { jwks, jwks_uri, signing_alg })
}

/// The keys themselves, as [`key_set`] keeps them, or where they are: never both.
pub(super) fn keys(
    metadata: &Map<String, Value>,
) -> Result<(Option<Value>, Option<String>), &'static str> {
    match (member(metadata, "jwks"), member(metadata, "jwks_uri")) {
        (None, None) => Ok((None, None)),
        (Some(jwks), None) => Ok((Some(key_set(jwks)?), None)),
        (None, Some(uri)) => {
            let uri = uri.as_str().filter(|uri| is_https(uri));
            let uri = uri.ok_or("jwks_uri must be an https URL of at most 512 characters")?;
            Ok((None, Some(uri.to_owned())))
        }
        (Some(_), Some(_)) => Err("jwks and jwks_uri must not both be there"),
    }
}

/// A JWK Set with what was understood of it and nothing else: whatever a client put beside that,
/// Postgres need not be able to keep.
pub(super) fn key_set(jwks: &Value) -> Result<Value, &'static str> {
    let set = KeySet::read(jwks).ok_or(
        "jwks must be a JWK Set of public signature keys: Ed25519, P-256, or RSA from 2048 bits",
    )?;
    let kept = set.to_json();
    if kept.to_string().len() > LONGEST_SET {
        return Err("jwks must not be longer than 8 KiB: give a jwks_uri instead");
    }
    Ok(kept)
}

/// A member of a client's metadata. Null and the empty string count as absent.
pub(super) fn member<'a>(metadata: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    metadata.get(name).filter(|value| !value.is_null() && value.as_str() != Some(""))
}

/// A link that a client may name: https, of a modest length, and without credentials in it.
pub(super) fn is_https(link: &str) -> bool {
    link.len() <= LONGEST_LINK
        && !link.contains(char::is_control)
        && Url::parse(link).is_ok_and(|url| {
            url.scheme() == "https" && url.username().is_empty() && url.password().is_none()
        })
}

/// Public keys that somebody pasted (RFC 7517 §5), or what is wrong with them.
///
/// # Errors
/// With a sentence for the person who pasted them.
pub fn public_keys(text: &str) -> Result<Value, &'static str> {
    const NO_SET: &str = "This is no JWK set with a public key that is taken here: RSA, P-256 or \
        Ed25519, in {\"keys\": [ … ]}.";
    if text.len() > 16_000 {
        return Err("This is longer than 16,000 characters.");
    }
    let set: Value = serde_json::from_str(text).map_err(|_| NO_SET)?;
    let keys = set.get("keys").and_then(Value::as_array).ok_or(NO_SET)?;
    // RFC 7518 §6: the private parts of each kind of key.
    let is_private = |key: &Value| key.get("d").is_some() || key.get("k").is_some();
    if keys.iter().any(is_private) {
        return Err("This holds a private key. Make a new one, and paste its public half only.");
    }
    KeySet::read(&set).ok_or(NO_SET)?;
    key_set(&set).map_err(|_| "These keys are longer than 8 KiB. Give an address instead.")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outcome(metadata: &Value) -> Result<(), &'static str> {
        read(metadata.as_object().unwrap(), &[AuthMethod::PrivateKeyJwt]).map(drop)
    }

    fn long(kid: u8) -> Value {
        json!({
            "kty": "OKP", "crv": "Ed25519", "kid": format!("{kid}{}", "x".repeat(200)),
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
        })
    }

    #[test]
    fn only_what_was_understood_is_kept() {
        let plain = json!({
            "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "kid": "1", "alg": "EdDSA", "use": "sig"
        });
        let mut loaded = plain.clone();
        loaded["x5c"] = json!(["\u{0}"]);
        loaded["\u{0}"] = json!(1e308);
        loaded["y"] = json!("\u{0}");
        let future = json!({ "kty": "FUTURE", "x": "\u{0}" });
        let set = json!({ "keys": [loaded, future], "more": "\u{0}" });
        assert_eq!(key_set(&set), Ok(json!({ "keys": [plain] })));
        let mut nameless = plain.clone();
        nameless.as_object_mut().unwrap().remove("kid");
        let mut odd = plain;
        odd["kid"] = json!("\u{0}");
        assert_eq!(key_set(&json!({ "keys": [odd] })), Ok(json!({ "keys": [nameless] })));
    }

    #[test]
    fn keys_come_in_one_way() {
        let jwks = json!({ "keys": [{
            "kty": "EC", "crv": "P-256",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"
        }] });
        let uri = "https://app.example/keys";
        for good in [
            json!({ "jwks": jwks }),
            json!({ "jwks_uri": uri, "jwks": null, "token_endpoint_auth_signing_alg": "RS256" }),
            json!({ "jwks": jwks, "jwks_uri": "", "token_endpoint_auth_signing_alg": "ES256" }),
        ] {
            assert_eq!(outcome(&good), Ok(()), "{good}");
        }
        for bad in [
            json!({}),
            json!({ "jwks": jwks, "jwks_uri": uri }),
            json!({ "jwks": "keys" }),
            json!({ "jwks": { "keys": (0..50).map(long).collect::<Vec<_>>() } }),
            json!({ "jwks": { "keys": [] } }),
            json!({ "jwks": jwks, "token_endpoint_auth_signing_alg": "RS256" }),
            json!({ "jwks_uri": uri, "token_endpoint_auth_signing_alg": "HS256" }),
            json!({ "jwks_uri": uri, "token_endpoint_auth_signing_alg": "none" }),
            json!({ "jwks_uri": "http://app.example/keys" }),
            json!({ "jwks_uri": "https://me:pw@app.example/keys" }),
            json!({ "jwks_uri": format!("{uri}{}", "x".repeat(500)) }),
            json!({ "jwks_uri": 1 }),
        ] {
            assert!(outcome(&bad).is_err(), "{bad}");
        }
        assert!(read(&Map::new(), &[AuthMethod::None]).is_ok());
    }

    #[test]
    fn only_public_keys_are_taken() {
        let good = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1",
            "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        let kept = public_keys(good).unwrap();
        let odd = good.replace("\"kid\":\"1\"", r#""kid":"1","x5c":"\u0000","e":1e308"#);
        assert_eq!(public_keys(&odd), Ok(kept));
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"keys":[]}"#,
            r#"{"keys":["a"]}"#,
            r#"{"keys":[{"kty":"oct"}]}"#,
            r#"{"keys":[{"kty":"oct","k":"secret"}]}"#,
            r#"{"keys":[{"kty":"EC","crv":"P-256","x":"a","y":"b","d":"private"}]}"#,
        ] {
            assert!(public_keys(bad).is_err(), "{bad}");
        }
    }
}
