//! The part of a passage that says most about the question, cut at sentences.

use crate::documents::sentences::sentences;

/// About this many characters.
const LENGTH: usize = 420;

/// The sentences of `body` that have the most of the question's `stems`.
pub(super) fn snippet(body: &str, stems: &[String]) -> String {
    let ranges = sentences(body);
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
    let mut best = (0, 0, 0..0);
    for first in 0..ranges.len() {
        let mut seen = vec![false; stems.len()];
        let mut matches = 0;
        for last in first..ranges.len() {
            let bytes = ranges[first].start..ranges[last].end;
            if last > first && body[bytes.clone()].trim_end().chars().count() > LENGTH {
                break;
            }
            for (seen, has) in seen.iter_mut().zip(&has[last]) {
                *seen |= *has;
                matches += usize::from(*has);
            }
            let distinct = seen.iter().filter(|seen| **seen).count();
            if (distinct, matches) > (best.0, best.1) || best.2.is_empty() {
                best = (distinct, matches, bytes);
            }
        }
    }
    // What else fits goes after it: a sentence alone is hard to judge.
    let mut end = best.2.end;
    for range in ranges.iter().filter(|range| range.start >= best.2.end) {
        if body[best.2.start..range.end].trim_end().chars().count() > LENGTH {
            break;
        }
        end = range.end;
    }
    shorten(body[best.2.start..end].trim())
}

/// A sentence may be longer than a snippet: cut at a word.
fn shorten(text: &str) -> String {
    let Some((limit, _)) = text.char_indices().nth(LENGTH) else { return text.to_owned() };
    let cut = text[..limit].rfind(char::is_whitespace).unwrap_or(limit);
    format!("{}…", text[..cut].trim_end())
}

/// Whether a word has this stem, near enough: stems of "cities" end in "i".
fn is_form_of(word: &str, stem: &str) -> bool {
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
