//! What strangers sign, and the keys that they do it with.

use axum::http::Method;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{EncodingKey, crypto};
use serde_json::{Value, json};

use super::{ORIGIN, line, now};
use crate::{
    http::json,
    jose::{
        jwk_set::{KeySet, PublicKey},
        jws::{self, Algorithm},
    },
    oauth::{
        access_token::{self, Claims},
        client_assertion,
        dpop::{Target, nonce::Nonces, proof},
    },
    secret::seal::MasterKey,
};

/// A JWK Set: keys that are public, each fit for something.
pub(crate) fn client_keys(bytes: &[u8]) {
    let Ok(set) = json::parse(bytes) else { return };
    if let Some(key) = PublicKey::read(&set) {
        assert!(set.get("d").is_none() && set.get("k").is_none());
        assert_eq!(key.thumbprint().len(), 43);
        assert!(Algorithm::ALL.iter().any(|algorithm| key.fits(*algorithm)));
    }
    let Some(keys) = KeySet::read(&set) else { return };
    assert!(Algorithm::ALL.iter().any(|algorithm| keys.has(*algorithm)));
    for algorithm in Algorithm::ALL {
        assert!(keys.find(None, *algorithm).is_none_or(|key| key.fits(*algorithm)));
    }
}

/// A compact JWS as it is, or with a `~` one that is made of the first line and the rest.
fn compact(bytes: &[u8]) -> String {
    let Some(parts) = bytes.strip_prefix(b"~") else {
        return String::from_utf8_lossy(bytes).into_owned();
    };
    let (head, claims) = line(parts);
    format!("{}.{}.AA", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(claims))
}

/// A client's assertion: in its time, of one client, and signed by nobody here.
pub(crate) fn jws(bytes: &[u8]) {
    let text = compact(bytes);
    if let Some(parts) = jws::read::<Value, Value>(&text) {
        assert!(parts.header.is_object() && parts.claims.is_object());
        assert!(parts.header.get("crit").is_none());
    }
    let Ok(assertion) = client_assertion::read(&text, now()) else { return };
    let remembered = (assertion.forgotten_at() - now()).whole_seconds();
    assert!((0..=7 * 60).contains(&remembered), "{remembered}");
    assert_eq!(assertion.digest(), assertion.digest());
    assert!(assertion.kid().is_none_or(|kid| kid.len() <= text.len()));
    let key = PublicKey::read(&signer());
    assert!(key.is_some_and(|key| !assertion.is_signed_by(&key)));
}

/// One part of an access token, as a header and as claims: what is read is written the same way.
pub(crate) fn access_token(bytes: &[u8]) {
    let text = URL_SAFE_NO_PAD.encode(bytes);
    let _ = access_token::part::<access_token::Header>(&text);
    let _ = access_token::part::<Claims>(&String::from_utf8_lossy(bytes));
    let Some(claims) = access_token::part::<Claims>(&text) else { return };
    let _ = claims.user();
    let written = serde_json::to_vec(&claims).expect("claims are JSON");
    let again = access_token::part::<Claims>(&URL_SAFE_NO_PAD.encode(written));
    assert_eq!(again, Some(claims));
}

/// Seed and public key of RFC 8032 §7.1, test 1.
const SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxXl7MmkZcDusAxyuf2A";

fn signer() -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" })
}

/// A proof as it is, or with a `~` claims that get a good signature.
pub(crate) fn dpop_proof(bytes: &[u8]) {
    let text = match bytes.strip_prefix(b"~") {
        Some(claims) => signed(claims),
        None => String::from_utf8_lossy(bytes).into_owned(),
    };
    let key = MasterKey::from_hex(&"5a".repeat(32)).expect("a key");
    let nonces = Nonces::new(key.derivation_key("nonces"));
    let target = Target { method: &Method::POST, path: "/oauth/token", access_token: None };
    let Ok(proof) = proof::check(&text, ORIGIN, &target, (&nonces, now())) else { return };
    assert_eq!(proof.jkt(), PublicKey::read(&signer()).expect("a key").thumbprint());
}

fn signed(claims: &[u8]) -> String {
    let header = json!({ "typ": "dpop+jwt", "alg": "EdDSA", "jwk": signer() }).to_string();
    let claims = String::from_utf8_lossy(claims).replace("NONCE", &nonce());
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    // PKCS #8 around the seed: RFC 8410 §7.
    let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    der.extend(URL_SAFE_NO_PAD.decode(SEED).expect("base64url"));
    let key = EncodingKey::from_ed_der(&der);
    let signature = crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::EdDSA);
    format!("{message}.{}", signature.expect("a signature"))
}

fn nonce() -> String {
    let key = MasterKey::from_hex(&"5a".repeat(32)).expect("a key");
    Nonces::new(key.derivation_key("nonces")).current(now())
}
