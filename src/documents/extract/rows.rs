//! The rows of a table as lines, each with the names of its columns: a row is found, and read,
//! without the rows above it.

use std::collections::HashMap;

use super::draft::{Draft, one_line};

/// A longer cell names no column.
const NAME_MOST: usize = 80;
/// So many rows may stand above the one that names the columns.
const ABOVE_NAMES: usize = 10;

/// What is known of a table's columns so far.
#[derive(Debug, Default)]
pub(super) struct Rows {
    names: HashMap<usize, String>,
    settled: bool,
    seen: usize,
}

impl Rows {
    /// A table whose columns have no names.
    pub(super) fn nameless() -> Self {
        Self { settled: true, ..Self::default() }
    }

    /// Write one row: its cells, each with the number of its column. Empty ones are left out.
    pub(super) fn row(&mut self, draft: &mut Draft, cells: &[(usize, String)]) {
        let cells: Vec<(usize, String)> = cells
            .iter()
            .map(|(column, text)| (*column, one_line(text)))
            .filter(|(_, text)| !text.is_empty())
            .collect();
        if cells.is_empty() {
            return;
        }
        self.seen += 1;
        if !self.settled {
            // A title or a note above the table stands alone in its row.
            let alone = cells.len() < 2;
            self.settled = !alone || self.seen > ABOVE_NAMES;
            if !alone && are_names(&cells) {
                draft.line(&format!("| {}", joined(cells.iter().map(|(_, text)| text.as_str()))));
                self.names = cells.into_iter().collect();
                return;
            }
        }
        let cells = cells.iter().map(|(column, text)| match self.names.get(column) {
            Some(name) => format!("{name}: {text}"),
            None => text.clone(),
        });
        draft.line(&format!("| {}", joined(cells)));
    }
}

fn joined<T: AsRef<str>>(cells: impl Iterator<Item = T>) -> String {
    let mut line = String::new();
    for cell in cells {
        if !line.is_empty() {
            line.push_str(" | ");
        }
        line.push_str(cell.as_ref());
    }
    line
}

/// Whether these name columns: short words, all different, no figures among them.
fn are_names(cells: &[(usize, String)]) -> bool {
    let mut seen = std::collections::HashSet::new();
    cells.iter().all(|(_, text)| {
        text.chars().any(char::is_alphabetic)
            && !text.starts_with(|c: char| c.is_ascii_digit() || c == '=')
            && text.chars().count() <= NAME_MOST
            && !text.contains('@')
            && seen.insert(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(rows: &[&[&str]]) -> String {
        let mut draft = Draft::default();
        let mut table = Rows::default();
        for row in rows {
            let cells: Vec<_> = row.iter().map(|text| (*text).to_owned()).enumerate().collect();
            table.row(&mut draft, &cells);
        }
        draft.finish().unwrap()
    }

    #[test]
    fn each_row_names_its_columns() {
        let text = written(&[
            &["Staff 2024"],
            &["Name", "Age", "Note"],
            &["Ada", "36", ""],
            &["", "", ""],
            &["Bo\nb", "7", "new"],
        ]);
        assert_eq!(
            text,
            "| Staff 2024\n| Name | Age | Note\n| Name: Ada | Age: 36\n\
             | Name: Bo b | Age: 7 | Note: new"
        );
    }

    #[test]
    fn figures_and_repeated_words_name_nothing() {
        assert_eq!(written(&[&["Ada", "36"], &["Bob", "7"]]), "| Ada | 36\n| Bob | 7");
        assert_eq!(written(&[&["a", "a"], &["b", "c"]]), "| a | a\n| b | c");
    }
}
