//! The members of client metadata that tell of its keys: RFC 7591 §2.

use serde_json::{Map, Value};
use url::Url;

use super::client::AuthMethod;
use crate::jose::{jwk_set::KeySet, jws::Algorithm};

/// The longest address, and the longest key set, that is kept.
const LONGEST_URI: usize = 512;
const LONGEST_SET: usize = 16 * 1024;

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
    let member = |name: &str| {
        metadata.get(name).filter(|value| !value.is_null() && value.as_str() != Some(""))
    };
    let jwks = member("jwks").cloned();
    let jwks_uri = match member("jwks_uri") {
        None => None,
        Some(uri) => Some(
            uri.as_str()
                .filter(|uri| is_fetchable(uri))
                .ok_or("jwks_uri must be an https URL of at most 512 characters")?
                .to_owned(),
        ),
    };
    let signing_alg = match member("token_endpoint_auth_signing_alg") {
        None => None,
        Some(name) => Some(name.as_str().and_then(Algorithm::from_name).ok_or(
            "token_endpoint_auth_signing_alg must be Ed25519, EdDSA, ES256, PS256 or RS256",
        )?),
    };
    if jwks.is_some() && jwks_uri.is_some() {
        return Err("jwks and jwks_uri must not both be there");
    }
    if methods.contains(&AuthMethod::PrivateKeyJwt) && jwks.is_none() && jwks_uri.is_none() {
        return Err("private_key_jwt needs jwks or jwks_uri");
    }
    if let Some(jwks) = &jwks {
        let set = KeySet::read(jwks).filter(|_| jwks.to_string().len() <= LONGEST_SET).ok_or(
            "jwks must be a JWK Set of public signature keys: Ed25519, P-256, or RSA from 2048 bits",
        )?;
        if signing_alg.is_some_and(|algorithm| !set.has(algorithm)) {
            return Err("jwks has no key for token_endpoint_auth_signing_alg");
        }
    }
    Ok(KeyMetadata { jwks, jwks_uri, signing_alg })
}

fn is_fetchable(uri: &str) -> bool {
    uri.len() <= LONGEST_URI
        && !uri.contains(char::is_control)
        && Url::parse(uri).is_ok_and(|url| {
            url.scheme() == "https" && url.username().is_empty() && url.password().is_none()
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outcome(metadata: &Value) -> Result<(), &'static str> {
        read(metadata.as_object().unwrap(), &[AuthMethod::PrivateKeyJwt]).map(drop)
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
}
