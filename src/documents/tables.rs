//! Tables in a text: rows, a line each, and the names of their columns.

use std::{collections::HashSet, ops::Range};

/// A longer cell names no column.
const NAME_MOST: usize = 80;
const COLUMNS_MOST: usize = 160;
/// So many rows may stand above the one that names the columns.
const ABOVE_NAMES: usize = 3;

/// A table in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// All of its lines, in bytes of the text.
    pub lines: Range<usize>,
    /// Those after the one that names the columns.
    pub rows: Range<usize>,
    /// The names of its columns; `None` where nothing names them, or each row does.
    pub columns: Option<String>,
}

/// The tables of a text, in order: lines that begin with a bar or hold one between spaces, three or
/// more, with no other line between.
pub(super) fn tables(text: &str) -> Vec<Table> {
    let mut tables = Vec::new();
    let mut rows: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let range = at..at + line.len();
        at = range.end;
        if is_row(line) {
            rows.push(range);
        } else {
            tables.extend(table(text, &rows, line.trim().is_empty().then_some(range.end)));
            rows.clear();
        }
    }
    tables.extend(table(text, &rows, None));
    tables
}

fn is_row(line: &str) -> bool {
    let line = line.trim();
    line.starts_with("| ") || line.starts_with('|') && line.ends_with('|') || line.contains(" | ")
}

/// A table of these rows, with the blank line that ends it.
fn table(text: &str, rows: &[Range<usize>], blank: Option<usize>) -> Option<Table> {
    let [first, .., last] = rows else { return None };
    if rows.len() < 3 {
        return None;
    }
    let lines = first.start..blank.unwrap_or(last.end);
    let above =
        rows.iter().take(ABOVE_NAMES).take_while(|row| cells(&text[(*row).clone()]).len() < 2);
    let named = above.count();
    let names = rows.get(named).map(|row| cells(&text[row.clone()])).unwrap_or_default();
    let is_ruler = |row: &&Range<usize>| {
        text[(*row).clone()].chars().all(|c| c.is_whitespace() || "|-:".contains(c))
    };
    let ruler = rows.get(named + 1).filter(is_ruler);
    let begin = ruler.or(rows.get(named)).map_or(lines.start, |row| row.end);
    let next = text[begin..lines.end].lines().next().unwrap_or_default();
    // Rows that come with the names of their columns need no more of them.
    let each = names.iter().any(|name| next.contains(&format!("{name}: ")));
    let columns = (are_names(&names) && !each)
        .then(|| names.join(" | ").chars().take(COLUMNS_MOST).collect());
    Some(Table { rows: begin..lines.end, lines, columns })
}

fn cells(line: &str) -> Vec<&str> {
    line.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

/// Whether these name columns: short words, all different, no figures among them.
fn are_names(cells: &[&str]) -> bool {
    let mut seen = HashSet::new();
    cells.len() > 1
        && cells.iter().all(|cell| {
            cell.chars().any(char::is_alphabetic)
                && !cell.starts_with(|c: char| c.is_ascii_digit() || c == '=')
                && cell.chars().count() <= NAME_MOST
                && seen.insert(cell)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_found_with_the_names_of_their_columns() {
        let text =
            "Prices.\n\n| Item | Price |\n|------|:-----:|\n| Tea | 3 |\n| Jam | 4 |\n\nEnd.";
        let found = tables(text);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].columns.as_deref(), Some("Item | Price"));
        assert!(text[found[0].lines.clone()].starts_with("| Item"));
        assert_eq!(&text[found[0].rows.clone()], "| Tea | 3 |\n| Jam | 4 |\n\n");
        let html = "Item | Price\nTea | 3\nJam | 4";
        assert_eq!(tables(html)[0].columns.as_deref(), Some("Item | Price"));
    }

    #[test]
    fn rows_that_name_their_columns_and_figures_need_no_names() {
        for text in [
            "| Staff\n| Name | Age\n| Name: Ada | Age: 36\n| Name: Bo | Age: 7",
            "| Ada | 36\n| Bo | 7\n| Cy | 8",
        ] {
            assert_eq!(tables(text)[0].columns, None, "{text}");
        }
        assert!(tables("a | b\nc | d\n\nno table").is_empty());
        assert!(tables("if (a || b)\nreturn c;\n|\n").is_empty());
    }
}
