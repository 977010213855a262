//! One at a time for each secret, before any of them holds a connection.
//!
//! Whoever redeems a code or a refresh token locks its grant. A client that sends one token many
//! times would have each of them wait for that lock with a connection in hand, until there is none
//! left for anybody else.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::OwnedMutexGuard;

use crate::secret::SecretHash;

type Turn = tokio::sync::Mutex<()>;

/// How many are remembered until those that nobody holds are looked for.
const ROOM: usize = 1024;

/// Who waits for what. Clones share. There are no more entries in use than requests that run.
#[derive(Clone, Default)]
pub(super) struct Turns(Arc<Mutex<HashMap<Vec<u8>, Weak<Turn>>>>);

impl Turns {
    /// Wait until nobody else on this node acts on the secret.
    pub(super) async fn take(&self, secret: &SecretHash) -> OwnedMutexGuard<()> {
        let turn = self.of(secret);
        turn.lock_owned().await
    }

    fn of(&self, secret: &SecretHash) -> Arc<Turn> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= ROOM {
            all.retain(|_, turn| turn.strong_count() > 0);
        }
        if let Some(turn) = all.get(secret.as_bytes()).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(Turn::default());
        all.insert(secret.as_bytes().to_vec(), Arc::downgrade(&turn));
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::{Kind, Plaintext};

    #[tokio::test]
    async fn one_secret_has_one_turn_and_what_is_over_is_forgotten() {
        let turns = Turns::default();
        let fresh = || Plaintext::generate(Kind::RefreshToken).hash();
        let (secret, other) = (fresh(), fresh());
        let held = turns.take(&secret).await;
        assert!(turns.of(&secret).try_lock().is_err());
        assert!(turns.of(&other).try_lock().is_ok());
        for _ in 0..3 * ROOM {
            drop(turns.take(&fresh()).await);
        }
        assert!(turns.0.lock().unwrap().len() <= ROOM);
        assert!(turns.of(&secret).try_lock().is_err(), "forgotten while it was held");
        drop(held);
        assert!(turns.of(&secret).try_lock().is_ok());
    }
}
