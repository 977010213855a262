//! Documents of the builtin store: what they are, how they come in, how they are cut.
//!
//! What people send is gathered on disk ([`Spool`]). A file is read by a child process ([`extract`]), and so is each that it holds ([`whole`]); its
//! text is cleaned of hidden characters ([`crate::neutral`]), cut into chunks with exact character
//! ranges ([`chunk`]), embedded, and saved in one transaction ([`store`]). What could not be embedded
//! then is later ([`embed`]). [`import()`] does that for folders on the spot, and the queue
//! ([`ingest`]) for what people send.

mod chunk;
mod draft;
pub mod embed;
pub mod extract;
pub mod import;
mod importer;
pub mod ingest;
pub(crate) mod language;
mod originals;
mod outline;
mod records;
mod report;
mod room;
pub(crate) mod sentences;
mod spool;
pub mod store;
mod store_chunks;
mod store_originals;
mod store_save;
mod store_sync;
mod store_totals;
mod store_versions;
pub mod sync;
mod tables;
mod units;
pub mod versions;
mod whole;

use std::collections::BTreeMap;

use serde::Serialize;
use time::OffsetDateTime;

pub use chunk::CHUNKING_VERSION;
pub use import::{Progress, import};
pub use importer::Importer;
pub(crate) use ingest::TOO_LARGE;
pub use ingest::{MAX_UPLOAD, Upload, enqueue};
pub use report::{Report, SourceFailure};
pub(crate) use spool::Unkept;
pub use spool::{Content, Spool, Spooled};

use crate::ids::{DocumentId, UserId, VectorStoreId};

/// A document without its text.
#[derive(Clone, Debug, Serialize)]
pub struct Document {
    /// Names the row.
    pub id: DocumentId,
    /// The store that it is in.
    pub vector_store_id: VectorStoreId,
    /// Where it came from: a path, an upload's name, or a line's own id.
    pub source_key: String,
    /// From its metadata, its first heading, its first line, or its file name.
    pub title: String,
    /// Where the original is, if the source said so; never shown as a citation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What the source said of it besides.
    pub metadata: BTreeMap<String, String>,
    /// `text/plain`, `application/pdf`, …: see [`extract::MediaType`].
    pub media_type: String,
    /// SHA-256 of the original, in hexadecimal digits.
    pub sha256: String,
    /// Of the original.
    pub byte_size: i64,
    /// Of the extracted text.
    pub char_count: i32,
    /// How many hidden characters were removed from it.
    pub hidden_characters: i32,
    /// How many images, frames, scripts and the like its text holds: assistants get a word on each.
    pub active_content: i32,
    /// What a person should look at: [`crate::neutral::Flag`] by name.
    pub content_flags: Vec<String>,
    /// Whether it waits for an admin, and no assistant finds it.
    pub is_held: bool,
    /// Who uploaded it; `None` for an import on the command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uploaded_by: Option<UserId>,
    /// When it first came in.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When its content last changed.
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// Which documents a listing is of.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// Those whose title or source has it; all where it is blank.
    pub name: &'a str,
    /// Those only in which something was found that a person should look at.
    pub flagged: bool,
    /// Those only that assistants may find.
    pub released: bool,
}

/// One page of a listing.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Newest first.
    pub documents: Vec<Document>,
    /// How many there are in all pages.
    pub total: i64,
}

impl Document {
    /// What its numbered parts are called: `page`, `slide` or `sheet`.
    #[must_use]
    pub fn pages(&self) -> Option<&'static str> {
        extract::MediaType::parse(&self.media_type)?.pages()
    }
}

/// A chunk's place in its document, in Unicode scalar values of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// The first character.
    pub start: usize,
    /// One past the last.
    pub end: usize,
    /// The headings above it, outermost first, joined by " › ".
    pub heading: String,
    /// The page, slide or sheet that it is on, counted from 1.
    pub page: Option<u32>,
}
