//! The keys that sign access tokens: in the database, sealed by the master key.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey,
    jwk::{AlgorithmParameters, Jwk},
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::store_keys;
use crate::{clock::Clock, db::Db, fault::Fault, secret::seal::MasterKey};

/// RFC 8410 §7: what stands before the 32 bytes of an Ed25519 key in PKCS#8.
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// A key, parsed.
pub(super) struct Key {
    /// Its RFC 7638 thumbprint.
    pub(super) kid: String,
    pub(super) signing: EncodingKey,
    verifying: DecodingKey,
    /// The public half, as in a JWK.
    pub(super) x: String,
}

/// Every key that tokens may be signed with; the newest signs.
#[derive(Clone)]
pub(super) struct Keys {
    newest_first: Arc<[Key]>,
}

impl Keys {
    /// Read the keys, making the first one when there is none. Nodes that start at once agree on
    /// one: the table is locked meanwhile.
    pub(super) async fn load(db: &Db, master: &MasterKey, clock: &Clock) -> Result<Self, Fault> {
        let mut tx = db.control().await?;
        let mut rows = store_keys::list(&mut tx).await?;
        if rows.is_empty() {
            store_keys::lock(&mut tx).await?;
            rows = store_keys::list(&mut tx).await?;
        }
        if rows.is_empty() {
            let row = generate(master)?;
            store_keys::create(&mut tx, &row, clock.now()).await?;
            rows.push(row);
        }
        tx.commit().await?;
        let keys: Result<Vec<Key>, Fault> = rows.iter().map(|row| open(row, master)).collect();
        Ok(Self { newest_first: keys?.into() })
    }

    pub(super) fn current(&self) -> &Key {
        self.newest_first.first().expect("load made one")
    }

    pub(super) fn verifying(&self, kid: &str) -> Option<&DecodingKey> {
        self.newest_first.iter().find(|key| key.kid == kid).map(|key| &key.verifying)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.newest_first.iter()
    }
}

fn generate(master: &MasterKey) -> Result<store_keys::Row, Fault> {
    let seed = Zeroizing::new(rand::random::<[u8; 32]>());
    let pkcs8 = Zeroizing::new([PKCS8_PREFIX.as_slice(), seed.as_slice()].concat());
    let x = public_half(&EncodingKey::from_ed_der(&pkcs8))?;
    let kid = thumbprint(&x);
    let sealed_key = master.seal(&pkcs8, &context(&kid));
    Ok(store_keys::Row { public_key: URL_SAFE_NO_PAD.decode(&x)?, kid, sealed_key })
}

fn open(row: &store_keys::Row, master: &MasterKey) -> Result<Key, Fault> {
    let pkcs8 = master.open(&row.sealed_key, &context(&row.kid))?;
    let signing = EncodingKey::from_ed_der(&pkcs8);
    let x = public_half(&signing)?;
    if thumbprint(&x) != row.kid {
        return Err(Fault::new("a signing key does not match its name"));
    }
    Ok(Key { kid: row.kid.clone(), verifying: DecodingKey::from_ed_components(&x)?, signing, x })
}

/// What binds a sealed key to its row.
fn context(kid: &str) -> String {
    format!("signing_keys/{kid}")
}

fn public_half(key: &EncodingKey) -> Result<String, Fault> {
    match Jwk::from_encoding_key(key, Algorithm::EdDSA)?.algorithm {
        AlgorithmParameters::OctetKeyPair(parameters) => Ok(parameters.x),
        _ => Err(Fault::new("an Ed25519 key has an octet key pair")),
    }
}

/// RFC 7638 §3, RFC 8037 §2.
fn thumbprint(x: &str) -> String {
    let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(Sha256::digest(canonical))
}
