//! What a tenant's admin says of the connection to the people who make it.
//!
//! Shown to people: at consent and on pages. Tool definitions and server instructions are the same
//! for every tenant and hold none of it (spec row N-07).

use serde_json::{Value, json};
use time::OffsetDateTime;
use unicode_normalization::UnicodeNormalization;

pub use super::store_connection::{delimits_text, find, holds_documents};

use super::store_connection as store;
use crate::{
    audit::{self, Actor, Event, Kind},
    db::TenantTx,
    ids::TenantId,
    neutral::line,
};

/// The longest name, in characters.
pub const NAME_MOST: usize = 60;
/// The longest description, in characters.
pub const DESCRIPTION_MOST: usize = 300;

/// How a tenant presents its connection; the default is that of one that never said anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// Instead of the tenant's own name; empty for none.
    pub name: String,
    /// What there is to find; empty for nothing.
    pub description: String,
    /// Whether what documents say goes out between marks that no document can know.
    pub delimits_text: bool,
    /// Whether new documents wait until an admin has looked at them.
    pub holds_documents: bool,
    /// When an admin last changed it; none where nobody ever has.
    pub updated_at: Option<OffsetDateTime>,
}

/// What does not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TooLong {
    /// The name.
    pub name: bool,
    /// The description.
    pub description: bool,
}

/// What came of a change.
#[derive(Debug, PartialEq, Eq)]
pub enum Changed {
    /// It holds.
    Saved,
    /// It held already.
    Same,
    /// Nothing was changed: what the admin was looking at does not hold any more, but this.
    Stale(Connection),
}

impl Connection {
    /// From what an admin typed: each in one line, without hidden characters.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn parse(name: &str, description: &str) -> Result<Self, TooLong> {
        // One more than fits, so that nothing is cut off in silence.
        let clean = |text: &str, most: usize| {
            let text = line(&text.nfc().collect::<String>(), most + 1);
            (text.chars().count() <= most).then_some(text)
        };
        match (clean(name, NAME_MOST), clean(description, DESCRIPTION_MOST)) {
            (Some(name), Some(description)) => Ok(Self { name, description, ..Self::default() }),
            (name, description) => {
                Err(TooLong { name: name.is_none(), description: description.is_none() })
            }
        }
    }

    /// Whether it says anything to people.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        self.name.is_empty() && self.description.is_empty()
    }

    fn decided(&self) -> Self {
        Self { updated_at: None, ..self.clone() }
    }

    fn told(&self) -> Value {
        json!({
            "name": self.name,
            "description": self.description,
            "delimits_text": self.delimits_text,
            "holds_documents": self.holds_documents,
        })
    }
}

/// Change it, if `seen` is still when it was last changed. Commit only what was [`Changed::Saved`].
///
/// # Errors
/// When the database fails.
pub async fn change(
    tx: &mut TenantTx,
    tenant: TenantId,
    wanted: &Connection,
    seen: Option<OffsetDateTime>,
    (by, now): (&Actor, OffsetDateTime),
) -> sqlx::Result<Changed> {
    store::hold(tx, tenant).await?;
    let before = find(tx).await?;
    if before.updated_at != seen {
        return Ok(Changed::Stale(before));
    }
    if before.decided() == wanted.decided() {
        return Ok(Changed::Same);
    }
    store::save(tx, wanted, now).await?;
    let event = Event::new(Kind::ConnectionChanged, now)
        .tenant(tenant)
        .by(by)
        .with("before", before.told())
        .with("after", wanted.told());
    audit::store::append(tx, &event).await?;
    Ok(Changed::Saved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_one_honest_line() {
        let parsed = Connection::parse(
            " Our\u{200b} <b>Books</b> \n",
            "e\u{301}lan\u{202e}\tand\nmore\u{e0041}",
        );
        let parsed = parsed.unwrap();
        assert_eq!(
            (parsed.name.as_str(), parsed.description.as_str()),
            ("Our <b>Books</b>", "élan and more")
        );
        assert!(!parsed.is_silent());
        assert!(Connection::parse("  ", "\u{200b}").unwrap().is_silent());
    }

    #[test]
    fn what_is_too_long_is_not_cut() {
        assert!(Connection::parse(&"é".repeat(60), &"é".repeat(300)).is_ok());
        assert_eq!(
            Connection::parse(&"é".repeat(61), &"é".repeat(301)),
            Err(TooLong { name: true, description: true })
        );
        assert_eq!(
            Connection::parse("x", &"é".repeat(301)),
            Err(TooLong { name: false, description: true })
        );
    }
}
