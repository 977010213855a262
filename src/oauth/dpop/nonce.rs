//! The server's nonces (RFC 9449 §8): made from the time, so that every node knows them and none
//! stores them.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq;
use time::OffsetDateTime;

use crate::secret::derive::DerivationKey;

/// A new one every so many seconds. The one before is accepted too, so each lives five minutes
/// from the moment at which it was first given out.
const SECONDS: i64 = 150;

/// Makes nonces and knows them again.
#[derive(Clone)]
pub(in crate::oauth) struct Nonces {
    key: DerivationKey,
}

impl Nonces {
    pub(in crate::oauth) const fn new(key: DerivationKey) -> Self {
        Self { key }
    }

    /// The nonce to use from now on.
    pub(in crate::oauth) fn current(&self, now: OffsetDateTime) -> String {
        self.of(window(now))
    }

    /// Whether `nonce` is good now. The next one is good already: another node's clock may be ahead.
    pub(super) fn accepts(&self, nonce: &str, now: OffsetDateTime) -> bool {
        let window = window(now);
        [window, window - 1, window + 1]
            .into_iter()
            .any(|one| self.of(one).as_bytes().ct_eq(nonce.as_bytes()).into())
    }

    fn of(&self, window: i64) -> String {
        let bits = self.key.derive(&window.to_be_bytes());
        URL_SAFE_NO_PAD.encode(&bits[..16])
    }
}

fn window(now: OffsetDateTime) -> i64 {
    now.unix_timestamp().div_euclid(SECONDS)
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;
    use crate::secret::seal::MasterKey;

    fn nonces(master: &str) -> Nonces {
        Nonces::new(MasterKey::from_hex(&master.repeat(32)).unwrap().derivation_key("nonces"))
    }

    #[test]
    fn a_nonce_is_good_for_minutes_and_at_every_node_of_the_installation() {
        let (one, other, stranger) = (nonces("5a"), nonces("5a"), nonces("a5"));
        let begin = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        for second in [0, 1, 149, 150, 151] {
            let issued = begin + Duration::seconds(second);
            let nonce = one.current(issued);
            for later in [-30, 0, 1, 60, 149, 150] {
                assert!(other.accepts(&nonce, issued + Duration::seconds(later)), "{later}");
            }
            assert!(!other.accepts(&nonce, issued + Duration::seconds(300)));
            assert!(!stranger.accepts(&nonce, issued));
        }
        assert!(!one.accepts("", begin) && !one.accepts("AAAAAAAAAAAAAAAAAAAAAA", begin));
    }
}
