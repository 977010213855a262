//! Cutting a text into chunks: along headings, paragraphs and sentences, about 1,100 characters.
//!
//! A chunk is an exact range of the text, counted in Unicode scalar values; chunks overlap by a
//! sentence where a paragraph had to be cut, and together they cover every visible character.

use super::{outline::Heading, sentences::sentences};

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// The first character.
    pub start: usize,
    /// One past the last.
    pub end: usize,
    /// The headings above it, outermost first, joined by " › ".
    pub heading: String,
    /// The text between.
    pub body: String,
}

/// Which way of cutting this is. Change it with anything here that cuts otherwise: see
/// [`crate::search::RANKING_VERSION`].
pub const CHUNKING_VERSION: u32 = 1;

/// No chunk is longer, in characters.
const MOST: usize = 1_200;
/// A paragraph that would not fit starts a new chunk once the current one has this much.
const ENOUGH: usize = 700;
/// A sentence up to this long is repeated at the start of the next chunk.
const OVERLAP: usize = 160;
const HEADING_MOST: usize = 300;
/// A document with more chunks is not taken: it would hold everybody up.
pub(super) const MOST_CHUNKS: usize = 100_000;

/// A sentence or a piece of one, that is never cut further.
struct Unit {
    bytes: std::ops::Range<usize>,
    chars: usize,
    starts_paragraph: bool,
    starts_section: bool,
    /// How many characters from here to the end of the paragraph.
    paragraph: usize,
}

/// Cut a text.
#[must_use]
pub(super) fn chunks(text: &str, headings: &[Heading]) -> Vec<Chunk> {
    let units = units(text, headings);
    let mut ranges = Vec::new();
    let mut first = 0;
    let mut fresh = 0; // the first unit that no earlier chunk has
    let mut size = 0;
    for (index, unit) in units.iter().enumerate() {
        let full = size + unit.chars > MOST;
        let better_cut_here =
            unit.starts_paragraph && size >= ENOUGH && size + unit.paragraph > MOST;
        if index > fresh && (unit.starts_section || full || better_cut_here) {
            ranges.push((first..index, fresh));
            let before = &units[index - 1];
            let repeat = full
                && !unit.starts_section
                && !unit.starts_paragraph
                && before.chars <= OVERLAP
                && index - 1 > first
                && before.chars + unit.chars <= MOST;
            first = if repeat { index - 1 } else { index };
            size = if repeat { before.chars } else { 0 };
            fresh = index;
        }
        size += unit.chars;
    }
    if fresh < units.len() {
        ranges.push((first..units.len(), fresh));
    }
    let mut place = Place { text, byte: 0, chars: 0 };
    let mut above = Above { rest: headings, path: Vec::new() };
    ranges
        .into_iter()
        .filter_map(|(range, fresh)| {
            let bytes = units[range.start].bytes.start..units[range.end - 1].bytes.end;
            let heading = above.at(units[fresh].bytes.start);
            place.chunk(bytes, heading)
        })
        .collect()
}

fn units(text: &str, headings: &[Heading]) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    let mut starts_paragraph = true;
    let mut next_heading = headings.iter().map(|heading| heading.at).peekable();
    for sentence in sentences(text) {
        let mut starts_section = false;
        while next_heading.next_if(|at| *at < sentence.end).is_some() {
            starts_section = true;
        }
        for bytes in pieces(text, sentence) {
            let chars = text[bytes.clone()].chars().count();
            let ends_paragraph = text[bytes.clone()].ends_with('\n')
                && trailing(&text[bytes.clone()]).matches('\n').count() > 1;
            units.push(Unit { bytes, chars, starts_paragraph, starts_section, paragraph: 0 });
            starts_paragraph = ends_paragraph;
            starts_section = false;
        }
    }
    let mut paragraph = 0;
    for unit in units.iter_mut().rev() {
        paragraph += unit.chars;
        unit.paragraph = paragraph;
        if unit.starts_paragraph {
            paragraph = 0;
        }
    }
    units
}

fn trailing(text: &str) -> &str {
    &text[text.trim_end().len()..]
}

/// A sentence as it is, or, when it is longer than a chunk, in pieces cut at white space.
fn pieces(text: &str, sentence: std::ops::Range<usize>) -> Vec<std::ops::Range<usize>> {
    let mut pieces = Vec::new();
    let mut start = sentence.start;
    loop {
        let rest = &text[start..sentence.end];
        let Some((limit, _)) = rest.char_indices().nth(MOST) else {
            pieces.push(start..sentence.end);
            return pieces;
        };
        let cut = rest[..limit]
            .char_indices()
            .rev()
            .find(|(_, c)| c.is_whitespace())
            .map_or(limit, |(at, c)| at + c.len_utf8());
        pieces.push(start..start + cut);
        start += cut;
    }
}

/// Walks through the headings once: the path above each place, asked for in order.
struct Above<'a> {
    /// Those that are still below.
    rest: &'a [Heading],
    /// Outermost first, each deeper than the one before.
    path: Vec<&'a Heading>,
}

impl Above<'_> {
    fn at(&mut self, byte: usize) -> String {
        while let Some((heading, rest)) = self.rest.split_first()
            && heading.at <= byte
        {
            while self.path.pop_if(|outer| outer.level >= heading.level).is_some() {}
            self.path.push(heading);
            self.rest = rest;
        }
        let path: Vec<&str> = self.path.iter().map(|heading| heading.text.as_str()).collect();
        path.join(" › ").chars().take(HEADING_MOST).collect()
    }
}

/// Walks through the text once to turn bytes into characters.
struct Place<'a> {
    text: &'a str,
    byte: usize,
    chars: usize,
}

impl Place<'_> {
    fn chars_at(&mut self, byte: usize) -> usize {
        if byte < self.byte {
            // An overlap: one sentence back.
            self.chars -= self.text[byte..self.byte].chars().count();
        } else {
            self.chars += self.text[self.byte..byte].chars().count();
        }
        self.byte = byte;
        self.chars
    }

    fn chunk(&mut self, bytes: std::ops::Range<usize>, heading: String) -> Option<Chunk> {
        let raw = &self.text[bytes.clone()];
        let body = raw.trim();
        if body.is_empty() {
            return None;
        }
        let from = bytes.start + (raw.len() - raw.trim_start().len());
        let body = body.to_owned();
        let start = self.chars_at(from);
        let end = self.chars_at(from + body.len());
        Some(Chunk { start, end, heading, body })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn slice(text: &str, chunk: &Chunk) -> String {
        text.chars().skip(chunk.start).take(chunk.end - chunk.start).collect()
    }

    #[test]
    fn sections_are_not_mixed_and_know_their_headings() {
        let text = "# Cats\n\nIntro.\n\n## Homes\n\nThey stay.\n\n# Dogs\n\nThey go.";
        let at = |needle: &str| text.find(needle).unwrap();
        let heading = |at, level, text: &str| Heading { at, level, text: text.to_owned() };
        let headings = [
            heading(at("# Cats"), 1, "Cats"),
            heading(at("## Homes"), 2, "Homes"),
            heading(at("# Dogs"), 1, "Dogs"),
        ];
        let cut = chunks(text, &headings);
        let found: Vec<_> = cut.iter().map(|c| (c.heading.as_str(), c.body.as_str())).collect();
        assert_eq!(
            found,
            [
                ("Cats", "# Cats\n\nIntro."),
                ("Cats › Homes", "## Homes\n\nThey stay."),
                ("Dogs", "# Dogs\n\nThey go."),
            ]
        );
    }

    /// Five bytes a heading: reading all of them again for each chunk would take hours.
    #[test]
    fn a_text_of_headings_alone_is_cut_in_one_pass() {
        let text = "# a\n".repeat(100_000);
        let headings: Vec<Heading> = (0..100_000)
            .map(|n| Heading {
                at: n * 4,
                level: u8::try_from(n % 6 + 1).unwrap(),
                text: "a".into(),
            })
            .collect();
        let started = std::time::Instant::now();
        let cut = chunks(&text, &headings);
        assert_eq!(cut.last().unwrap().heading, ["a"; 4].join(" › "));
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    }

    #[test]
    fn a_long_paragraph_is_cut_between_sentences_with_one_repeated() {
        let text: String =
            (0..60).map(|n| format!("Sentence number {n} is about cats. ")).collect();
        let cut = chunks(&text, &[]);
        assert!(cut.len() > 1);
        for pair in cut.windows(2) {
            assert!(pair[0].body.ends_with("cats."));
            assert!(pair[1].start < pair[0].end, "a sentence is repeated");
            assert!(pair[0].body.chars().count() > 900);
        }
    }

    proptest! {
        #[test]
        fn ranges_are_exact_and_cover_the_text(
            text in "([A-Zé猫][a-zü]{0,12}[ ,.!?\n]{1,3}){0,400}|[a-z]{0,4000}|.{0,300}",
            marks in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        ) {
            let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            let mut headings: Vec<Heading> = marks
                .iter()
                .filter(|_| !starts.is_empty())
                .map(|mark| Heading { at: *mark.get(&starts), level: 1, text: "H".to_owned() })
                .collect();
            headings.sort_by_key(|heading| heading.at);
            let cut = chunks(&text, &headings);
            let mut covered = vec![false; starts.len()];
            let mut before = None;
            for chunk in &cut {
                prop_assert_eq!(&slice(&text, chunk), &chunk.body);
                prop_assert!(chunk.body.chars().count() <= MOST);
                prop_assert!(before.is_none_or(|before| chunk.start > before));
                before = Some(chunk.start);
                covered[chunk.start..chunk.end].fill(true);
            }
            for (index, c) in text.chars().enumerate() {
                prop_assert!(covered[index] || c.is_whitespace(), "{index} {c:?}");
            }
        }
    }
}
