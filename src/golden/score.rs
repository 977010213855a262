//! How well a run went.

use super::Rank;

/// Of the questions that were asked, how many had their answer how far up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// How many were asked.
    pub asked: usize,
    /// The answer came first.
    pub first: usize,
    /// It was among the first five.
    pub five: usize,
    /// It was among the first ten.
    pub ten: usize,
    /// One divided by the rank, on average; nothing for one that was missed.
    pub mean_reciprocal_rank: f64,
}

impl Score {
    /// Of these ranks; questions that were not asked count for nothing.
    pub fn of(ranks: impl Iterator<Item = Rank>) -> Self {
        let mut score = Self::default();
        for rank in ranks.filter(|rank| *rank != Rank::Unasked) {
            score.asked += 1;
            let Rank::At(rank) = rank else { continue };
            score.first += usize::from(rank <= 1);
            score.five += usize::from(rank <= 5);
            score.ten += usize::from(rank <= 10);
            score.mean_reciprocal_rank += 1.0 / f64::from(rank.max(1));
        }
        score.mean_reciprocal_rank /= score.asked.max(1) as f64;
        score
    }

    /// A part of what was asked, in percent.
    #[must_use]
    pub fn percent(&self, part: usize) -> f64 {
        100.0 * part as f64 / self.asked.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_scored_by_where_its_answers_stood() {
        let ranks =
            [Rank::At(1), Rank::At(4), Rank::At(10), Rank::At(50), Rank::Missed, Rank::Unasked];
        let score = Score::of(ranks.into_iter());
        assert_eq!((score.asked, score.first, score.five, score.ten), (5, 1, 2, 3));
        assert!((score.mean_reciprocal_rank - (1.0 + 0.25 + 0.1 + 0.02) / 5.0).abs() < 1e-9);
        assert!((score.percent(score.five) - 40.0).abs() < 1e-9);
        assert_eq!(Score::of([Rank::Unasked].into_iter()), Score::default());
    }
}
