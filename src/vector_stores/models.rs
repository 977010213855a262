//! Which model makes a store's vectors: the installation's own, or one behind an endpoint.

use time::OffsetDateTime;

use super::Failure;

/// The model that runs in this installation, for a store that never had another one.
pub const LOCAL: i16 = 1;

/// Which models make a store's vectors, by number. A number is never used again in its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Models {
    /// The one that search goes by.
    pub active: i16,
    /// The one that will be, once it has made all of them.
    pub next: Option<i16>,
}

/// A model, as a store uses it. Its vectors have length one, whatever it answers.
#[derive(Clone, Debug)]
pub struct EmbeddingModel {
    /// Its number in the store.
    pub id: i16,
    /// Where it is; `None` for the installation's own.
    pub endpoint: Option<Endpoint>,
    /// By its maker.
    pub model: String,
    /// How many numbers a vector has.
    pub dimensions: usize,
}

/// An endpoint as OpenAI's `/v1/embeddings`, without its key.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Without a trailing slash and without `/embeddings`.
    pub base_url: String,
    /// The last four characters of the key; `None` where it takes none.
    pub key_hint: Option<String>,
    /// Whether it must be told how long its vectors are.
    pub asks_dimensions: bool,
    /// How many tokens a day it may be sent; `None` for any number.
    pub tokens_per_day: Option<i64>,
    /// On which day it was asked last, and for how many tokens.
    pub used: Option<(time::Date, i64)>,
    /// When it is asked again for passages, after it failed or was used up.
    pub rests_until: Option<OffsetDateTime>,
    /// The last time it gave no answer; `None` while it works.
    pub failure: Option<Failure>,
}

impl EmbeddingModel {
    /// The installation's own, under this number.
    #[must_use]
    pub fn local(id: i16, dimensions: usize) -> Self {
        Self { id, endpoint: None, model: "all-MiniLM-L6-v2".to_owned(), dimensions }
    }
}

impl Endpoint {
    /// How many tokens it was sent on this day.
    #[must_use]
    pub fn used_on(&self, day: time::Date) -> i64 {
        self.used.filter(|used| used.0 == day).map_or(0, |used| used.1)
    }
}
