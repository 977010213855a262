//! Reading untrusted files in a child process that may do nothing else (spec row U-04).
//!
//! The parent ([`Extractor`]) starts its own executable as `callslip extract TYPE`, with an empty
//! environment, gives it the file on stdin and reads JSON from stdout. The child ([`child_main`])
//! first locks itself in ([`sandbox`]) and only then looks at the file. Whatever the file makes the
//! parser do, it ends in that process, and in a reason for the person who sent it.
//!
//! Pages of a PDF that are pictures are read by Tesseract, where it is ([`Tesseract`]).
//!
//! What a file holds besides its own text, as an archive and a message do, comes out the same way
//! ([`Extractor::open`]): one member after the other, each then read by a process of its own.

mod archive;
mod child;
mod csv;
mod draft;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod html;
mod mail;
mod media;
mod members;
mod office;
mod package;
mod parent;
mod parent_members;
mod pdf;
mod rows;
mod sandbox;
mod scans;
mod tesseract;
mod text;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use child::child_main;
pub use media::MediaType;
pub(super) use media::UNSUPPORTED;
pub use parent::Extractor;
pub use parent_members::{Member, Members};
pub use tesseract::Tesseract;

use super::outline::Style;

/// What a parser found in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parsed {
    /// How its text shows headings.
    pub style: Style,
    /// From its metadata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its pages, its slides, or its whole text.
    pub sections: Vec<String>,
    /// What else it says of itself: of a message, who wrote it when.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Whether it holds other documents, which [`Extractor::open`] hands out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub holds_members: bool,
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

fn too_long() -> Unreadable {
    unreadable("the text is longer than 10,000,000 characters: split the file")
}
