//! The smallest parts of a text that chunks are made of: sentences, the rows of tables, and pieces
//! of what is too long to stay whole.

use super::{
    outline::{Heading, Outline, Page},
    sentences::sentences,
    tables::Table,
};
use crate::embeddings::Sizer;

/// A sentence in more tokens may be cut, and so may one in more characters.
const MOST_TOKENS: usize = 128;
const MOST_CHARS: usize = 1_000;

/// What a unit is the first of, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Opens {
    /// Of nothing but itself.
    Sentence,
    /// A row that is not its table's first.
    Row,
    Paragraph,
    Section,
    /// A page, a slide or a sheet.
    Page,
}

/// A part that is never cut further.
pub(super) struct Unit {
    pub(super) bytes: std::ops::Range<usize>,
    pub(super) tokens: usize,
    pub(super) chars: usize,
    pub(super) opens: Opens,
    /// Whether it is a heading and no more.
    pub(super) is_heading: bool,
    /// How many tokens from here to the end of the paragraph, or of the table.
    pub(super) paragraph: usize,
}

/// The units of a text. They are in order, touch, and cover it.
pub(super) fn units(text: &str, outline: &Outline, sizer: &Sizer) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    let mut headings = outline.headings.iter().map(|Heading { at, .. }| *at).peekable();
    let mut pages = outline.pages.iter().map(|Page { at, .. }| *at).peekable();
    let mut ends_paragraph = true;
    for (bytes, is_row) in parts(text, &outline.tables) {
        let mut opens = match (ends_paragraph, is_row) {
            (true, _) => Opens::Paragraph,
            (false, true) => Opens::Row,
            (false, false) => Opens::Sentence,
        };
        let part = &text[bytes.clone()];
        let mut is_heading = false;
        // White space at the end may be the beginning of what follows.
        let end = bytes.start + part.trim_end().len();
        while headings.next_if(|at| *at < end).is_some() {
            opens = Opens::Section;
            is_heading = !part.trim().contains('\n');
        }
        while pages.next_if(|at| *at < end).is_some() {
            opens = Opens::Page;
        }
        let blank = &part[part.trim_end().len()..];
        ends_paragraph = blank.matches('\n').count() > 1;
        let first = units.len();
        cut(text, bytes, sizer, &mut units);
        for unit in &mut units[first..] {
            unit.is_heading = is_heading;
        }
        if let Some(unit) = units.get_mut(first) {
            unit.opens = opens;
        }
    }
    let mut paragraph = 0;
    for unit in units.iter_mut().rev() {
        paragraph += unit.tokens;
        unit.paragraph = paragraph;
        if unit.opens >= Opens::Paragraph {
            paragraph = 0;
        }
    }
    units
}

/// The sentences of a text, and of its tables the rows; which of both each is.
fn parts(text: &str, tables: &[Table]) -> Vec<(std::ops::Range<usize>, bool)> {
    let mut parts = Vec::new();
    let mut at = 0;
    let plain = |range: std::ops::Range<usize>, parts: &mut Vec<_>| {
        let base = range.start;
        let found = sentences(&text[range]).into_iter();
        parts.extend(found.map(|one| (base + one.start..base + one.end, false)));
    };
    for table in tables {
        plain(at..table.lines.start, &mut parts);
        at = table.lines.start;
        for line in text[table.lines.clone()].split_inclusive('\n') {
            parts.push((at..at + line.len(), true));
            at += line.len();
        }
    }
    plain(at..text.len(), &mut parts);
    parts
}

/// A part as it is, or, when it is too long, in halves cut at white space.
fn cut(text: &str, bytes: std::ops::Range<usize>, sizer: &Sizer, units: &mut Vec<Unit>) {
    let mut rest = vec![bytes];
    while let Some(bytes) = rest.pop() {
        let part = &text[bytes.clone()];
        let long = part.char_indices().nth(MOST_CHARS).map(|(at, _)| at);
        let tokens = if long.is_none() { sizer.tokens(part) } else { 0 };
        let chars = part.chars().count();
        let at = match long {
            Some(at) => white_before(part, at),
            None if tokens > MOST_TOKENS && chars > 1 => {
                let middle = part.char_indices().nth(chars / 2).map_or(part.len(), |(at, _)| at);
                white_before(part, middle)
            }
            None => {
                let (opens, is_heading, paragraph) = (Opens::Sentence, false, 0);
                units.push(Unit { bytes, tokens, chars, opens, is_heading, paragraph });
                continue;
            }
        };
        rest.push(bytes.start + at..bytes.end);
        rest.push(bytes.start..bytes.start + at);
    }
}

/// After the last white space before `at`, or there.
fn white_before(part: &str, at: usize) -> usize {
    let space = part[..at].char_indices().rev().find(|(_, c)| c.is_whitespace());
    space.map_or(at, |(at, c)| at + c.len_utf8())
}
