//! The life of a signing key: published, signs, verifies, retired.
//!
//! A successor is published [`AHEAD`] of its first signature, so that everybody who caches the key
//! set has it by then (spec row M-08). The key before it goes on verifying until no token that it
//! signed can live. Whoever publishes or retires holds a lock, so that two who do it at once make
//! one key.

use time::{Duration, OffsetDateTime};

use super::{jwks, keys, store_keys as store};
use crate::{
    audit::{self, Event, Kind as Act},
    clock::Clock,
    db::{ControlTx, Db},
    fault::Fault,
    secret::seal::MasterKey,
};

/// How long a key is in the key set before it signs: longer than anybody caches the set, and a
/// minute on top.
const AHEAD: Duration = Duration::minutes(10);
const _: () = assert!(AHEAD.whole_seconds() >= jwks::MAX_AGE as i64 + 60);
/// How long after its successor began to sign a key is retired: longer than an access token lives
/// at most, an hour, on machines whose clocks differ.
const VERIFIES: Duration = Duration::hours(2);
/// How long a retired key is still listed.
const REMEMBERED: Duration = Duration::days(90);

/// Where a key is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// In the key set; signs from [`SigningKey::activates_at`] on.
    Published,
    /// Signs, and verifies.
    Signs,
    /// Verifies what it signed.
    Verifies,
    /// What it signed is refused.
    Retired,
}

impl State {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Signs => "signs",
            Self::Verifies => "verifies",
            Self::Retired => "retired",
        }
    }
}

/// A signing key, as far as anybody may see it.
#[derive(Clone, Debug)]
pub struct SigningKey {
    /// Its name in tokens and in the key set.
    pub kid: String,
    /// Where it is in its life.
    pub state: State,
    /// When it entered the key set.
    pub published_at: OffsetDateTime,
    /// When it began or will begin to sign.
    pub activates_at: OffsetDateTime,
    /// When it was retired.
    pub retired_at: Option<OffsetDateTime>,
}

/// The keys, the last to sign first; retired ones for a while.
///
/// # Errors
/// When the database fails.
pub async fn list(tx: &mut ControlTx, now: OffsetDateTime) -> sqlx::Result<Vec<SigningKey>> {
    let mut has_signer = false;
    let rows = store::list(tx, now - REMEMBERED).await?;
    let key = |row: store::Dates| {
        let state = match row.retired_at {
            Some(_) => State::Retired,
            None if row.activates_at > now => State::Published,
            None if has_signer => State::Verifies,
            None => State::Signs,
        };
        has_signer |= state == State::Signs;
        SigningKey {
            kid: row.kid,
            state,
            published_at: row.created_at,
            activates_at: row.activates_at,
            retired_at: row.retired_at,
        }
    };
    Ok(rows.into_iter().map(key).collect())
}

/// How a key is retired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// Not the one that signs.
    Planned,
    /// Whichever it is: another one signs at once.
    Emergency,
}

/// Why a key was not retired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRetired {
    /// There is none of this name.
    #[error("there is no such key: see callslip keys list")]
    Unknown,
    /// Somebody was first.
    #[error("the key is retired already")]
    Already,
    /// It signs.
    #[error(
        "the key signs: publish a successor first (callslip keys rotate), or, if the key has \
         leaked, retire it with --emergency"
    )]
    Signs,
}

/// Publishes and retires signing keys, whether a server runs or not.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The primary database.
    pub db: Db,
    /// Where "now" comes from.
    pub clock: Clock,
    /// Seals them.
    pub master_key: MasterKey,
}

impl Rotation {
    /// Publish a successor to the key that signs; where one is published already, that one.
    ///
    /// # Errors
    /// When the database fails, or the master key is not the one that sealed the keys.
    pub async fn rotate(&self) -> Result<SigningKey, Fault> {
        let now = self.clock.now();
        let (mut tx, rows) = self.begin().await?;
        let activates_at = match rows.first() {
            Some(newest) if newest.activates_at > now => None,
            Some(_) => Some(now + AHEAD),
            None => Some(now),
        };
        if let Some(activates_at) = activates_at {
            publish(&mut tx, &self.master_key, now, activates_at).await?;
        }
        let newest = list(&mut tx, now).await?.into_iter().find(|key| key.retired_at.is_none());
        tx.commit().await?;
        newest.ok_or_else(|| Fault::new("a key was published and is not there"))
    }

    /// Retire a key: from the answer on, every node refuses what it signed. The key that signs is
    /// retired in an emergency only, and a new one takes its place at once.
    ///
    /// # Errors
    /// When the database fails, or the master key is not the one that sealed the keys.
    pub async fn retire(
        &self,
        kid: &str,
        urgency: Urgency,
    ) -> Result<Result<(), NotRetired>, Fault> {
        let now = self.clock.now();
        let (mut tx, rows) = self.begin().await?;
        let keys = list(&mut tx, now).await?;
        let Some(key) = keys.iter().find(|key| key.kid == kid) else {
            return Ok(Err(NotRetired::Unknown));
        };
        // Where clocks differ, the only key may not sign by this one.
        let signs = key.state == State::Signs || rows.len() == 1;
        match (key.state, urgency) {
            (State::Retired, _) => return Ok(Err(NotRetired::Already)),
            (_, Urgency::Planned) if signs => return Ok(Err(NotRetired::Signs)),
            _ => {}
        }
        if signs {
            publish(&mut tx, &self.master_key, now, now).await?;
        }
        retire(&mut tx, kid, urgency, now).await?;
        tx.commit().await?;
        Ok(Ok(()))
    }

    /// What the schedule asks for: a successor when the newest key has signed for `days`, and the
    /// end of keys that nothing living was signed with. Whether anything changed.
    pub(super) async fn tend(&self, days: u16) -> Result<bool, Fault> {
        let now = self.clock.now();
        let (mut tx, rows) = self.begin().await?;
        let mut changed = false;
        if rows
            .first()
            .is_none_or(|newest| newest.activates_at + Duration::days(days.into()) <= now)
        {
            let activates_at = if rows.is_empty() { now } else { now + AHEAD };
            publish(&mut tx, &self.master_key, now, activates_at).await?;
            changed = true;
        }
        let settled = rows.iter().position(|key| key.activates_at + VERIFIES <= now);
        for key in rows.iter().skip(settled.map_or(rows.len(), |place| place + 1)) {
            retire(&mut tx, &key.kid, Urgency::Planned, now).await?;
            changed = true;
        }
        tx.commit().await?;
        Ok(changed)
    }

    /// Alone with the keys, all of which the master key opens: one sealed by another would be of
    /// no use to any server.
    async fn begin(&self) -> Result<(ControlTx, Vec<store::Row>), Fault> {
        let mut tx = self.db.control().await?;
        store::lock(&mut tx).await?;
        let rows = store::live(&mut tx).await?;
        if !rows.is_empty() {
            keys::parsed(&rows, &self.master_key, None)?;
        }
        Ok((tx, rows))
    }
}

/// The keys, and the first one where there was none. Nodes that start at once agree on it.
pub(super) async fn find_or_create_first(
    db: &Db,
    master: &MasterKey,
    clock: &Clock,
) -> Result<Vec<store::Row>, Fault> {
    let mut tx = db.control().await?;
    let mut rows = store::live(&mut tx).await?;
    if rows.is_empty() {
        store::lock(&mut tx).await?;
        rows = store::live(&mut tx).await?;
    }
    if rows.is_empty() {
        let now = clock.now();
        publish(&mut tx, master, now, now).await?;
        rows = store::live(&mut tx).await?;
    }
    tx.commit().await?;
    Ok(rows)
}

async fn publish(
    tx: &mut ControlTx,
    master: &MasterKey,
    now: OffsetDateTime,
    activates_at: OffsetDateTime,
) -> Result<(), Fault> {
    let row = keys::generate(master, activates_at)?;
    store::create(tx, &row, now).await?;
    let event = Event::new(Act::SigningKeyPublished, now)
        .with("kid", row.kid.as_str())
        .with("signs_from", activates_at.unix_timestamp());
    audit::store::append_control(tx, &event).await?;
    tracing::info!(kid = row.kid, signs_from = %activates_at, "a signing key was published");
    Ok(())
}

async fn retire(
    tx: &mut ControlTx,
    kid: &str,
    urgency: Urgency,
    now: OffsetDateTime,
) -> Result<(), Fault> {
    store::retire(tx, kid, now).await?;
    let emergency = urgency == Urgency::Emergency;
    let event =
        Event::new(Act::SigningKeyRetired, now).with("kid", kid).with("emergency", emergency);
    audit::store::append_control(tx, &event).await?;
    tracing::info!(kid, emergency, "a signing key was retired");
    Ok(())
}
