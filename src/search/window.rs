//! A long text in part: its beginning, the part around the passage that was found, or what follows
//! a part that was shown before.

use std::ops::Range;

/// How far to look for the end of a paragraph to cut at.
const SNAP: usize = 2_000;

/// Which part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The beginning, or a later part if the passage is beyond what fits: in characters.
    Passage(Option<Range<usize>>),
    /// From this character on.
    From(usize),
}

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window<'a> {
    /// The part itself.
    pub(super) text: &'a str,
    /// The place of its first character.
    pub(super) start: usize,
    /// One past the last.
    pub(super) end: usize,
    /// How many characters the whole text has.
    pub(super) whole: usize,
}

/// Where a text's characters are, counted once.
pub(super) struct Places<'a> {
    text: &'a str,
    /// Where each starts, and where the last one ends.
    at: Vec<usize>,
}

impl<'a> Places<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let at = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        Self { text, at }
    }

    fn whole(&self) -> usize {
        self.at.len() - 1
    }

    /// The text before a character.
    pub(super) fn before(&self, end: usize) -> &'a str {
        &self.text[..self.at[end.min(self.whole())]]
    }

    fn slice(&self, range: Range<usize>) -> &'a str {
        &self.text[self.at[range.start]..self.at[range.end]]
    }

    /// At most `most` characters of the text, of this place.
    pub(super) fn window(&self, place: &Place, most: usize) -> Window<'a> {
        let whole = self.whole();
        let (start, least) = match place {
            Place::From(start) => ((*start).min(whole), 0),
            Place::Passage(passage) => {
                let passage = passage.as_ref().filter(|passage| passage.end <= whole);
                // A longer one is shown from its beginning on.
                let passage = passage.map(|p| p.start..p.end.min(p.start + most / 2));
                let beyond = passage.as_ref().filter(|passage| passage.end > most);
                let start = beyond.map_or(0, |passage| self.start(passage.start, most));
                (start, passage.map_or(0, |passage| passage.end))
            }
        };
        let end = self.end((start + most).min(whole), start.max(least));
        Window { text: self.slice(start..end), start, end, whole }
    }

    /// Half of what fits goes before the passage, more where the text ends soon; then on to the
    /// next paragraph, if one starts soon.
    fn start(&self, passage: usize, most: usize) -> usize {
        let start = passage.saturating_sub(most / 2).min(self.whole() - most);
        let near = self.slice(start..passage.min(start + SNAP));
        match near.find("\n\n") {
            Some(gap) => {
                let blank = near[gap..].len() - near[gap..].trim_start_matches('\n').len();
                start + near[..gap + blank].chars().count()
            }
            None => start,
        }
    }

    /// Back to the end of a paragraph, if one ends shortly before and not before `least`.
    fn end(&self, end: usize, least: usize) -> usize {
        if end == self.whole() {
            return end;
        }
        let from = end.saturating_sub(SNAP).max(least);
        if from >= end {
            return end;
        }
        let near = self.slice(from..end);
        match near.rfind("\n\n") {
            // What goes on begins with words.
            Some(gap) => from + near[..gap].chars().count() + 2,
            None => end,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOST: usize = 10_000;

    fn paragraphs(count: usize) -> String {
        (0..count)
            .map(|n| format!("Paragraph {n} speaks of c\u{e4}ts and their homes.\n\n"))
            .collect()
    }

    fn window<'a>(text: &'a str, passage: Option<Range<usize>>) -> Window<'a> {
        Places::of(text).window(&Place::Passage(passage), MOST)
    }

    #[test]
    fn a_passage_far_down_is_shown_between_whole_paragraphs() {
        let text = paragraphs(1_000);
        let needle = "Paragraph 700 speaks of c\u{e4}ts and their homes.";
        let at = text[..text.find(needle).unwrap()].chars().count();
        let window = window(&text, Some(at..at + needle.chars().count()));
        assert!(window.text.starts_with("Paragraph "), "{}", &window.text[..50]);
        assert!(window.text.contains(needle));
        assert!(window.text.ends_with("homes.\n\n"));
        assert!(window.text.chars().count() <= MOST && window.start > 0);
        assert_eq!(window.end - window.start, window.text.chars().count());
    }

    #[test]
    fn a_passage_at_the_end_of_the_beginning_is_not_cut_off() {
        let before = "y".repeat(MOST - 1_000) + "\n\n";
        let text = before.clone() + &"x".repeat(900) + &"z".repeat(MOST);
        let at = before.len();
        let window = window(&text, Some(at..at + 900));
        assert!(window.text.starts_with('y') && window.text.contains(&"x".repeat(900)));
    }

    #[test]
    fn without_a_passage_beyond_the_beginning_is_shown() {
        let text = paragraphs(1_000);
        for passage in [None, Some(50..90), Some(9_000_000..9_000_100)] {
            let window = window(&text, passage);
            assert!(window.text.starts_with("Paragraph 0 "));
            assert!(window.start == 0 && window.end < window.whole);
        }
        let all = Window { text: "short", start: 0, end: 5, whole: 5 };
        assert_eq!(window("short", Some(0..5)), all);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_passage_is_always_in_it(
            gaps in prop::collection::vec(1usize..3_000, 1..40),
            at in any::<prop::sample::Index>(),
            length in 1usize..1_200,
        ) {
            let text: String = gaps.iter().map(|gap| "\u{732b}".repeat(*gap) + "\n\n").collect();
            let mut chars: Vec<char> = text.chars().collect();
            let start = at.index(chars.len());
            let end = (start + length).min(chars.len());
            chars[start..end].fill('x');
            let text: String = chars.iter().collect();
            let window = window(&text, Some(start..end));
            prop_assert!(window.text.contains(&"x".repeat(end - start)));
            prop_assert!(window.text.chars().count() <= MOST);
        }

        /// Part after part, the whole text is read, and nothing twice.
        #[test]
        fn reading_on_comes_to_the_end(
            gaps in prop::collection::vec(0usize..3_000, 0..40),
            most in 1usize..4_000,
        ) {
            let text: String = gaps.iter().map(|gap| "\u{732b}".repeat(*gap) + "\n\n").collect();
            let (places, mut read, mut at) = (Places::of(&text), String::new(), 0);
            loop {
                let window = places.window(&Place::From(at), most);
                read.push_str(window.text);
                if window.end == window.whole {
                    break;
                }
                prop_assert!(window.end > at, "it gets on");
                at = window.end;
            }
            prop_assert_eq!(read, text);
        }
    }
}
