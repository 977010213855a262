//! What documents say, made harmless to show: pure functions of text (spec rows N-01, N-03, N-09).
//!
//! - [`characters`]: without what people cannot see and models can read; at ingest and again when
//!   answering.
//! - [`markup`]: without what a client could load, follow or run by itself; when answering. What is
//!   stored, and what people read here, stays as its author wrote it.
//! - [`flags()`]: what a person should look at. Nothing is dropped for it.
//!
//! No function here takes more than linear time, and what comes out goes in again unchanged.

mod characters;
mod flags;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod markup;
#[cfg(test)]
mod tests;

pub use characters::{Cleaned, clean, line};
pub use flags::{Flag, flags};

/// Text that is safe to hand to an assistant, and what became of the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neutral {
    /// Without hidden characters and without live markup.
    pub text: String,
    /// How many hidden characters were removed.
    pub hidden: usize,
    /// How many images, frames, scripts and the like were replaced by a word on them.
    pub active: usize,
}

/// Both removals, in the order that leaves nothing to be put together by the second one.
#[must_use]
pub fn neutralise(text: &str) -> Neutral {
    let cleaned = clean(text);
    let markup::Disarmed { text, active } = markup::disarm(&cleaned.text);
    Neutral { text, hidden: cleaned.removed, active }
}

/// Neutralised, in one line, of at most `limit` characters: for titles and names in answers.
#[must_use]
pub fn neutral_line(text: &str, limit: usize) -> String {
    line(&neutralise(&line(text, limit)).text, limit)
}
