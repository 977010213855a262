//! A long text in part: its beginning, or the part around the passage that was found.

use std::ops::Range;

use super::MAX_FETCH;

/// How far to look for the end of a paragraph to cut at.
const SNAP: usize = 2_000;

/// A text that fits, and which characters of the whole it has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// With a note where something is missing.
    pub(super) text: String,
    /// `None` when nothing is missing: "1-100000 of 350000", counted from one, the last included.
    pub(super) characters: Option<String>,
}

/// The whole text if it fits; else as much of it as does, with the passage in it.
pub(super) fn window(text: String, passage: Option<&Range<usize>>) -> Window {
    // Where the characters start, and where the last one ends.
    let mut places: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    let whole = places.len();
    if whole <= MAX_FETCH {
        return Window { text, characters: None };
    }
    places.push(text.len());
    let passage = passage.filter(|passage| passage.end <= whole);
    let beyond = passage.filter(|passage| passage.end > MAX_FETCH);
    let start = beyond.map_or(0, |passage| start(&text, &places, passage.start));
    let least = passage.map_or(0, |passage| passage.end);
    let end = end(&text, &places, (start + MAX_FETCH).min(whole), least);
    let mut shown = String::new();
    if start > 0 {
        shown.push_str(&format!(
            "[Cut here: characters {} to {end} of {whole} are shown, around the passage that was \
             found.]\n\n",
            start + 1
        ));
    }
    shown.push_str(&text[places[start]..places[end]]);
    if start == 0 {
        shown.push_str(&format!(
            "\n\n[Cut here: the first {end} of {whole} characters are shown. Search for what you \
             need from the rest.]"
        ));
    } else if end < whole {
        shown.push_str(&format!(
            "\n\n[Cut here: {} characters follow. Search for what you need from the rest.]",
            whole - end
        ));
    }
    Window { text: shown, characters: Some(format!("{}-{end} of {whole}", start + 1)) }
}

/// Half of what fits goes before the passage, more where the text ends soon; then on to the next
/// paragraph, if one starts soon.
fn start(text: &str, places: &[usize], passage: usize) -> usize {
    let whole = places.len() - 1;
    let start = passage.saturating_sub(MAX_FETCH / 2).min(whole - MAX_FETCH);
    let near = &text[places[start]..places[passage.min(start + SNAP)]];
    match near.find("\n\n") {
        Some(gap) => {
            let blank = near[gap..].len() - near[gap..].trim_start_matches('\n').len();
            start + near[..gap + blank].chars().count()
        }
        None => start,
    }
}

/// Back to the end of a paragraph, if one ends shortly before and not before `least`.
fn end(text: &str, places: &[usize], end: usize, least: usize) -> usize {
    if end + 1 == places.len() {
        return end;
    }
    let from = end.saturating_sub(SNAP).max(least);
    match text[places[from]..places[end]].rfind("\n\n") {
        Some(gap) => from + text[places[from]..places[from] + gap].chars().count(),
        None => end,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn paragraphs(count: usize) -> String {
        (0..count)
            .map(|n| format!("Paragraph {n} speaks of c\u{e4}ts and their homes.\n\n"))
            .collect()
    }

    #[test]
    fn a_passage_far_down_is_shown_between_whole_paragraphs() {
        let text = paragraphs(10_000);
        let needle = "Paragraph 7000 speaks of c\u{e4}ts and their homes.";
        let at = text[..text.find(needle).unwrap()].chars().count();
        let window = window(text, Some(&(at..at + needle.chars().count())));
        let (note, rest) = window.text.split_once("\n\n").unwrap();
        assert!(note.starts_with("[Cut here: characters "), "{note}");
        assert!(rest.starts_with("Paragraph "), "{}", &rest[..50]);
        assert!(rest.contains(needle));
        let (rest, note) = rest.rsplit_once("\n\n").unwrap();
        assert!(note.starts_with("[Cut here: "), "{note}");
        assert!(rest.ends_with("homes."));
        assert!(rest.chars().count() <= MAX_FETCH);
    }

    #[test]
    fn a_passage_at_the_end_of_the_beginning_is_not_cut_off() {
        let before = "y".repeat(MAX_FETCH - 1_000) + "\n\n";
        let text = before.clone() + &"x".repeat(900) + &"z".repeat(MAX_FETCH);
        let at = before.len();
        let window = window(text, Some(&(at..at + 900)));
        assert!(window.text.starts_with('y') && window.text.contains(&"x".repeat(900)));
    }

    #[test]
    fn without_a_passage_beyond_the_beginning_is_shown() {
        let text = paragraphs(10_000);
        for passage in [None, Some(50..90), Some(9_000_000..9_000_100)] {
            let window = window(text.clone(), passage.as_ref());
            assert!(window.text.starts_with("Paragraph 0 "));
            assert!(window.characters.unwrap().starts_with("1-"));
            assert!(window.text.ends_with("from the rest.]"));
        }
        let short = window("short".to_owned(), Some(&(0..5)));
        assert_eq!(short, Window { text: "short".to_owned(), characters: None });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn the_passage_is_always_in_it(
            gaps in prop::collection::vec(1usize..30_000, 1..40),
            at in any::<prop::sample::Index>(),
            length in 1usize..1_200,
        ) {
            let text: String = gaps.iter().map(|gap| "\u{732b}".repeat(*gap) + "\n\n").collect();
            let mut chars: Vec<char> = text.chars().collect();
            let start = at.index(chars.len());
            let end = (start + length).min(chars.len());
            chars[start..end].fill('x');
            let window = window(chars.iter().collect(), Some(&(start..end)));
            prop_assert!(window.text.contains(&"x".repeat(end - start)));
            prop_assert!(window.text.chars().count() <= MAX_FETCH + 300);
        }
    }
}
