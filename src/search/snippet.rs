//! The part of a passage that says most about the question, cut at sentences.

use crate::documents::sentences::sentences;

/// About this many characters.
const LENGTH: usize = 420;
/// Of a longer question, these stems count.
const MAX_STEMS: usize = 32;

/// The sentences of `body` that have the most of the question's `stems`.
pub(super) fn snippet(body: &str, stems: &[String]) -> String {
    let stems = &stems[..stems.len().min(MAX_STEMS)];
    let ranges = sentences(body);
    let lengths = Lengths::of(body, &ranges);
    let has: Vec<Vec<bool>> = ranges
        .iter()
        .map(|range| {
            let words: Vec<String> = body[range.clone()]
                .split(|c: char| !c.is_alphanumeric())
                .map(str::to_lowercase)
                .collect();
            stems.iter().map(|stem| words.iter().any(|word| is_form_of(word, stem))).collect()
        })
        .collect();
    let mut best = (0, 0, None);
    for first in 0..ranges.len() {
        let mut seen = vec![false; stems.len()];
        let mut matches = 0;
        for last in first..ranges.len() {
            if last > first && lengths.between(first, last) > LENGTH {
                break;
            }
            for (seen, has) in seen.iter_mut().zip(&has[last]) {
                *seen |= *has;
                matches += usize::from(*has);
            }
            let distinct = seen.iter().filter(|seen| **seen).count();
            if (distinct, matches) > (best.0, best.1) || best.2.is_none() {
                best = (distinct, matches, Some((first, last)));
            }
        }
    }
    let Some((first, mut last)) = best.2 else { return String::new() };
    // What else fits goes after it: a sentence alone is hard to judge.
    while last + 1 < ranges.len() && lengths.between(first, last + 1) <= LENGTH {
        last += 1;
    }
    shorten(body[ranges[first].start..ranges[last].end].trim())
}

/// Where each sentence starts and, without the white space after it, ends: in characters, counted
/// once.
struct Lengths(Vec<(usize, usize)>);

impl Lengths {
    fn of(body: &str, ranges: &[std::ops::Range<usize>]) -> Self {
        let mut at = 0;
        let places = ranges.iter().map(|range| {
            let (start, sentence) = (at, &body[range.clone()]);
            at += sentence.chars().count();
            (start, start + sentence.trim_end().chars().count())
        });
        Self(places.collect())
    }

    fn between(&self, first: usize, last: usize) -> usize {
        self.0[last].1 - self.0[first].0
    }
}

/// A sentence may be longer than a snippet: cut at a word.
fn shorten(text: &str) -> String {
    let Some((limit, _)) = text.char_indices().nth(LENGTH) else { return text.to_owned() };
    let cut = text[..limit].rfind(char::is_whitespace).unwrap_or(limit);
    format!("{}…", text[..cut].trim_end())
}

/// Whether a word has this stem, near enough: stems of "cities" end in "i".
fn is_form_of(word: &str, stem: &str) -> bool {
    // From Hebrew on, words have endings in front too, or no spaces between them.
    if stem.starts_with(|first| first >= '\u{590}') {
        return word.contains(stem);
    }
    let base = match stem.strip_suffix(['i', 'y']) {
        Some(base) if stem.len() > 3 => base,
        _ => stem,
    };
    word.strip_prefix(base).is_some_and(|ending| ending.chars().count() <= 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentences_with_the_most_words_are_shown_whole() {
        let filler = "Nothing of interest is said in this long sentence about weather. ".repeat(6);
        let body = format!(
            "{filler}Cats are said to love places. Mr. Weir says that they are attached to homes. {filler}"
        );
        let stems = ["cat", "attach", "home"].map(str::to_owned);
        let shown = snippet(&body, &stems);
        assert!(shown.contains("Cats are said to love places. Mr. Weir says"), "{shown}");
        assert!(shown.contains("attached to homes."), "{shown}");
        assert!(shown.chars().count() <= LENGTH);
        assert!(shown.ends_with('.'));
    }

    /// Ten thousand sentences, and a question of two thousand words.
    #[test]
    fn a_long_passage_of_short_sentences_is_read_quickly() {
        let body = "Ab. ".repeat(10_000) + "Cats stay.";
        let mut stems: Vec<String> = vec!["cat".to_owned()];
        stems.extend((0..2_000).map(|n| format!("x{n}")));
        let started = std::time::Instant::now();
        let shown = snippet(&body, &stems);
        assert!(shown.contains("Cats stay."), "{shown}");
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    }

    #[test]
    fn sentences_of_other_scripts_are_chosen_by_their_words() {
        let filler = "会議室は三階にあります。".repeat(60);
        let body = format!("{filler}予約は総務部の窓口で受け付けています。{filler}");
        let shown = snippet(&body, &["予約".to_owned(), "窓口".to_owned()]);
        assert!(shown.contains("予約は総務部の窓口"), "{shown}");
        let body = "قال المدير كلمة. يحق للموظفين الحصول على إجازة.";
        assert!(snippet(body, &["موظف".to_owned()]).contains("للموظفين"));
    }

    #[test]
    fn odd_passages_still_have_a_snippet() {
        let stems = ["puppi".to_owned()];
        assert_eq!(snippet("Puppies play.", &stems), "Puppies play.");
        assert_eq!(snippet("", &stems), "");
        assert_eq!(snippet("no match here", &[]), "no match here");
        let long = "word ".repeat(500);
        let shown = snippet(&long, &stems);
        assert!(shown.ends_with("word…") && shown.chars().count() <= LENGTH + 1);
    }
}
