//! Reading untrusted files in a child process that may do nothing else (spec row U-04).
//!
//! The parent ([`Extractor`]) starts its own executable as `callslip extract TYPE`, with an empty
//! environment, gives it the file on stdin and reads JSON from stdout. The child ([`child_main`])
//! first locks itself in ([`sandbox`]) and only then looks at the file. Whatever the file makes the
//! parser do, it ends in that process, and in a reason for the person who sent it.

mod child;
mod html;
mod media;
mod parent;
mod pdf;
mod sandbox;
mod text;

use serde::{Deserialize, Serialize};

pub use child::child_main;
pub use media::MediaType;
pub use parent::Extractor;

use super::outline::Style;

/// What a parser found in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parsed {
    /// How its text shows headings.
    pub style: Style,
    /// From its metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its pages, or its whole text.
    pub sections: Vec<String>,
}

/// Why a file could not be read, in words for the person who sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable(pub String);

/// What the child writes.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Parsed(Parsed),
    Unreadable(String),
}

/// The most characters that are kept of one document.
const MAX_TEXT: usize = 10_000_000;

fn unreadable(reason: impl Into<String>) -> Unreadable {
    Unreadable(reason.into())
}
