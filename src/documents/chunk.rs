//! Cutting a text into chunks: along headings, pages, paragraphs, table rows and sentences, each as
//! long as the embedding model reads.
//!
//! A chunk is an exact range of the text, counted in Unicode scalar values; chunks overlap by a
//! sentence where a paragraph had to be cut, and together they cover every visible character. Of a
//! table that is cut, each part knows the row that names the columns: as its last heading.

use super::{
    outline::{Heading, Outline},
    units::{Opens, Unit, units},
};
use crate::embeddings::Sizer;

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Chunk {
    /// The first character.
    pub start: usize,
    /// One past the last.
    pub end: usize,
    /// The headings above it, outermost first, joined by " › ".
    pub heading: String,
    /// The page, slide or sheet that it is on, counted from 1.
    pub page: Option<u32>,
    /// The text between.
    pub body: String,
}

/// Which way of cutting this is. Change it with anything here that cuts otherwise: see
/// `RANKING_VERSION` of `search`.
pub const CHUNKING_VERSION: u32 = 3;

/// No chunk with its headings has more tokens. The model reads more; of 160 to 320, each ordered the
/// abstracts of both collections in the README alike (`callslip eval`), to a hundredth either way.
const MOST: usize = 200;
/// Nor more characters, whatever the model makes of them.
pub(super) const MOST_CHARS: usize = 2_000;
/// A paragraph that would not fit starts a new chunk once the current one has this much.
const ENOUGH: usize = 120;
/// A sentence up to this long is repeated at the start of the next chunk.
const OVERLAP: usize = 40;
const HEADING_MOST: usize = 300;
/// Headings of more tokens are cut short: what is left holds the longest unit.
const HEADING_TOKENS: usize = 64;
/// A document with more chunks is not taken: it would hold everybody up.
pub(super) const MOST_CHUNKS: usize = 100_000;

/// Cut a text, measured by `sizer`.
#[must_use]
pub(super) fn chunks(text: &str, outline: &Outline, sizer: &Sizer) -> Vec<Chunk> {
    let units = units(text, outline, sizer);
    let mut above = Above::new(outline, sizer);
    let mut cuts: Vec<Cut> = Vec::new();
    let mut open: Option<Cut> = None;
    for (index, unit) in units.iter().enumerate() {
        let takes = open.as_ref().is_some_and(|cut| cut.takes(unit));
        if !takes {
            let next = Cut::after(open.as_ref(), &units, index);
            cuts.extend(open.replace(next));
        }
        let Some(cut) = &mut open else { continue };
        if !takes || unit.opens >= Opens::Section {
            cut.is_below(above.at(unit.bytes.start));
        }
        cut.add(unit);
    }
    cuts.extend(open);
    let mut place = Place { text, byte: 0, chars: 0 };
    cuts.into_iter().filter_map(|cut| place.chunk(cut, &units)).collect()
}

/// A chunk in the making: some units that follow each other.
struct Cut {
    units: std::ops::Range<usize>,
    tokens: usize,
    chars: usize,
    head: Head,
    only_headings: bool,
}

impl Cut {
    /// An empty one, or one that repeats the sentence before.
    fn after(full: Option<&Self>, units: &[Unit], index: usize) -> Self {
        let mut cut = Self {
            units: index..index,
            tokens: 0,
            chars: 0,
            head: Head::default(),
            only_headings: true,
        };
        let unit = &units[index];
        let before = full
            .filter(|full| unit.opens == Opens::Sentence && full.units.len() > 1)
            .map(|_| &units[index - 1])
            .filter(|before| before.tokens <= OVERLAP && before.tokens + unit.tokens <= MOST / 2);
        if let Some(before) = before {
            cut.units.start -= 1;
            (cut.tokens, cut.chars) = (before.tokens, before.chars);
        }
        cut
    }

    fn is_below(&mut self, head: Head) {
        self.head = head;
    }

    fn takes(&self, unit: &Unit) -> bool {
        let room = MOST - self.head.tokens;
        let fits = self.tokens + unit.tokens <= room && self.chars + unit.chars <= MOST_CHARS;
        fits && match unit.opens {
            Opens::Page => false,
            // A heading with nothing below it but another one.
            Opens::Section => self.only_headings,
            Opens::Paragraph => self.tokens < ENOUGH || self.tokens + unit.paragraph <= room,
            Opens::Row | Opens::Sentence => true,
        }
    }

    fn add(&mut self, unit: &Unit) {
        self.units.end += 1;
        self.tokens += unit.tokens;
        self.chars += unit.chars;
        self.only_headings &= unit.is_heading;
    }
}

/// What stands above a chunk.
#[derive(Clone, Default)]
struct Head {
    heading: String,
    tokens: usize,
    page: Option<u32>,
}

/// Walks through headings, pages and tables once: what is above each place, asked for in order.
struct Above<'a> {
    outline: &'a Outline,
    sizer: &'a Sizer,
    /// How many headings, pages and tables are above.
    headings: usize,
    pages: usize,
    tables: usize,
    /// Outermost first, each deeper than the one before.
    path: Vec<&'a Heading>,
}

impl<'a> Above<'a> {
    fn new(outline: &'a Outline, sizer: &'a Sizer) -> Self {
        Self { outline, sizer, headings: 0, pages: 0, tables: 0, path: Vec::new() }
    }

    fn at(&mut self, byte: usize) -> Head {
        let Outline { headings, pages, tables } = self.outline;
        while let Some(page) = pages.get(self.pages)
            && page.at <= byte
        {
            // A page is a beginning: what was said on the one before stands not above it.
            self.path.clear();
            self.pages += 1;
        }
        while let Some(heading) = headings.get(self.headings)
            && heading.at <= byte
        {
            while self.path.pop_if(|outer| outer.level >= heading.level).is_some() {}
            self.path.push(heading);
            self.headings += 1;
        }
        while tables.get(self.tables).is_some_and(|table| table.rows.end <= byte) {
            self.tables += 1;
        }
        let table = tables.get(self.tables).filter(|table| table.rows.start <= byte);
        let path: Vec<&str> = self.path.iter().map(|heading| heading.text.as_str()).collect();
        let mut heading: String = path.join(" › ").chars().take(HEADING_MOST).collect();
        if let Some(columns) = table.and_then(|table| table.columns.as_deref()) {
            if !heading.is_empty() {
                heading.push_str(" › ");
            }
            heading.push_str(columns);
        }
        let mut tokens = self.sizer.tokens(&heading);
        while tokens > HEADING_TOKENS {
            heading = heading.chars().take(heading.chars().count() * 3 / 4).collect();
            tokens = self.sizer.tokens(&heading);
        }
        let page = self.pages.checked_sub(1).and_then(|last| pages.get(last));
        Head { heading, tokens, page: page.map(|page| page.number) }
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

    fn chunk(&mut self, cut: Cut, units: &[Unit]) -> Option<Chunk> {
        let bytes = units[cut.units.start].bytes.start..units[cut.units.end - 1].bytes.end;
        let raw = &self.text[bytes.clone()];
        let body = raw.trim();
        if body.is_empty() {
            return None;
        }
        let from = bytes.start + (raw.len() - raw.trim_start().len());
        let body = body.to_owned();
        let start = self.chars_at(from);
        let end = self.chars_at(from + body.len());
        let Head { heading, page, .. } = cut.head;
        Some(Chunk { start, end, heading, page, body })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::documents::{outline::Page, tables::tables};

    fn slice(text: &str, chunk: &Chunk) -> String {
        text.chars().skip(chunk.start).take(chunk.end - chunk.start).collect()
    }

    fn below(headings: &[Heading], pages: &[Page], text: &str) -> Vec<Chunk> {
        let outline =
            Outline { headings: headings.to_vec(), pages: pages.to_vec(), tables: tables(text) };
        chunks(text, &outline, &Sizer::estimate())
    }

    fn heading(at: usize, level: u8, text: &str) -> Heading {
        Heading { at, level, text: text.to_owned() }
    }

    #[test]
    fn sections_are_not_mixed_and_know_their_headings() {
        let text = "# Cats\n\nIntro.\n\n## Homes\n\nThey stay.\n\n# Dogs\n\n## Walks\n\nThey go.";
        let at = |needle: &str| text.find(needle).unwrap();
        let headings = [
            heading(at("# Cats"), 1, "Cats"),
            heading(at("## Homes"), 2, "Homes"),
            heading(at("# Dogs"), 1, "Dogs"),
            heading(at("## Walks"), 2, "Walks"),
        ];
        let cut = below(&headings, &[], text);
        let found: Vec<_> = cut.iter().map(|c| (c.heading.as_str(), c.body.as_str())).collect();
        assert_eq!(
            found,
            [
                ("Cats", "# Cats\n\nIntro."),
                ("Cats › Homes", "## Homes\n\nThey stay."),
                // A heading with nothing below it is no passage of its own.
                ("Dogs › Walks", "# Dogs\n\n## Walks\n\nThey go."),
            ]
        );
    }

    #[test]
    fn pages_are_not_mixed_and_are_counted() {
        let text = "One.\n\n  Three.\n\nFour.";
        let at = |needle: &str| text.find(needle).unwrap();
        let page = |at, number| Page { at, number };
        let pages = [page(0, 1), page(at("  Three"), 3), page(at("Four"), 4)];
        let cut = below(&[], &pages, text);
        let found: Vec<_> = cut.iter().map(|c| (c.page, c.body.as_str())).collect();
        assert_eq!(found, [(Some(1), "One."), (Some(3), "Three."), (Some(4), "Four.")]);
        assert_eq!(below(&[], &[], text)[0].page, None);
    }

    /// A row in two halves would say nothing, and neither would one without its columns.
    #[test]
    fn a_table_is_cut_between_rows_that_know_their_columns() {
        let mut text = "# Prices\n\n| Item | Price | Remark |\n|---|---|---|\n".to_owned();
        for n in 0..100 {
            text.push_str(&format!("| Tea no. {n}. Fine. | {n} | Sold by the box. Or two. |\n"));
        }
        let cut = below(&[heading(0, 1, "Prices")], &[], &text);
        assert!(cut.len() > 4);
        for chunk in &cut[1..] {
            assert!(chunk.body.starts_with("| Tea no.") && chunk.body.ends_with("two. |"));
            assert_eq!(chunk.heading, "Prices › Item | Price | Remark");
        }
        assert_eq!(cut[0].heading, "Prices");
        let rows: usize = cut.iter().map(|chunk| chunk.body.matches("Tea no.").count()).sum();
        assert_eq!(rows, 100, "no row is repeated");
    }

    /// Five bytes a heading: reading all of them again for each chunk would take hours.
    #[test]
    fn a_text_of_headings_alone_is_cut_in_one_pass() {
        let text = "# a\n".repeat(100_000);
        let headings: Vec<Heading> =
            (0..100_000).map(|n| heading(n * 4, u8::try_from(n % 6 + 1).unwrap(), "a")).collect();
        let started = std::time::Instant::now();
        let cut = below(&headings, &[], &text);
        assert_eq!(cut.last().unwrap().heading, ["a"; 4].join(" › "));
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    }

    #[test]
    fn a_long_paragraph_is_cut_between_sentences_with_one_repeated() {
        let text: String =
            (0..60).map(|n| format!("Sentence number {n} is about cats. ")).collect();
        let cut = below(&[], &[], &text);
        assert!(cut.len() > 1);
        for pair in cut.windows(2) {
            assert!(pair[0].body.ends_with("cats."));
            assert!(pair[1].start < pair[0].end, "a sentence is repeated");
            assert!(Sizer::estimate().tokens(&pair[0].body) > MOST - 20);
        }
    }

    proptest! {
        #[test]
        fn ranges_are_exact_and_cover_the_text(
            text in "([A-Zé猫][a-zü]{0,12}[ ,.!?\n|]{1,3}){0,400}|[a-z]{0,4000}|.{0,300}",
            marks in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..6),
        ) {
            let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            let mut marks: Vec<(usize, bool)> = marks
                .iter()
                .filter(|_| !starts.is_empty())
                .map(|(mark, is_page)| (*mark.get(&starts), *is_page))
                .collect();
            marks.sort_unstable();
            let headings: Vec<Heading> =
                marks.iter().filter(|mark| !mark.1).map(|mark| heading(mark.0, 1, "H")).collect();
            let pages: Vec<Page> =
                marks.iter().filter(|mark| mark.1).map(|mark| Page { at: mark.0, number: 1 }).collect();
            let cut = below(&headings, &pages, &text);
            let sizer = Sizer::estimate();
            let mut covered = vec![false; starts.len()];
            let mut before = None;
            for chunk in &cut {
                prop_assert_eq!(&slice(&text, chunk), &chunk.body);
                prop_assert!(chunk.body.chars().count() <= MOST_CHARS);
                prop_assert!(sizer.tokens(&chunk.body) + sizer.tokens(&chunk.heading) <= MOST);
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
