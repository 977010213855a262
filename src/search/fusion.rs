//! Several stores' answers into one: reciprocal rank fusion, k = 60.

use super::Hit;

const K: f64 = 60.0;

/// Merge ranked lists. Scores of different backends are not comparable, ranks are.
pub(super) fn merge(lists: Vec<Vec<Hit>>, limit: usize) -> Vec<Hit> {
    let mut scored: Vec<(f64, usize, Hit)> = Vec::new();
    for (list, hits) in lists.into_iter().enumerate() {
        for (rank, hit) in hits.into_iter().enumerate() {
            let rank = u32::try_from(rank).unwrap_or(u32::MAX);
            scored.push((1.0 / (K + 1.0 + f64::from(rank)), list, hit));
        }
    }
    // Of equal ranks, the store that the caller named first: the same order every time.
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    scored.into_iter().take(limit).map(|(_, _, hit)| hit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::VectorStoreId;

    #[test]
    fn ranks_interleave_and_order_is_stable() {
        let store = VectorStoreId::new();
        let list = |ids: &[&str]| -> Vec<Hit> {
            ids.iter()
                .map(|id| Hit {
                    id: (*id).to_owned(),
                    title: String::new(),
                    url: String::new(),
                    snippet: String::new(),
                    flags: Vec::new(),
                    store,
                })
                .collect()
        };
        let merged = merge(vec![list(&["a1", "a2", "a3"]), list(&[]), list(&["b1", "b2"])], 4);
        let ids: Vec<_> = merged.iter().map(|hit| hit.id.as_str()).collect();
        assert_eq!(ids, ["a1", "b1", "a2", "b2"]);
    }
}
