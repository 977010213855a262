//! What a store's page shows of its models: how far each is, how well it works, what it does not take.

use super::view::{self, Moment};
use crate::{
    documents::embed::{self, Status},
    http::sentence,
    ids::VectorStoreId,
    search::{Reference, Target},
    vector_stores::{
        Failure,
        models::{EmbeddingModel, Endpoint},
    },
};

/// So many passages are named that a model does not take.
pub(super) const NAMED: i64 = 20;

/// A model, with how far it is.
pub(super) struct Model {
    pub(super) is_next: bool,
    pub(super) name: String,
    pub(super) place: String,
    pub(super) dimensions: String,
    pub(super) key_hint: Option<String>,
    /// How many passages it has embedded, in words; and in a hundred.
    pub(super) done: String,
    /// Nothing where there is no passage.
    pub(super) percent: Option<i64>,
    pub(super) tone: &'static str,
    pub(super) status: &'static str,
    pub(super) budget: Option<String>,
    pub(super) rests_until: Option<Moment>,
    pub(super) failure: Option<Said>,
    pub(super) refused: Vec<Refused>,
    /// How many more of those there are.
    pub(super) more_refused: Option<String>,
}

/// A passage that the model does not take.
pub(super) struct Refused {
    pub(super) url: String,
    pub(super) title: String,
    pub(super) reason: &'static str,
}

/// Why a model gave no answer, and when.
pub(super) struct Said {
    pub(super) reason: String,
    pub(super) when: Moment,
}

impl Said {
    pub(super) fn of(failure: &Failure) -> Self {
        Self { reason: sentence(&failure.reason), when: failure.at.into() }
    }
}

/// A store, as one of its models sees it.
pub(super) struct Whole<'a> {
    pub(super) store: VectorStoreId,
    pub(super) status: &'a Status,
    pub(super) is_next: bool,
    /// Whether the installation has a model of its own.
    pub(super) has_own: bool,
    /// Some of what it does not take.
    pub(super) refused: Vec<embed::Refused>,
}

impl Model {
    pub(super) fn of(model: &EmbeddingModel, whole: Whole<'_>, today: time::Date) -> Self {
        let Whole { store, status, is_next, has_own, refused } = whole;
        let passages = status.passages;
        let (done, not_taken) = match is_next {
            true => (status.prepared, status.refused.1),
            false => (status.embedded, status.refused.0),
        };
        let endpoint = model.endpoint.as_ref();
        let failure = endpoint.and_then(|endpoint| endpoint.failure.as_ref());
        let is_own = endpoint.is_none();
        let (tone, status) = match (failure.is_some(), is_own && !has_own, is_next) {
            (true, ..) => ("bad", "Failing"),
            (_, true, _) => ("warn", "Not there"),
            (.., true) => ("info", "Being prepared"),
            _ if done + not_taken < passages => ("info", "At work"),
            _ => ("good", "Ready"),
        };
        let more = not_taken - i64::try_from(refused.len()).unwrap_or_default();
        Self {
            name: model.model.clone(),
            place: endpoint.map_or("in this installation".to_owned(), |at| at.base_url.clone()),
            is_next,
            dimensions: view::count(
                i64::try_from(model.dimensions).unwrap_or_default(),
                "dimension",
                "dimensions",
            ),
            key_hint: endpoint.and_then(|endpoint| endpoint.key_hint.clone()),
            done: format!("{} of {}", view::number(done), view::number(passages)),
            percent: (passages > 0).then(|| done * 100 / passages),
            tone,
            status,
            budget: endpoint.map(|endpoint| budget(endpoint, today)),
            rests_until: endpoint.and_then(|endpoint| endpoint.rests_until).map(Into::into),
            failure: failure.map(Said::of),
            refused: refused.into_iter().map(|one| Refused::of(store, one)).collect(),
            more_refused: (more > 0).then(|| view::number(more)),
        }
    }
}

impl Refused {
    fn of(store: VectorStoreId, refused: embed::Refused) -> Self {
        let reason = refused.reason();
        let chunk = refused.ordinal.unsigned_abs();
        let document = Target::Builtin { document: refused.document, chunk };
        let url = format!("/d/{}#passage", Reference { store, document });
        Self { url, title: refused.title, reason }
    }
}

fn budget(endpoint: &Endpoint, today: time::Date) -> String {
    let used = view::number(endpoint.used_on(today));
    match endpoint.tokens_per_day {
        Some(most) => format!("{used} of {} tokens today", view::number(most)),
        None => format!("{used} tokens today, without a bound"),
    }
}
