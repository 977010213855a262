//! From what a parser found to one clean text with its headings and a title.

use super::{
    extract::Parsed,
    tables::{Table, tables},
};
use crate::neutral::{clean, line};

/// Beyond these, what looks like a heading is text.
const MOST_HEADINGS: usize = 10_000;
/// The rest of a longer heading is not repeated for each of its chunks.
const HEADING_MOST: usize = 300;

/// A document's text, ready to be cut.
#[derive(Clone, Debug, Default)]
pub(super) struct Composed {
    /// One line, never empty.
    pub title: String,
    /// Without hidden characters.
    pub text: String,
    /// What it is made of.
    pub outline: Outline,
    /// How many hidden characters were removed.
    pub removed: usize,
}

/// What a text is made of; each list is in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outline {
    pub headings: Vec<Heading>,
    pub pages: Vec<Page>,
    pub tables: Vec<Table>,
}

/// A page, a slide or a sheet in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// Where it starts, in bytes of the text.
    pub at: usize,
    /// Counted from 1.
    pub number: u32,
}

/// A heading in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heading {
    /// Where its line starts, in bytes of the text.
    pub at: usize,
    /// 1 is outermost.
    pub level: u8,
    /// Without marks.
    pub text: String,
}

/// How a text shows its headings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// `# …`
    Markdown,
    /// A line of capitals between blank lines.
    #[default]
    Plain,
    /// The sections are pages.
    Pages,
    /// The sections are slides, and each begins with its number and title: `# Slide 3: …`
    Slides,
    /// The sections are sheets: rows, a line each, below `# …`. Nothing in them is a title.
    Sheets,
    /// Rows, a line each.
    Rows,
}

/// Put sections together. `name` is the file's, for when nothing better makes a title.
pub(super) fn compose(parsed: &Parsed, name: &str) -> Composed {
    let mut composed = Composed::default();
    for (index, section) in parsed.sections.iter().enumerate() {
        let cleaned = clean(section);
        composed.removed += cleaned.removed;
        let body = cleaned.text.trim_end();
        if body.trim().is_empty() {
            continue;
        }
        if !composed.text.is_empty() {
            composed.text.push_str("\n\n");
        }
        let at = composed.text.len();
        composed.text.push_str(body);
        if matches!(parsed.style, Style::Pages | Style::Slides | Style::Sheets) {
            let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
            composed.outline.pages.push(Page { at, number });
        }
        composed.outline.headings.extend(match parsed.style {
            Style::Pages | Style::Rows => Vec::new(),
            Style::Markdown | Style::Slides | Style::Sheets => markdown_headings(body, at),
            Style::Plain => plain_headings(body, at),
        });
    }
    let outline = &mut composed.outline;
    outline.headings.truncate(MOST_HEADINGS);
    for heading in &mut outline.headings {
        heading.text = line(&heading.text, HEADING_MOST);
    }
    outline.tables = tables(&composed.text);
    composed.title = title(parsed, &composed, name);
    composed
}

fn title(parsed: &Parsed, composed: &Composed, name: &str) -> String {
    let declared = parsed.title.as_deref().map(|title| line(title, 200));
    let heading = composed
        .outline
        .headings
        .first()
        .filter(|heading| parsed.style == Style::Markdown && heading.level == 1)
        .map(|heading| line(&heading.text, 200));
    let first = composed.text.lines().find(|text| !text.trim().is_empty());
    let first = first.map(|text| line(text.trim_start_matches('#'), 200));
    let says_title = !matches!(parsed.style, Style::Slides | Style::Sheets | Style::Rows);
    let short = first.filter(|first| says_title && first.chars().count() <= 120);
    let stem = line(name.rsplit_once('.').map_or(name, |(stem, _)| stem), 200);
    [declared, heading, short, Some(stem)]
        .into_iter()
        .flatten()
        .find(|title| title.chars().any(char::is_alphanumeric))
        .unwrap_or_else(|| "Untitled".to_owned())
}

fn markdown_headings(text: &str, base: usize) -> Vec<Heading> {
    let mut headings = Vec::new();
    let mut fenced = false;
    for (at, text) in lines(text) {
        if text.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        let level = text.len() - text.trim_start_matches('#').len();
        if fenced || !(1..=6).contains(&level) || !text[level..].starts_with(' ') {
            continue;
        }
        let text = text[level..].trim().trim_end_matches('#').trim_end();
        if let (false, Ok(level)) = (text.is_empty(), u8::try_from(level)) {
            headings.push(Heading { at: base + at, level, text: text.to_owned() });
        }
    }
    headings
}

/// Lines of capitals, and lines that begin with "Chapter", that stand alone.
fn plain_headings(text: &str, base: usize) -> Vec<Heading> {
    let lines: Vec<(usize, &str)> = lines(text).collect();
    let is_blank = |index: Option<usize>| {
        index.and_then(|index| lines.get(index)).is_none_or(|(_, line)| line.trim().is_empty())
    };
    let mut headings = Vec::new();
    for (index, &(at, line)) in lines.iter().enumerate() {
        let alone = is_blank(index.checked_sub(1)) && is_blank(Some(index + 1));
        let text = line.trim();
        let capitals = text.chars().filter(|c| c.is_uppercase()).count() > 2
            && !text.chars().any(char::is_lowercase);
        let chapter = text.get(..8).is_some_and(|word| word.eq_ignore_ascii_case("chapter "));
        if alone && (3..=80).contains(&text.chars().count()) && (capitals || chapter) {
            let text = text.trim_end_matches('.').to_owned();
            headings.push(Heading { at: base + at, level: 1, text });
        }
    }
    headings
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split_inclusive('\n').map(move |line| {
        let start = at;
        at += line.len();
        (start, line.trim_end_matches('\n'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(style: Style, title: Option<&str>, sections: &[&str]) -> Parsed {
        Parsed {
            style,
            title: title.map(str::to_owned),
            sections: sections.iter().map(|text| (*text).to_owned()).collect(),
            ..Parsed::default()
        }
    }

    #[test]
    fn markdown_headings_are_found_outside_code() {
        let text = "# Cats\n\nText\n\n## Homes ##\n```\n# not this\n```\n#nor this\n";
        let composed = compose(&parsed(Style::Markdown, None, &[text]), "x.md");
        let found: Vec<_> =
            composed.outline.headings.iter().map(|h| (h.level, h.text.as_str())).collect();
        assert_eq!(found, [(1, "Cats"), (2, "Homes")]);
        assert!(composed.text[composed.outline.headings[1].at..].starts_with("## Homes"));
        assert_eq!(composed.title, "Cats");
    }

    #[test]
    fn titles_fall_back_from_metadata_to_first_line_to_file_name() {
        let title = |parsed: Parsed| compose(&parsed, "report-2024.txt").title;
        assert_eq!(
            title(parsed(Style::Pages, Some(" The\u{200b} Title "), &["First"])),
            "The Title"
        );
        assert_eq!(title(parsed(Style::Plain, None, &["\n\nFirst line\nmore"])), "First line");
        assert_eq!(title(parsed(Style::Plain, None, &[&"word ".repeat(50)])), "report-2024");
        assert_eq!(title(parsed(Style::Plain, Some(" … "), &["---"])), "report-2024");
    }

    #[test]
    fn headings_have_an_end_in_number_and_length() {
        let text = format!("# {}\n", "x".repeat(5_000)) + &"# a\n".repeat(20_000);
        let composed = compose(&parsed(Style::Markdown, None, &[&text]), "x.md");
        assert_eq!(composed.outline.headings.len(), MOST_HEADINGS);
        assert_eq!(composed.outline.headings[0].text.len(), HEADING_MOST);
    }

    #[test]
    fn pages_are_counted_and_capitals_are_headings() {
        let composed = compose(&parsed(Style::Pages, None, &["one", "", "three"]), "x.pdf");
        assert_eq!(composed.text, "one\n\nthree");
        assert_eq!(composed.outline.headings, []);
        let pages = [Page { at: 0, number: 1 }, Page { at: 5, number: 3 }];
        assert_eq!(composed.outline.pages, pages);
        let text = "HABITS.\n\nOf cats. NOT THIS\n\nCHAPTER II\n\nmore";
        let composed = compose(&parsed(Style::Plain, None, &[text]), "x.txt");
        let found: Vec<_> = composed.outline.headings.iter().map(|h| h.text.as_str()).collect();
        assert_eq!(found, ["HABITS", "CHAPTER II"]);
    }
}
