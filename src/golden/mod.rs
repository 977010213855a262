//! Golden questions: a tenant knows what should answer them, so how well search answers is a number.
//!
//! A run asks them all, in the background ([`Golden`]), and notes where the first document that
//! answers each one stood. What ranked is named in the run's fingerprint: the newest run is shown
//! beside the newest one before a model, a reranker, the chunking or the ranking changed. A run begins by
//! itself when any of these is another one than before, or when there are new questions.

mod import;
mod run;
mod score;
pub mod store;
mod store_rankers;
mod store_runs;

use time::OffsetDateTime;

pub use import::{Imported, Line, import, lines};
pub use run::Golden;
pub use score::Score;
pub use store_runs::report;

use crate::ids::{DocumentId, GoldenQuestionId, VectorStoreId};

/// The most questions of a tenant.
pub const MOST: i64 = 500;
/// The longest question, in characters.
pub const LONGEST: usize = 2_000;

/// A question of which it is known what answers it.
#[derive(Clone, Debug)]
pub struct Question {
    /// Names it.
    pub id: GoldenQuestionId,
    /// Where it is asked.
    pub store: VectorStoreId,
    /// What that is called.
    pub store_name: String,
    /// What is asked.
    pub text: String,
    /// Any of these answers it.
    pub expected: Vec<Expected>,
}

/// A document that should answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It is there.
    There {
        /// Names it.
        id: DocumentId,
        /// What it is called.
        title: String,
    },
    /// It was deleted since.
    Deleted,
}

/// Where a question's answer stood in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rank {
    /// Counted from 1.
    At(i32),
    /// Not among the first hundred.
    Missed,
    /// It was not asked in that run.
    Unasked,
}

/// A run, and what came of it.
#[derive(Clone, Debug)]
pub struct Measured {
    /// When.
    pub at: OffsetDateTime,
    /// What ranked.
    pub fingerprint: String,
    /// Over the questions that there still are.
    pub score: Score,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// How many questions were asked.
    pub asked: i32,
    /// Of how many; none while it waits.
    pub of: i32,
}

/// Everything there is to show of a tenant's questions.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Each with its rank in the newest run and in the one before the last change, hardest first.
    pub questions: Vec<(Question, Rank, Rank)>,
    /// The newest run.
    pub now: Option<Measured>,
    /// The newest one of before the last change.
    pub before: Option<Measured>,
    /// The newest run over those questions alone that the one before asked too.
    pub now_of_before: Score,
    /// A run that is under way.
    pub under_way: Option<Progress>,
    /// Whether the last run broke off.
    pub broke_off: bool,
}

/// A question as it is kept: one line, of bounded length; `None` for none.
#[must_use]
pub fn question(text: &str) -> Option<String> {
    let line = crate::neutral::line(text, LONGEST + 1);
    (1..=LONGEST).contains(&line.chars().count()).then_some(line)
}
