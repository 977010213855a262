//! What came of bringing documents in.

use serde::{Deserialize, Serialize};

use super::{extract::Unreadable, sync::Seen};
use crate::{ids::DocumentId, neutral};

/// What came of bringing documents in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Documents that were not there.
    pub added: u64,
    /// Documents whose content had changed; they keep their id.
    pub updated: u64,
    /// Documents that were there already.
    pub unchanged: u64,
    /// Sources that could not be read.
    pub failed: Vec<SourceFailure>,
    /// The document that was added, updated or found last.
    pub last: Option<DocumentId>,
    seen: Seen,
}

/// A source that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFailure {
    /// A path, with a line number where it is one line of a file.
    pub source: String,
    /// Why, in words.
    pub reason: String,
}

impl Report {
    /// Whether no document came of it.
    pub(super) const fn is_empty(&self) -> bool {
        self.added + self.updated + self.unchanged == 0
    }

    pub(super) fn fail(&mut self, source: &str, reason: impl Into<String>) {
        // Names are shown on terminals and pages: no control characters, no end.
        let source = neutral::line(source, 300);
        self.failed.push(SourceFailure { source, reason: reason.into() });
    }

    /// What it came across, for whoever asks what is not there any more.
    pub(super) fn seen(&self) -> Seen {
        self.seen.clone()
    }

    /// An archive was read to its end.
    pub(super) fn read_whole(&mut self, key: String) {
        self.seen.whole.insert(key);
    }

    pub(super) fn count(&mut self, source: &str, outcome: Result<Outcome, Unreadable>) {
        if let Ok(Outcome::Added(id) | Outcome::Updated(id) | Outcome::Unchanged(id)) = &outcome {
            self.seen.documents.insert(*id);
        }
        match outcome {
            Ok(Outcome::Added(id)) => (self.added, self.last) = (self.added + 1, Some(id)),
            Ok(Outcome::Updated(id)) => (self.updated, self.last) = (self.updated + 1, Some(id)),
            Ok(Outcome::Unchanged(id)) => {
                (self.unchanged, self.last) = (self.unchanged + 1, Some(id));
            }
            Err(Unreadable(reason)) => self.fail(source, reason),
        }
    }
}

/// What came of one document.
pub(super) enum Outcome {
    Added(DocumentId),
    Updated(DocumentId),
    Unchanged(DocumentId),
}
