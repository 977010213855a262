//! What a question's words are worth in a store.
//!
//! A word is stemmed in each language that the store's documents are in, and each form stands for
//! the same word: how rare it is goes by how many chunks have any of them. Where it is a stop word,
//! every chunk in that language counts as having it, so that "the" is worth nothing beside a few
//! documents in German, and "war" is, although German has no meaning for it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::misspelt;

/// What stands for a misspelt word counts for half of what it would if it had been asked for.
const MEANT: f64 = 0.5;
/// The most words of a question that are looked up as misspelt.
const MOST_MISSPELT: usize = 3;
/// As many dimensions as there are terms: see `term_of` in the database.
const DIMENSIONS: u32 = 1_000_000_000;

/// A form of one of the question's words, in one of the store's languages.
#[derive(Clone, Debug)]
pub(super) struct Form {
    /// Which word of the question; the forms of one word share it.
    pub(super) place: i64,
    /// How often the question has it there.
    pub(super) times: i64,
    /// How many chunks are in the language; none for what is the same in every language.
    pub(super) speakers: Option<i32>,
    /// None where it is a stop word.
    pub(super) word: Option<String>,
    /// What stands for it in vectors.
    pub(super) term: Option<i32>,
    /// How many chunks have it.
    pub(super) chunks: Option<i32>,
    /// How many chunks the store has.
    pub(super) size: i32,
}

/// A word of the store, near one that it has not.
#[derive(Clone, Debug)]
pub(super) struct Near {
    /// Which of the words that were looked up.
    pub(super) number: i64,
    pub(super) word: String,
    pub(super) term: i32,
    pub(super) chunks: i32,
    pub(super) size: i32,
}

/// The words of a question, in one store.
#[derive(Debug, Default)]
pub(super) struct Words {
    weights: BTreeMap<i32, f64>,
    /// How its words are written, without endings.
    pub(super) stems: Vec<String>,
    /// What no chunk has, and may be misspelt.
    pub(super) unknown: Vec<String>,
    /// How many chunks the store has.
    pub(super) chunks: usize,
}

impl Words {
    pub(super) fn of(forms: &[Form]) -> Self {
        let mut places: BTreeMap<i64, Vec<&Form>> = BTreeMap::new();
        for form in forms {
            places.entry(form.place).or_default().push(form);
        }
        let chunks = forms.first().map_or(0, |form| form.size);
        let mut words = Self { chunks: usize::try_from(chunks).unwrap_or(0), ..Self::default() };
        for forms in places.values() {
            words.add(forms);
        }
        words.unknown.truncate(MOST_MISSPELT);
        words
    }

    /// One word, in all its forms.
    fn add(&mut self, forms: &[&Form]) {
        let known: HashMap<i32, i32> =
            forms.iter().filter_map(|form| form.term.zip(form.chunks)).collect();
        let stopped = forms.iter().filter(|form| form.term.is_none());
        let stopped: i64 = stopped.filter_map(|form| form.speakers).map(i64::from).sum();
        let chunks = known.values().copied().map(i64::from).sum::<i64>() + stopped;
        let Some(first) = forms.first() else { return };
        for term in known.keys() {
            let weight = f64::from(u32::try_from(first.times).unwrap_or(1));
            *self.weights.entry(*term).or_default() += weight * rarity(chunks, first.size);
        }
        let written: BTreeSet<&String> =
            forms.iter().filter_map(|form| form.word.as_ref()).collect();
        if chunks == 0 && first.speakers.is_some() {
            self.unknown.extend(written.iter().take(1).map(|word| (*word).clone()));
        }
        self.stems.extend(written.into_iter().cloned());
    }

    /// Add what the unknown words were meant to be.
    pub(super) fn correct(&mut self, near: &[Near]) {
        for (number, unknown) in self.unknown.iter().enumerate() {
            let number = i64::try_from(number + 1).unwrap_or(i64::MAX);
            let near = near.iter().filter(|near| near.number == number);
            let best = near
                .filter_map(|near| Some((misspelt::distance(unknown, &near.word)?, near)))
                .min_by(|(a, one), (b, other)| {
                    a.cmp(b).then(other.chunks.cmp(&one.chunks)).then(one.word.cmp(&other.word))
                });
            if let Some((_, meant)) = best {
                let rarity = rarity(i64::from(meant.chunks), meant.size);
                *self.weights.entry(meant.term).or_default() += MEANT * rarity;
                self.stems.push(meant.word.clone());
            }
        }
    }

    /// As pgvector reads it: the inner product with a chunk's terms is BM25.
    pub(super) fn literal(&self) -> String {
        let terms: Vec<String> =
            self.weights.iter().map(|(term, weight)| format!("{term}:{weight:.6}")).collect();
        format!("{{{}}}/{DIMENSIONS}", terms.join(","))
    }

    /// Each term with its weight.
    pub(super) fn weights(&self) -> impl Iterator<Item = (i32, f64)> {
        self.weights.iter().map(|(term, weight)| (*term, *weight))
    }
}

/// BM25's inverse document frequency.
fn rarity(chunks: i64, size: i32) -> f64 {
    let size = f64::from(size);
    let chunks = f64::from(i32::try_from(chunks).unwrap_or(i32::MAX)).min(size);
    (1.0 + (size - chunks + 0.5) / (chunks + 0.5)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(place: i64, speakers: i32, word: Option<(&str, i32, i32)>) -> Form {
        Form {
            place,
            times: 1,
            speakers: Some(speakers),
            word: word.map(|(word, ..)| word.to_owned()),
            term: word.map(|(_, term, _)| term),
            chunks: word.and_then(|(.., chunks)| (chunks > 0).then_some(chunks)),
            size: 1_000,
        }
    }

    /// "the war", asked in a store of 990 chunks in English and 10 in German.
    #[test]
    fn a_stop_word_of_one_language_is_worth_nothing_in_another() {
        let words = Words::of(&[
            form(1, 990, None),
            form(1, 10, Some(("the", 7, 3))),
            form(2, 990, Some(("war", 8, 20))),
            form(2, 10, None),
        ]);
        let weights: BTreeMap<i32, f64> = words.weights().collect();
        assert!(weights[&7] < 0.01 && weights[&8] > 3.0, "{weights:?}");
        assert_eq!(words.stems, ["the", "war"]);
        assert!(words.unknown.is_empty());
        assert!(words.literal().starts_with("{7:0.00"), "{}", words.literal());
    }

    /// As everybody computes it, where there is one language.
    #[test]
    fn one_language_is_plain_bm25() {
        let words = Words::of(&[form(1, 1_000, Some(("cat", 5, 10))), form(3, 1_000, None)]);
        let expected = (1.0_f64 + 990.5 / 10.5).ln();
        assert_eq!(words.weights().collect::<Vec<_>>(), [(5, expected)]);
        let none = Words::of(&[]);
        assert_eq!(none.literal(), "{}/1000000000");
    }

    #[test]
    fn a_word_that_nobody_wrote_stands_for_the_nearest_one_that_somebody_did() {
        let mut words = Words::of(&[
            form(1, 1_000, Some(("vacaton", 5, 0))),
            form(2, 1_000, Some(("zebra", 6, 0))),
            form(3, 1_000, Some(("day", 9, 40))),
        ]);
        assert_eq!(words.unknown, ["vacaton", "zebra"]);
        let near = |number, word: &str, term, chunks| Near {
            number,
            word: word.to_owned(),
            term,
            chunks,
            size: 1_000,
        };
        words.correct(&[
            near(1, "vacant", 11, 90),
            near(1, "vacation", 12, 5),
            near(2, "cobra", 13, 5),
        ]);
        let terms: Vec<i32> = words.weights().map(|(term, _)| term).collect();
        assert_eq!(terms, [9, 12]);
        assert!(words.stems.contains(&"vacation".to_owned()));
    }
}
