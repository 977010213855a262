//! One store in memory: a bit a dimension of every embedding, and every word's chunks.
//!
//! What comes of it is only who is looked at: the scores that rank are Postgres' own.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU8, Ordering},
    time::{Duration, Instant},
};

use crate::search::ranking::Place;

/// So many chunks by both halves, and so many more by words alone, are looked at exactly. Measured
/// on 100,000 chunks (`scripts/bench retrieval`): of the ten best, 99.3 in 100 are among these.
const BEST: usize = 400;
const BEST_BY_WORDS: usize = 20;
/// As many by words where a phrase is asked for: it is among those that have its words.
const PHRASED: usize = 1_000;
/// The weight of words beside a cosine: see `ranking`.
const WORDS: f32 = 0.4;
/// Weights are kept in 1/29,000: BM25's share of a chunk is below 2.2.
const UNIT: f32 = 1.0 / 29_000.0;

/// A store's chunks as they were at one time.
#[derive(Debug)]
pub(in crate::search) struct Index {
    since: String,
    /// Which of the store's models the bits are by.
    model: i16,
    loaded: Instant,
    places: Vec<Place>,
    /// `width` of each chunk, all 0 where it has no embedding.
    bits: Vec<u64>,
    width: usize,
    /// Where in `slots` and `weights` each term's chunks are.
    terms: HashMap<i32, (u32, u32)>,
    slots: Vec<u32>,
    weights: Vec<u16>,
    state: AtomicU8,
}

/// Whether it was compared with a look at every chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum State {
    /// Not yet.
    Fresh,
    /// It finds what there is.
    Good,
    /// It does not, and is not asked.
    Poor,
}

/// A question, as far as the index is asked.
#[derive(Clone, Debug, Default)]
pub(in crate::search) struct Wanted {
    pub(in crate::search) terms: Vec<(i32, f64)>,
    pub(in crate::search) vector: Option<Vec<f32>>,
    pub(in crate::search) phrased: bool,
}

/// Takes a store's chunks one by one.
#[derive(Debug, Default)]
pub(super) struct Builder {
    places: Vec<Place>,
    bits: Vec<u64>,
    width: usize,
    postings: Vec<(i32, u32, u16)>,
}

impl Builder {
    /// Add a chunk: its terms with their weights, and the signs of its embedding's numbers as `0`
    /// and `1`.
    pub(super) fn add(
        &mut self,
        place: Place,
        terms: impl Iterator<Item = (i32, f32)>,
        signs: Option<&str>,
    ) {
        let slot = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        if let Some(signs) = signs.filter(|_| self.width == 0) {
            self.width = signs.len().div_ceil(64);
            // Those before it have none.
            self.bits = vec![0; self.places.len() * self.width];
        }
        let start = self.bits.len();
        self.bits.resize(start + self.width, 0);
        for (at, sign) in signs.unwrap_or_default().bytes().enumerate().take(self.width * 64) {
            self.bits[start + at / 64] |= u64::from(sign == b'1') << (at % 64);
        }
        for (term, weight) in terms {
            self.postings.push((term, slot, (weight / UNIT).round() as u16));
        }
        self.places.push(place);
    }

    pub(super) fn index(mut self, since: String, model: i16) -> Index {
        self.postings.sort_unstable();
        let mut terms: HashMap<i32, (u32, u32)> = HashMap::new();
        let mut slots = Vec::with_capacity(self.postings.len());
        let mut weights = Vec::with_capacity(self.postings.len());
        for (term, slot, weight) in self.postings {
            let at = u32::try_from(slots.len()).unwrap_or(u32::MAX);
            terms.entry(term).or_insert((at, at)).1 = at + 1;
            slots.push(slot);
            weights.push(weight);
        }
        Index {
            since,
            model,
            loaded: Instant::now(),
            places: self.places,
            bits: self.bits,
            width: self.width,
            terms,
            slots,
            weights,
            state: AtomicU8::new(State::Fresh as u8),
        }
    }
}

impl Index {
    pub(super) const fn chunks(&self) -> usize {
        self.places.len()
    }

    /// Whose embeddings it knows.
    pub(in crate::search) const fn model(&self) -> i16 {
        self.model
    }

    /// What changed in this transaction or later may not be in it, as PostgreSQL writes it.
    pub(in crate::search) fn since(&self) -> &str {
        &self.since
    }

    pub(super) fn age(&self) -> Duration {
        self.loaded.elapsed()
    }

    /// About how many bytes it takes.
    pub(super) fn size(&self) -> usize {
        self.places.len() * size_of::<Place>()
            + self.bits.len() * 8
            + self.slots.len() * 6
            + self.terms.len() * 24
    }

    pub(super) fn state(&self) -> State {
        match self.state.load(Ordering::Relaxed) {
            0 => State::Fresh,
            1 => State::Good,
            _ => State::Poor,
        }
    }

    pub(super) fn set_state(&self, state: State) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    /// The chunks that are worth a look.
    pub(in crate::search) fn best(&self, wanted: &Wanted) -> Vec<Place> {
        let by_words = self.by_words(&wanted.terms);
        let most = by_words.iter().copied().fold(0.0, f32::max).max(f32::MIN_POSITIVE);
        let mut scores: Vec<f32> = by_words.iter().map(|score| WORDS * score / most).collect();
        if let Some(vector) = wanted.vector.as_deref().filter(|_| self.width > 0) {
            self.add_cosines(vector, &mut scores);
        }
        let mut chosen = top(&scores, BEST);
        chosen.extend(top(&by_words, if wanted.phrased { PHRASED } else { BEST_BY_WORDS }));
        chosen.sort_unstable();
        chosen.dedup();
        chosen.into_iter().map(|slot| self.places[slot]).collect()
    }

    /// Every chunk's BM25.
    fn by_words(&self, terms: &[(i32, f64)]) -> Vec<f32> {
        let mut scores = vec![0.0_f32; self.places.len()];
        for (term, weight) in terms {
            let Some((first, end)) = self.terms.get(term) else { continue };
            let range = *first as usize..*end as usize;
            let weight = *weight as f32 * UNIT;
            for (slot, share) in self.slots[range.clone()].iter().zip(&self.weights[range]) {
                scores[*slot as usize] += weight * f32::from(*share);
            }
        }
        scores
    }

    /// About the cosine of every embedding and the question's: of two that differ in a share of
    /// their signs, the angle is about that share of a half turn.
    fn add_cosines(&self, vector: &[f32], scores: &mut [f32]) {
        let mut asked = vec![0_u64; self.width];
        for (at, number) in vector.iter().enumerate().take(self.width * 64) {
            asked[at / 64] |= u64::from(*number > 0.0) << (at % 64);
        }
        let dimensions = vector.len().max(1);
        let cosines: Vec<f32> = (0..=self.width * 64)
            .map(|unlike| (std::f32::consts::PI * unlike as f32 / dimensions as f32).cos())
            .collect();
        for (score, bits) in scores.iter_mut().zip(self.bits.chunks_exact(self.width)) {
            let unlike: u32 = bits.iter().zip(&asked).map(|(a, b)| (a ^ b).count_ones()).sum();
            *score += cosines[unlike as usize];
        }
    }
}

/// Where the highest scores are, without those that are nothing.
fn top(scores: &[f32], most: usize) -> Vec<usize> {
    let mut slots: Vec<usize> = (0..scores.len()).filter(|slot| scores[*slot] > 0.0).collect();
    if slots.len() > most {
        slots.select_nth_unstable_by(most, |a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
        slots.truncate(most);
    }
    slots
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn place(n: u32) -> Place {
        Place { document: Uuid::from_u128(u128::from(n)).into(), chunk: n }
    }

    fn numbers(of: u32) -> Vec<f32> {
        // The same each time, and unlike for each.
        let mut state = u64::from(of).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        (0..128)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 40) as f32 / (1_u32 << 23) as f32 - 1.0
            })
            .collect()
    }

    #[test]
    fn the_nearest_and_those_with_the_words_are_among_the_best() {
        let mut builder = Builder::default();
        for n in 0..5_000 {
            let signs: String =
                numbers(n).iter().map(|number| if *number > 0.0 { '1' } else { '0' }).collect();
            let terms = [(7, 1.0), (1_000 + i32::try_from(n / 2).unwrap(), 1.5)];
            // Some wait for their embedding.
            let signs = (n % 50 != 3).then_some(signs.as_str());
            builder.add(place(n), terms.into_iter(), signs);
        }
        let index = builder.index("0".to_owned(), 1);
        assert!(index.chunks() == 5_000 && index.size() > 100_000);
        let wanted = Wanted {
            terms: vec![(7, 0.01), (1_000 + 2_000, 5.0), (99, 9.0)],
            vector: Some(numbers(1_234)),
            phrased: false,
        };
        let best = index.best(&wanted);
        assert!(best.len() <= BEST + BEST_BY_WORDS);
        for expected in [1_234, 4_000, 4_001] {
            assert!(best.contains(&place(expected)), "{expected}");
        }
        let phrased = index.best(&Wanted { vector: None, phrased: true, ..wanted });
        assert!(phrased.len() >= PHRASED);
        assert!(index.best(&Wanted::default()).is_empty());
        assert!(Builder::default().index(String::new(), 1).best(&Wanted::default()).is_empty());
    }
}
