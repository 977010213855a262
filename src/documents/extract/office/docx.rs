//! DOCX: headings by their styles, numbered paragraphs with their numbers, tables by rows, and what
//! stands beside the text.
//!
//! Hidden and deleted text is dropped, as a reader does not see it.

use std::{
    collections::{HashMap, HashSet},
    io::Cursor,
};

use office_oxide::docx::{
    BlockElement, DocxDocument, Paragraph, ParagraphContent, Run, RunContent, Style, StyleSheet,
    Table, TableCell, paragraph::BreakType,
};

use super::{Unreadable, damaged, numbers::Numbers, parsed};
use crate::documents::{
    extract::{
        Parsed,
        draft::{Draft, one_line},
        rows::Rows,
    },
    outline,
};

/// The longest chain of styles that is followed.
const CHAIN: usize = 20;
/// A table with a longer cell lays out a page, and is read cell after cell.
const CELL_MOST: usize = 1_000;

pub(super) fn read(file: Cursor<&[u8]>) -> Result<Parsed, Unreadable> {
    let document = DocxDocument::from_reader(file).map_err(|_| damaged())?;
    let mut walk = Walk::new(&document);
    let mut draft = Draft::default();
    walk.blocks(&document.body.elements, &mut draft);
    let mut notes = Vec::new();
    for note in document.footnotes.iter().chain(&document.endnotes) {
        notes.push(walk.text(&note.content));
    }
    let mut comments = Vec::new();
    for comment in &document.comments {
        let text = walk.text(&comment.content);
        comments.push(match &comment.author {
            Some(author) if !text.is_empty() => format!("{author}: {text}"),
            _ => text,
        });
    }
    let mut edges = Vec::new();
    let mut seen = HashSet::new();
    for edge in document.headers_footers.iter().filter(|edge| edge.active) {
        let text = walk.text(&edge.content);
        if text.chars().any(char::is_alphabetic) && seen.insert(text.clone()) {
            edges.push(text);
        }
    }
    list(&mut draft, "Notes", &notes);
    list(&mut draft, "Comments", &comments);
    list(&mut draft, "Page headers and footers", &edges);
    let lost = document.unreadable_parts.len() + document.unreadable_parts_omitted;
    let properties = document.core_properties.as_ref();
    parsed(outline::Style::Markdown, vec![draft.finish()?], properties, lost)
}

/// What stands beside the text, below a heading of its own.
fn list(draft: &mut Draft, heading: &str, items: &[String]) {
    if items.iter().any(|item| !item.is_empty()) {
        draft.heading(1, heading);
        items.iter().for_each(|item| draft.item(0, "-", item));
    }
}

/// What a style makes of its paragraphs.
#[derive(Clone, Copy, Debug, Default)]
struct Look {
    heading: Option<u8>,
    list: Option<(u32, u8)>,
}

/// On its way through a document, counting its lists.
struct Walk<'a> {
    document: &'a DocxDocument,
    looks: HashMap<&'a str, Look>,
    numbers: Numbers,
}

impl<'a> Walk<'a> {
    fn new(document: &'a DocxDocument) -> Self {
        let looks = document
            .styles
            .iter()
            .flat_map(|sheet| sheet.styles.keys().map(|id| (id.as_str(), look(sheet, id))))
            .collect();
        Self { document, looks, numbers: Numbers::default() }
    }

    fn blocks(&mut self, blocks: &[BlockElement], draft: &mut Draft) {
        for block in blocks {
            if draft.is_full() {
                return;
            }
            match block {
                BlockElement::Paragraph(paragraph) => self.paragraph(paragraph, draft),
                BlockElement::Table(table) => self.table(table, draft),
            }
        }
    }

    fn paragraph(&mut self, paragraph: &Paragraph, draft: &mut Draft) {
        let mut boxes = Vec::new();
        let text = self.runs(paragraph, &mut boxes);
        let properties = paragraph.properties.as_ref();
        let style = properties.and_then(|properties| properties.style_id.as_deref());
        let look = style.and_then(|style| self.looks.get(style)).copied().unwrap_or_default();
        let own = properties.and_then(|properties| properties.numbering_ref.as_ref());
        let own = own.map(|list| (list.num_id, list.ilvl));
        // List 0 says that this paragraph is not in its style's list.
        let list = own.or(look.list).filter(|(list, _)| *list > 0);
        let level = properties.and_then(|properties| properties.outline_level);
        let heading = level.filter(|level| *level < 9).map(|level| level + 1).or(look.heading);
        if !text.trim().is_empty() {
            let numbering = self.document.numbering.as_ref();
            let mark = list.map(|(list, level)| self.numbers.next(numbering, list, level));
            match (heading, mark) {
                (Some(level), Some(mark)) if mark != "-" => {
                    draft.heading(level, &format!("{mark} {text}"));
                }
                (Some(level), _) => draft.heading(level, &text),
                (None, Some(mark)) => {
                    let depth = list.map_or(0, |(_, level)| usize::from(level));
                    draft.item(depth, &mark, &text);
                }
                (None, None) => draft.paragraph(&text),
            }
        }
        for inner in boxes {
            draft.gap();
            self.blocks(inner, draft);
        }
    }

    fn table(&mut self, table: &Table, draft: &mut Draft) {
        draft.gap();
        let cells: Vec<Vec<(usize, String)>> =
            table.rows.iter().map(|row| self.cells(&row.cells)).collect();
        let lays_out = cells.iter().all(|row| row.len() < 2)
            || cells.iter().flatten().any(|(_, text)| text.len() > CELL_MOST);
        if lays_out {
            for cell in table.rows.iter().flat_map(|row| &row.cells) {
                self.blocks(&cell.content, draft);
                draft.gap();
            }
            return;
        }
        let mut rows = if names_columns(table) { Rows::default() } else { Rows::nameless() };
        cells.iter().for_each(|row| rows.row(draft, row));
        draft.gap();
    }

    fn cells(&self, cells: &[TableCell]) -> Vec<(usize, String)> {
        let mut column = 0;
        let mut texts = Vec::new();
        for cell in cells {
            let properties = cell.properties.as_ref();
            if properties.is_none_or(|properties| !properties.deleted) {
                texts.push((column, self.text(&cell.content)));
            }
            let span = properties.and_then(|properties| properties.grid_span).unwrap_or(1);
            column += usize::try_from(span).unwrap_or(1).clamp(1, 1_000);
        }
        texts
    }

    /// The words of these blocks on one line.
    fn text(&self, blocks: &[BlockElement]) -> String {
        let mut text = String::new();
        for block in blocks {
            match block {
                BlockElement::Paragraph(paragraph) => {
                    let mut boxes = Vec::new();
                    text.push_str(&self.runs(paragraph, &mut boxes));
                    for inner in boxes {
                        text.push(' ');
                        text.push_str(&self.text(inner));
                    }
                }
                BlockElement::Table(table) => {
                    for cell in table.rows.iter().flat_map(|row| &row.cells) {
                        text.push_str(&self.text(&cell.content));
                        text.push(' ');
                    }
                }
            }
            text.push(' ');
        }
        one_line(&text)
    }

    /// A paragraph's own text; what its text boxes hold comes after it.
    fn runs<'p>(&self, paragraph: &'p Paragraph, boxes: &mut Vec<&'p [BlockElement]>) -> String {
        let properties = paragraph.properties.as_ref();
        let style = properties.and_then(|properties| properties.style_id.as_deref());
        let mut text = String::new();
        for content in &paragraph.content {
            let runs = match content {
                ParagraphContent::Run(run) => std::slice::from_ref(run),
                ParagraphContent::Hyperlink(link) => &link.runs,
            };
            for run in runs.iter().filter(|run| !self.is_hidden(style, run)) {
                say(run, &mut text, boxes);
            }
        }
        text
    }

    fn is_hidden(&self, style: Option<&str>, run: &Run) -> bool {
        let properties = run.properties.as_ref();
        match &self.document.styles {
            Some(sheet) => sheet.effective_hidden(style, properties),
            None => properties.and_then(|properties| properties.hidden).unwrap_or(false),
        }
    }
}

/// Whether the first row may name the columns: in two columns the first is as often the one that
/// says what the second is, unless the row is set apart.
fn names_columns(table: &Table) -> bool {
    let Some(first) = table.rows.first() else { return false };
    let is_header = first.properties.as_ref().is_some_and(|properties| properties.is_header);
    is_header || first.cells.len() > 2 || first.cells.iter().all(is_bold)
}

fn is_bold(cell: &TableCell) -> bool {
    let mut runs = cell.content.iter().flat_map(|block| match block {
        BlockElement::Paragraph(paragraph) => paragraph.content.as_slice(),
        BlockElement::Table(_) => &[],
    });
    runs.all(|content| match content {
        ParagraphContent::Run(run) => {
            run.properties.as_ref().is_some_and(|properties| properties.bold == Some(true))
        }
        ParagraphContent::Hyperlink(_) => false,
    })
}

fn say<'p>(run: &'p Run, text: &mut String, boxes: &mut Vec<&'p [BlockElement]>) {
    for content in &run.content {
        match content {
            RunContent::Text(words) => text.push_str(words),
            RunContent::Tab => text.push(' '),
            RunContent::Break(BreakType::Line) => text.push('\n'),
            RunContent::Break(BreakType::Page | BreakType::Column) => text.push(' '),
            RunContent::TextBox(inner) => boxes.push(inner),
            RunContent::Drawing(drawing) => {
                let told = drawing.description.iter().chain(drawing.chart_text.iter());
                for words in told {
                    text.push(' ');
                    text.push_str(words);
                }
            }
            RunContent::FormField(field) => {
                text.push_str(&field.value_text().unwrap_or_default());
            }
            RunContent::FootnoteRef(..)
            | RunContent::EndnoteRef(..)
            | RunContent::CommentRef(_)
            | RunContent::CommentRangeStart(_)
            | RunContent::DeferredPart(_) => {}
        }
    }
}

/// What a style and those that it is based on say, the nearest first.
fn look(sheet: &StyleSheet, id: &str) -> Look {
    let mut found = Look::default();
    let mut next = sheet.styles.get(id);
    for _ in 0..CHAIN {
        let Some(style) = next else { break };
        let properties = style.paragraph_properties.as_ref();
        let level = properties.and_then(|properties| properties.outline_level);
        found.heading = found.heading.or_else(|| match level {
            Some(level) => (level < 9).then_some(level + 1),
            None => heading(style),
        });
        let list = properties.and_then(|properties| properties.numbering_ref.as_ref());
        found.list = found.list.or_else(|| list.map(|list| (list.num_id, list.ilvl)));
        next = style.based_on.as_ref().and_then(|id| sheet.styles.get(id));
    }
    found
}

/// The level of a heading's style, which has an English name in every language.
fn heading(style: &Style) -> Option<u8> {
    let name = style.name.as_deref().unwrap_or(&style.style_id).to_ascii_lowercase();
    if name == "title" {
        return Some(1);
    }
    let level: u8 = name.strip_prefix("heading")?.trim().parse().ok()?;
    (1..=9).contains(&level).then_some(level)
}
