//! Ids to read on with: what follows a part of a document that was read.
//!
//! Such an id is sealed, and opens for the tool, tenant, grant, user and client that it was made
//! for, for ten minutes (spec row H-09). It is no leave to read anything either: the document's own
//! id is inside, and what the caller may read is asked anew. Ids from `search` need no seal for that:
//! they hold no state, and say nothing that is believed.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    clock::Clock,
    ids::UserId,
    mcp::caller::Caller,
    search::Onward,
    secret::seal::{DataKey, MasterKey},
};

/// What these ids begin with, and no other.
const PREFIX: &str = "more.";
/// For how long one is good.
const LIFETIME: time::Duration = time::Duration::minutes(10);

/// Makes and opens them.
#[derive(Clone, Debug)]
pub(in crate::mcp) struct Handles {
    key: DataKey,
    clock: Clock,
}

/// What an id that somebody presented is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Presented {
    /// Not one of these, or not this caller's.
    Other,
    /// Its time is over.
    Expired,
    /// A document's own id, and where to read on.
    Good(String, Onward),
}

impl Handles {
    /// With a key of their own.
    pub(in crate::mcp) fn new(master_key: &MasterKey, clock: Clock) -> Self {
        Self { key: master_key.sealing_key("mcp/fetch/onward"), clock }
    }

    /// For this caller, a document and a place in it.
    pub(super) fn seal(&self, caller: &Caller, id: &str, onward: &Onward) -> String {
        let expires = (self.clock.now() + LIFETIME).unix_timestamp();
        let start = u64::try_from(onward.start).unwrap_or(u64::MAX);
        let plain = [
            expires.to_be_bytes().as_slice(),
            start.to_be_bytes().as_slice(),
            &onward.digest,
            id.as_bytes(),
        ]
        .concat();
        let sealed = self.key.seal(&plain, &context(caller));
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(sealed))
    }

    /// What this caller presented.
    pub(super) fn open(&self, caller: &Caller, text: &str) -> Presented {
        let sealed = text.strip_prefix(PREFIX).and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
        let plain = sealed.and_then(|sealed| self.key.open(&sealed, &context(caller)).ok());
        let read = |plain: &[u8]| {
            let (expires, rest) = plain.split_first_chunk::<8>()?;
            let (start, rest) = rest.split_first_chunk::<8>()?;
            let (digest, id) = rest.split_first_chunk::<16>()?;
            let start = usize::try_from(u64::from_be_bytes(*start)).ok()?;
            let onward = Onward { start, digest: *digest };
            Some((i64::from_be_bytes(*expires), std::str::from_utf8(id).ok()?.to_owned(), onward))
        };
        match plain.as_ref().and_then(|plain| read(plain)) {
            None => Presented::Other,
            Some((expires, ..)) if expires <= self.clock.now().unix_timestamp() => {
                Presented::Expired
            }
            Some((_, id, onward)) => Presented::Good(id, onward),
        }
    }
}

/// Who may use it, and for what. No part holds a line break.
fn context(caller: &Caller) -> String {
    let user = caller.user().map(UserId::uuid).unwrap_or_default();
    format!(
        "fetch\n{}\n{}\n{user}\n{}",
        caller.scope().tenant_id(),
        caller.grant(),
        caller.client_id()
    )
}
