//! From candidates to the documents that answer, best first.
//!
//! A passage scores the cosine of its embedding and the question's, plus 0.4 times its share of the
//! best BM25. Then three corrections, each measured on collections that it was not made for
//! (`callslip eval`; README, "Search"):
//! 1. the question's embedding moves towards the best candidates', and they are scored again: what
//!    answers speaks another language than who asks;
//! 2. a passage gains by what its nearest neighbours among the candidates score: answers come in
//!    groups, and a passage that is alike only to poor ones is there by accident;
//! 3. a document scores its best passage, and a little of the next two.
//!
//! One set of numbers for every store. Without embeddings BM25 alone ranks, without known words
//! the cosine.

use std::{cmp::Ordering, collections::HashMap};

use crate::ids::DocumentId;

/// Which weights and corrections these are. Change it with any of them: tenants' golden questions
/// are asked again then, and what came of it stands beside what came before.
pub const RANKING_VERSION: u32 = 1;

/// What the lexical half weighs beside a cosine.
const WORDS: f64 = 0.4;
/// Word for word what was asked for, in quotes.
const PHRASE: f64 = 1.0;
/// So many of the best candidates' embeddings are added to the question's, so heavily.
const FEEDBACK: (usize, f32) = (5, 0.5);
/// So many nearest candidates lend their scores, so heavily.
const NEIGHBOURS: (usize, f64) = (5, 0.5);
/// What a document's second and third passage add of what they have beyond the worst candidate.
const FURTHER: [f64; 2] = [0.1, 0.05];

/// A passage's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) document: DocumentId,
    pub(super) chunk: u32,
}

/// A passage that may answer.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) place: Place,
    /// With the question's embedding, where both have one.
    pub(super) cosine: Option<f64>,
    pub(super) bm25: f64,
    /// Of length one.
    pub(super) embedding: Option<Vec<f32>>,
    /// It has the question's phrases word for word.
    pub(super) phrased: bool,
}

/// A passage of each document, best document first.
pub(super) fn rank(question: Option<&[f32]>, candidates: &[Candidate], limit: usize) -> Vec<Place> {
    let words = words(candidates);
    let cosines: Vec<Option<f64>> = candidates.iter().map(|one| one.cosine).collect();
    let own = added(&words, &cosines);
    let mut scores = own.clone();
    if let Some(question) = question {
        let moved = moved(question, candidates, &scores);
        let cosines: Vec<Option<f64>> = candidates
            .iter()
            .map(|one| Some(f64::from(dot(&moved, one.embedding.as_deref()?))))
            .collect();
        scores = smoothed(candidates, &added(&words, &cosines));
    }
    documents(candidates, &scores, &own, limit)
}

/// What each candidate's words are worth.
fn words(candidates: &[Candidate]) -> Vec<f64> {
    let best = candidates.iter().map(|one| one.bm25).fold(0.0, f64::max);
    let share = |bm25: f64| if best > 0.0 { bm25 / best } else { 0.0 };
    let phrase = |phrased| if phrased { PHRASE } else { 0.0 };
    candidates.iter().map(|one| WORDS * share(one.bm25) + phrase(one.phrased)).collect()
}

/// Both halves. What is not embedded yet counts as the usual candidate, neither near nor far.
fn added(words: &[f64], cosines: &[Option<f64>]) -> Vec<f64> {
    let known: Vec<f64> = cosines.iter().flatten().copied().collect();
    let usual = known.iter().sum::<f64>() / f64::from(count(known.len()).max(1));
    words.iter().zip(cosines).map(|(words, cosine)| words + cosine.unwrap_or(usual)).collect()
}

/// The question's embedding, moved towards the best candidates'.
fn moved(question: &[f32], candidates: &[Candidate], scores: &[f64]) -> Vec<f32> {
    let (most, weight) = FEEDBACK;
    let best: Vec<&[f32]> = order(candidates, scores)
        .into_iter()
        .filter_map(|index| candidates[index].embedding.as_deref())
        .take(most)
        .collect();
    let mut moved = question.to_vec();
    for embedding in &best {
        let share = weight / best.len() as f32;
        for (number, other) in moved.iter_mut().zip(*embedding) {
            *number += share * other;
        }
    }
    let length = dot(&moved, &moved).sqrt().max(f32::EPSILON);
    moved.iter_mut().for_each(|number| *number /= length);
    moved
}

/// Each score with a part of its neighbours', the nearer ones more.
fn smoothed(candidates: &[Candidate], scores: &[f64]) -> Vec<f64> {
    let (most, weight) = NEIGHBOURS;
    let near = |index: usize, embedding: &[f32]| {
        let mut near: Vec<(f64, f64)> = candidates
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != index)
            .filter_map(|(other, one)| {
                let cosine = f64::from(dot(embedding, one.embedding.as_deref()?));
                Some((cosine.max(0.0), scores[other]))
            })
            .collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1)));
        near.truncate(most);
        near
    };
    candidates
        .iter()
        .zip(scores)
        .enumerate()
        .map(|(index, (one, score))| {
            let near = one.embedding.as_deref().map(|embedding| near(index, embedding));
            let near = near.unwrap_or_default();
            let sum: f64 = near.iter().map(|(cosine, _)| cosine).sum();
            let lent: f64 = near.iter().map(|(cosine, score)| cosine * score).sum();
            // Who has no neighbours stands for them.
            score + weight * if sum > 0.0 { lent / sum } else { *score }
        })
        .collect()
}

/// The passage of each document that answers by itself best, in the order of what its document's
/// passages score together.
fn documents(candidates: &[Candidate], scores: &[f64], own: &[f64], limit: usize) -> Vec<Place> {
    let worst = scores.iter().copied().fold(f64::INFINITY, f64::min);
    let mut places: HashMap<DocumentId, usize> = HashMap::new();
    let mut found: Vec<Scored> = Vec::new();
    for index in order(candidates, scores) {
        let (document, score) = (candidates[index].place.document, scores[index]);
        let at = *places.entry(document).or_insert_with(|| {
            found.push(Scored { shown: index, score, passages: 0 });
            found.len() - 1
        });
        let found = &mut found[at];
        if found.passages > 0 {
            let share = FURTHER.get(found.passages - 1).copied().unwrap_or_default();
            found.score += share * (score - worst);
        }
        found.passages += 1;
        if own[index] > own[found.shown] {
            found.shown = index;
        }
    }
    let place = |one: &Scored| candidates[one.shown].place;
    found.sort_by(|a, b| b.score.total_cmp(&a.score).then(place(a).cmp(&place(b))));
    found.iter().take(limit).map(place).collect()
}

/// A document on its way into the order.
struct Scored {
    /// Which candidate is shown.
    shown: usize,
    score: f64,
    /// How many of its passages have been counted.
    passages: usize,
}

/// The candidates' indices, best first; of equals, always the same first.
fn order(candidates: &[Candidate], scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|a, b| match scores[*b].total_cmp(&scores[*a]) {
        Ordering::Equal => candidates[*a].place.cmp(&candidates[*b].place),
        unequal => unequal,
    });
    order
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    // In eight sums, which the compiler computes at once.
    let mut sums = [0.0_f32; 8];
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    let whole = a.len().min(b.len()) / 8 * 8;
    let rest: f32 = a.iter().zip(b).skip(whole).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn candidate(document: u128, chunk: u32, bm25: f64, embedding: &[f32]) -> Candidate {
        Candidate {
            place: Place { document: Uuid::from_u128(document).into(), chunk },
            cosine: (!embedding.is_empty()).then(|| f64::from(embedding[0])),
            bm25,
            embedding: (!embedding.is_empty()).then(|| embedding.to_vec()),
            phrased: false,
        }
    }

    fn ranked(question: Option<&[f32]>, candidates: &[Candidate]) -> Vec<(u128, u32)> {
        let name = |place: Place| (place.document.uuid().as_u128(), place.chunk);
        rank(question, candidates, 10).into_iter().map(name).collect()
    }

    #[test]
    fn without_embeddings_words_alone_rank() {
        let candidates =
            [candidate(1, 0, 2.0, &[]), candidate(2, 3, 5.0, &[]), candidate(3, 0, 1.0, &[])];
        assert_eq!(ranked(None, &candidates), [(2, 3), (1, 0), (3, 0)]);
        assert_eq!(ranked(Some(&[1.0, 0.0]), &candidates), [(2, 3), (1, 0), (3, 0)]);
        assert!(ranked(None, &[]).is_empty() && ranked(Some(&[1.0]), &[]).is_empty());
    }

    #[test]
    fn without_known_words_the_meaning_ranks() {
        let candidates = [candidate(1, 0, 0.0, &[0.1, 0.9]), candidate(2, 0, 0.0, &[0.9, 0.1])];
        assert_eq!(ranked(Some(&[1.0, 0.0]), &candidates), [(2, 0), (1, 0)]);
    }

    #[test]
    fn of_two_alike_the_one_with_the_words_is_first() {
        let candidates = [candidate(1, 0, 1.0, &[0.7, 0.7]), candidate(2, 0, 9.0, &[0.6, 0.8])];
        assert_eq!(ranked(Some(&[1.0, 0.0]), &candidates)[0], (2, 0));
    }

    /// The third is as near to the question as the second, and to nothing else that answers.
    #[test]
    fn who_stands_with_answers_is_one_sooner() {
        let candidates = [
            candidate(1, 0, 0.0, &[0.8, 0.6, 0.0]),
            candidate(2, 0, 0.0, &[0.6, 0.8, 0.0]),
            candidate(3, 0, 0.0, &[0.6, 0.0, 0.8]),
            candidate(4, 0, 0.0, &[0.7, 0.714, 0.0]),
            candidate(5, 0, 0.0, &[0.1, 0.0, 0.995]),
        ];
        let order = ranked(Some(&[1.0, 0.0, 0.0]), &candidates);
        let at = |document| order.iter().position(|place| place.0 == document).unwrap();
        assert!(at(2) < at(3), "{order:?}");
    }

    #[test]
    fn a_document_is_its_best_passage_and_a_little_of_the_next() {
        let candidates = [
            candidate(1, 0, 10.0, &[]),
            candidate(2, 1, 9.9, &[]),
            candidate(2, 7, 9.0, &[]),
            candidate(3, 0, 0.1, &[]),
        ];
        assert_eq!(ranked(None, &candidates), [(2, 1), (1, 0), (3, 0)]);
    }

    #[test]
    fn a_phrase_word_for_word_is_first() {
        let mut candidates = vec![candidate(1, 0, 9.0, &[0.9, 0.1]), candidate(2, 0, 1.0, &[])];
        candidates[1].phrased = true;
        assert_eq!(ranked(Some(&[1.0, 0.0]), &candidates)[0], (2, 0));
    }

    /// What is not embedded yet is ranked among what is: by its words.
    #[test]
    fn half_embedded_stores_hide_nothing() {
        let candidates = [
            candidate(1, 0, 0.0, &[0.5, 0.8]),
            candidate(2, 0, 10.0, &[]),
            candidate(3, 0, 0.0, &[]),
            candidate(4, 0, 0.0, &[0.1, 0.9]),
        ];
        let order = ranked(Some(&[1.0, 0.0]), &candidates);
        assert_eq!(order.len(), 4);
        assert_eq!(order[0], (2, 0));
        assert_eq!(order[3], (4, 0));
    }

    #[test]
    fn equals_are_in_the_same_order_each_time() {
        let mut candidates: Vec<_> = (0..20).map(|n| candidate(n, 0, 1.0, &[0.5, 0.5])).collect();
        let one = ranked(Some(&[1.0, 0.0]), &candidates);
        candidates.reverse();
        assert_eq!(ranked(Some(&[1.0, 0.0]), &candidates), one);
    }
}
