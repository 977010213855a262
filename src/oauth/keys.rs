//! The keys that sign access tokens: in the database, sealed by the master key.
//!
//! A key is published first, so that whoever caches the key set has it in time; from `activates_at`
//! on it signs, until the next one does; and it verifies until it is retired (`rotation`). Every
//! node holds the keys in memory and reads them again and again. Retirement does not wait for that:
//! the statement behind every call asks whether the token's key is retired (`liveness`).

use std::{
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time,
};

use ::time::{Duration, OffsetDateTime};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey,
    jwk::{AlgorithmParameters, Jwk},
};
use sha2::{Digest, Sha256};
use tokio::time::{sleep, timeout};
use zeroize::Zeroizing;

use super::{rotation, store_keys};
use crate::{
    clock::Clock,
    db::{ControlTx, Db},
    fault::Fault,
    secret::seal::MasterKey,
};

/// How often the keys are read again.
const EVERY: Duration = Duration::seconds(15);
/// How long the database may take to tell them.
const PATIENCE: time::Duration = time::Duration::from_secs(5);
/// A name that nobody knows makes us look again, at most this often (spec row J-05).
const UNKNOWN_EVERY: Duration = Duration::seconds(10);

/// RFC 8410 §7: what stands before the 32 bytes of an Ed25519 key in PKCS#8.
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// A key, parsed.
pub(super) struct Key {
    /// Its RFC 7638 thumbprint.
    pub(super) kid: String,
    pub(super) signing: EncodingKey,
    pub(super) verifying: DecodingKey,
    /// The public half, as in a JWK.
    pub(super) x: String,
    activates_at: OffsetDateTime,
}

/// The keys as they were read once: those that are not retired, the last to sign first.
pub(super) struct KeySet(Vec<Arc<Key>>);

impl KeySet {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Key> {
        self.0.iter().map(AsRef::as_ref)
    }

    fn find(&self, kid: &str) -> Option<Arc<Key>> {
        self.0.iter().find(|key| key.kid == kid).cloned()
    }

    /// The newest whose time has come. Where this machine's clock is behind and none's has, the
    /// one whose time comes first.
    fn signing(&self, now: OffsetDateTime) -> Arc<Key> {
        let active = self.0.iter().find(|key| key.activates_at <= now);
        let key = active.or(self.0.last()).expect("a set without keys is never kept");
        Arc::clone(key)
    }
}

/// The keys, and which reading of them this was: an earlier one never takes the place of a later.
struct Reading {
    number: u64,
    at: OffsetDateTime,
    set: Arc<KeySet>,
}

/// The keys, kept up to date. Clones share.
#[derive(Clone)]
pub(super) struct Keys(Arc<Shared>);

struct Shared {
    db: Db,
    clock: Clock,
    master: MasterKey,
    latest: RwLock<Reading>,
    /// How many readings were begun.
    readings: AtomicU64,
    /// When an unknown name last made us look again.
    asked: Mutex<OffsetDateTime>,
    /// Who asks at the same moment waits for the one answer.
    asking: tokio::sync::Mutex<()>,
}

impl Keys {
    /// Read the keys, making the first one when there is none, and keep them up to date until the
    /// last clone is dropped.
    pub(super) async fn start(db: &Db, master: &MasterKey, clock: &Clock) -> Result<Self, Fault> {
        let at = clock.now();
        let rows = rotation::find_or_create_first(db, master, clock).await?;
        let set = Arc::new(parsed(&rows, master, None)?);
        let keys = Self(Arc::new(Shared {
            latest: RwLock::new(Reading { number: 0, at, set }),
            readings: AtomicU64::new(0),
            asked: Mutex::new(OffsetDateTime::UNIX_EPOCH),
            asking: tokio::sync::Mutex::default(),
            db: db.clone(),
            clock: clock.clone(),
            master: master.clone(),
        }));
        let shared = Arc::downgrade(&keys.0);
        tokio::spawn(async move {
            loop {
                sleep(EVERY.unsigned_abs()).await;
                let Some(shared) = shared.upgrade() else { return };
                if let Err(fault) = Self(shared).reload().await {
                    fault.log();
                }
            }
        });
        Ok(keys)
    }

    /// As they are now, as far as this process knows.
    pub(super) fn set(&self) -> Arc<KeySet> {
        Arc::clone(&self.0.latest.read().unwrap_or_else(PoisonError::into_inner).set)
    }

    /// The one that signs now.
    pub(super) fn signing(&self) -> Arc<Key> {
        self.set().signing(self.0.clock.now())
    }

    /// Whether a key of this name verifies, as far as this process knows.
    pub(super) fn knows(&self, kid: &str) -> bool {
        self.set().find(kid).is_some()
    }

    /// The key of this name. One that nobody here has heard of may be new: the keys are read again,
    /// but not for everybody who makes up a name.
    pub(super) async fn find(&self, kid: &str) -> Option<Arc<Key>> {
        if let Some(key) = self.set().find(kid) {
            return Some(key);
        }
        if !is_thumbprint(kid) {
            return None;
        }
        let _turn = self.0.asking.lock().await;
        if let Some(key) = self.set().find(kid) {
            return Some(key);
        }
        if !self.may_look_again() {
            return None;
        }
        if let Err(fault) = self.reload().await {
            fault.log();
        }
        self.set().find(kid)
    }

    fn may_look_again(&self) -> bool {
        let now = self.0.clock.now();
        let mut asked = self.0.asked.lock().unwrap_or_else(PoisonError::into_inner);
        // However the clock was set meanwhile.
        let may = (now - *asked).abs() >= UNKNOWN_EVERY;
        if may {
            *asked = now;
        }
        may
    }

    /// Read the keys again.
    pub(super) async fn reload(&self) -> Result<(), Fault> {
        let reading = async {
            let mut tx = self.0.db.control().await?;
            self.reload_in(&mut tx).await
        };
        timeout(PATIENCE, reading).await?
    }

    /// Read the keys again unless they were read a moment ago: whoever signs must know whose turn
    /// it is.
    pub(super) async fn renew_in(&self, tx: &mut ControlTx) -> Result<(), Fault> {
        let read_at = self.0.latest.read().unwrap_or_else(PoisonError::into_inner).at;
        if (self.0.clock.now() - read_at).abs() < EVERY {
            return Ok(());
        }
        self.reload_in(tx).await
    }

    /// Read the keys again, in somebody's transaction.
    pub(super) async fn reload_in(&self, tx: &mut ControlTx) -> Result<(), Fault> {
        let number = self.0.readings.fetch_add(1, Ordering::Relaxed) + 1;
        let at = self.0.clock.now();
        let rows = store_keys::live(tx).await?;
        let set = Arc::new(parsed(&rows, &self.0.master, Some(&self.set()))?);
        let mut latest = self.0.latest.write().unwrap_or_else(PoisonError::into_inner);
        if latest.number < number {
            *latest = Reading { number, at, set };
        }
        Ok(())
    }
}

/// Every key of `rows`, or a fault: with a part of them somebody's good token would be refused.
pub(super) fn parsed(
    rows: &[store_keys::Row],
    master: &MasterKey,
    known: Option<&KeySet>,
) -> Result<KeySet, Fault> {
    if rows.is_empty() {
        return Err(Fault::new("there is no signing key"));
    }
    let keys: Result<Vec<Arc<Key>>, Fault> = rows
        .iter()
        .map(|row| match known.and_then(|set| set.find(&row.kid)) {
            Some(key) if key.activates_at == row.activates_at => Ok(key),
            _ => open(row, master).map(Arc::new),
        })
        .collect();
    Ok(KeySet(keys?))
}

/// A fresh key, sealed.
pub(super) fn generate(
    master: &MasterKey,
    activates_at: OffsetDateTime,
) -> Result<store_keys::Row, Fault> {
    let seed = Zeroizing::new(rand::random::<[u8; 32]>());
    let pkcs8 = Zeroizing::new([PKCS8_PREFIX.as_slice(), seed.as_slice()].concat());
    let x = public_half(&EncodingKey::from_ed_der(&pkcs8))?;
    let kid = thumbprint(&x);
    let sealed_key = master.seal(&pkcs8, &context(&kid));
    Ok(store_keys::Row { public_key: URL_SAFE_NO_PAD.decode(&x)?, kid, sealed_key, activates_at })
}

fn open(row: &store_keys::Row, master: &MasterKey) -> Result<Key, Fault> {
    let kid = &row.kid;
    let pkcs8 = master.open(&row.sealed_key, &context(kid)).map_err(|error| {
        Fault::new(format!(
            "the master key does not open the signing key {kid} ({error}): give this server the \
             CALLSLIP_MASTER_KEY or the master.key that this database was begun with"
        ))
    })?;
    let signing = EncodingKey::from_ed_der(&pkcs8);
    let x = public_half(&signing)?;
    if thumbprint(&x) != *kid || URL_SAFE_NO_PAD.encode(&row.public_key) != x {
        return Err(Fault::new(format!("the signing key {kid} does not match its name")));
    }
    let verifying = DecodingKey::from_ed_components(&x)?;
    Ok(Key { kid: kid.clone(), verifying, signing, x, activates_at: row.activates_at })
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

/// Whether a name could be one of ours: 32 bytes in base64url.
fn is_thumbprint(kid: &str) -> bool {
    URL_SAFE_NO_PAD.decode(kid).is_ok_and(|bytes| bytes.len() == 32)
}

#[cfg(test)]
mod tests {
    use sqlx::PgPool;

    use super::*;
    use crate::db::gate::Gate;

    /// [J-05] Names that somebody makes up cost one look at the database in ten seconds, however
    /// many there are, and one that no key could have costs none.
    #[sqlx::test]
    async fn made_up_names_do_not_keep_the_database_busy(pool: PgPool) {
        let gate = Gate::before(&pool);
        let clock = Clock::movable();
        let keys = Keys::start(&gate.db(), &MasterKey::generate(), &clock).await.unwrap();
        let requests = || *gate.requests.borrow();
        let made_up = || URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let mut before = requests();
        for kid in ["", "../../etc/passwd", "' or 1=1 --", "AAAA", &"A".repeat(8000)] {
            assert!(keys.find(kid).await.is_none());
        }
        assert_eq!(requests(), before);
        for _ in 0..3 {
            assert!(keys.find(&made_up()).await.is_none());
            assert!(requests() > before, "a new key would not be found");
            before = requests();
            for _ in 0..100 {
                assert!(keys.find(&made_up()).await.is_none());
            }
            clock.advance(Duration::milliseconds(9_500));
            assert!(keys.find(&made_up()).await.is_none());
            assert_eq!(requests(), before);
            clock.advance(Duration::milliseconds(500));
        }
        let signing = keys.signing().kid.clone();
        assert!(keys.find(&signing).await.is_some_and(|key| key.kid == signing));
    }
}
