//! Access tokens: JWTs after RFC 9068, signed with Ed25519.
//!
//! A token says what was granted; whether the grant still lives is asked of the database on every
//! call (`liveness`).

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, crypto};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{keys::Keys, scope::Scope};
use crate::{
    clock::{Clock, LEEWAY},
    config::PublicUrl,
    fault::Fault,
    ids::{GrantId, TenantId, UserId},
    problems::{Kind, Problems},
};

/// The longest token that is looked at; ours have about 700 bytes.
const MAX_BYTES: usize = 8 * 1024;
/// How many verified tokens each half of the cache remembers.
const CACHED: usize = 8192;

/// What a token says. All of it is required, and there is nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// Who issued it: our origin.
    pub iss: String,
    /// The one resource that it is for, in canonical form.
    pub aud: String,
    /// The user who consented; for a service client's own token the client (RFC 9068 §2.2).
    pub sub: String,
    /// The client that it was issued to.
    pub client_id: String,
    /// The tenant whose documents it opens.
    pub tenant: TenantId,
    /// The consent behind it.
    pub grant: GrantId,
    /// What it may be used for.
    pub scope: Scope,
    /// Names the token.
    pub jti: Uuid,
    /// When it was issued, in seconds.
    pub iat: i64,
    /// When it ends, in seconds.
    pub exp: i64,
    /// The key that it is bound to, if any: RFC 9449 §6.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Confirmation>,
    /// Which of our keys signed it, from the header. No claim.
    #[serde(skip)]
    pub kid: String,
}

/// What a token is bound to: RFC 7800 §3.1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// The RFC 7638 thumbprint of the client's key, in base64url.
    pub jkt: String,
}

impl Claims {
    /// The user in whose name it acts; none for a service client's own token.
    #[must_use]
    pub fn user(&self) -> Option<UserId> {
        if self.sub == self.client_id { None } else { self.sub.parse().ok() }
    }
}

/// Exactly the header that we write: an unknown or repeated member (`jku`, `jwk`, `crit`) is refused.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    typ: String,
    alg: String,
    kid: String,
}

const TYP: &str = "at+jwt";
const ALG: &str = "EdDSA";

/// Sign `claims` with the key whose turn it is.
pub(super) fn sign(keys: &Keys, claims: &Claims) -> Result<String, Fault> {
    let key = keys.signing();
    let header = Header { typ: TYP.to_owned(), alg: ALG.to_owned(), kid: key.kid.clone() };
    let encode = |json: Vec<u8>| URL_SAFE_NO_PAD.encode(json);
    let head = encode(serde_json::to_vec(&header)?);
    let body = encode(serde_json::to_vec(claims)?);
    let message = format!("{head}.{body}");
    let signature = crypto::sign(message.as_bytes(), &key.signing, Algorithm::EdDSA)?;
    Ok(format!("{message}.{signature}"))
}

/// Tells our tokens from everything else.
#[derive(Clone)]
pub struct Verifier {
    inner: Arc<Inner>,
}

struct Inner {
    keys: Keys,
    issuer: String,
    clock: Clock,
    problems: Problems,
    cache: Mutex<Cache>,
}

/// Tokens whose signature held, by their SHA-256. Two halves: when the newer is full, the older is
/// forgotten, so it is bounded and holds what is in use.
#[derive(Default)]
struct Cache {
    newer: HashMap<[u8; 32], Arc<Claims>>,
    older: HashMap<[u8; 32], Arc<Claims>>,
}

impl Verifier {
    pub(super) fn new(keys: Keys, issuer: &PublicUrl, clock: &Clock, problems: &Problems) -> Self {
        let (clock, problems) = (clock.clone(), problems.clone());
        let (issuer, cache) = (issuer.as_str().to_owned(), Mutex::default());
        Self { inner: Arc::new(Inner { keys, issuer, clock, problems, cache }) }
    }

    /// What a token says, if we signed it, it is an access token, and its time has not passed.
    ///
    /// The audience is the caller's to check, and so is whether the grant lives.
    pub async fn verify(&self, token: &str) -> Option<Arc<Claims>> {
        if token.len() > MAX_BYTES {
            return None;
        }
        let digest: [u8; 32] = Sha256::digest(token).into();
        // What a retired key signed is not remembered.
        let known = self.cache(|cache| cache.find(&digest));
        let known = known.filter(|claims| self.inner.keys.knows(&claims.kid));
        let claims = match known {
            Some(claims) => claims,
            None => {
                let claims = Arc::new(self.check_signature(token).await?);
                self.cache(|cache| cache.insert(digest, Arc::clone(&claims)));
                claims
            }
        };
        // The time is looked at each time. Another node's clock may have been ahead of ours.
        let now = self.inner.clock.now();
        let (latest, earliest) = (now + LEEWAY, now - LEEWAY);
        (claims.iat <= latest.unix_timestamp() && claims.exp > earliest.unix_timestamp())
            .then_some(claims)
    }

    async fn check_signature(&self, token: &str) -> Option<Claims> {
        let (message, signature) = token.rsplit_once('.')?;
        let (head, body) = message.split_once('.')?;
        let header: Header = part(head)?;
        // RFC 9068 §4, RFC 8725 §3.1: the algorithm is ours, whatever the header says.
        if header.typ != TYP || header.alg != ALG {
            return None;
        }
        let key = self.inner.keys.find(&header.kid).await?;
        crypto::verify(signature, message.as_bytes(), &key.verifying, Algorithm::EdDSA)
            .ok()
            .filter(|holds| *holds)?;
        let claims = Claims { kid: header.kid, ..part(body)? };
        // Whose it is must be one of the two, or nobody could ask whether they are still there.
        let is_whole = claims.sub == claims.client_id || claims.user().is_some();
        // A time before 1970 is none (spec row J-03).
        let has_span = (0..claims.exp).contains(&claims.iat);
        if claims.iss != self.inner.issuer {
            // Our own signature: the public URL was changed.
            self.inner.problems.record(Kind::Issuer, &claims.iss);
            return None;
        }
        (is_whole && has_span).then_some(claims)
    }

    fn cache<T>(&self, with: impl FnOnce(&mut Cache) -> T) -> T {
        with(&mut self.inner.cache.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("issuer", &self.inner.issuer).finish_non_exhaustive()
    }
}

impl Cache {
    fn find(&mut self, digest: &[u8; 32]) -> Option<Arc<Claims>> {
        if let Some(claims) = self.newer.get(digest) {
            return Some(Arc::clone(claims));
        }
        let claims = self.older.remove(digest)?;
        self.insert(*digest, Arc::clone(&claims));
        Some(claims)
    }

    fn insert(&mut self, digest: [u8; 32], claims: Arc<Claims>) {
        if self.newer.len() >= CACHED {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(digest, claims);
    }
}

/// One part of a JWT. Repeated members are an error of serde's.
pub(super) fn part<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}
