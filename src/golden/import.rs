//! Questions from CSV: a question, the document that answers it, and perhaps the store it is in.

use csv::ReaderBuilder;

use super::{
    question,
    store::{self, Added},
};
use crate::{clock::Clock, db::TenantTx};

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Counted from 1.
    pub number: u64,
    /// What is asked.
    pub question: String,
    /// What the document is called.
    pub document: String,
    /// Where it is; in any store when it is not said.
    pub store: Option<String>,
}

/// What came of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// New questions, and documents that were added to those there are.
    pub added: u64,
    /// Lines that were not taken, by number, with the reason.
    pub failed: Vec<(u64, String)>,
}

/// The lines of a text, with commas, semicolons or tabs between what they say; a first line that
/// names its columns is none.
///
/// # Errors
/// A sentence about the first line that cannot be read.
pub fn lines(text: &str) -> Result<Vec<Line>, String> {
    // As browsers send it, a line ends in two characters, and the reader would count from the second.
    let text = text.replace("\r\n", "\n");
    let first = text.lines().next().unwrap_or_default();
    let count = |sign: char| first.matches(sign).count();
    let delimiter = if count('\t') > 0 {
        b'\t'
    } else if count(';') > count(',') {
        b';'
    } else {
        b','
    };
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .trim(csv::Trim::All)
        .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let mut lines = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|_| "This cannot be read as CSV.".to_owned())?;
        let number = record.position().map_or(0, csv::Position::line);
        let cell = |at: usize| record.get(at).filter(|cell| !cell.is_empty()).map(str::to_owned);
        if number == 1 && cell(0).is_some_and(|cell| cell.eq_ignore_ascii_case("question")) {
            continue;
        }
        match (cell(0), cell(1)) {
            (Some(question), Some(document)) => {
                lines.push(Line { number, question, document, store: cell(2) });
            }
            (None, None) => {}
            _ => {
                return Err(format!(
                    "Line {number} does not have a question and a document, with a comma between."
                ));
            }
        }
    }
    Ok(lines)
}

/// Add what the lines say; those that cannot be are reported.
///
/// # Errors
/// When the database fails.
pub async fn import(tx: &mut TenantTx, clock: &Clock, lines: &[Line]) -> sqlx::Result<Imported> {
    let mut imported = Imported::default();
    for line in lines {
        let reason = match one(tx, clock, line).await? {
            Ok(()) => {
                imported.added += 1;
                continue;
            }
            Err(reason) => reason,
        };
        imported.failed.push((line.number, reason.to_owned()));
    }
    Ok(imported)
}

async fn one(
    tx: &mut TenantTx,
    clock: &Clock,
    line: &Line,
) -> sqlx::Result<Result<(), &'static str>> {
    let Some(text) = question(&line.question) else { return Ok(Err("the question is too long")) };
    let found = store::named(tx, &line.document, line.store.as_deref()).await?;
    let (document, store) = match found[..] {
        [found] => found,
        [] => return Ok(Err("there is no such document")),
        _ => return Ok(Err("several documents are called so: name its path, or its store")),
    };
    Ok(match store::add(tx, (store, &text), &[document], clock.now()).await? {
        Added::New | Added::More => Ok(()),
        Added::NoDocument => Err("there is no such document"),
        Added::Full => Err("there are 500 questions already"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_however_they_are_separated() {
        for text in [
            "question,document,store\n\"Where, then?\",a.txt,Books\n\nWho?,b.txt\n",
            "Question;Document\n\"Where, then?\";a.txt;Books\nWho?;b.txt;",
            "\u{feff}Where, then?\ta.txt\tBooks\r\nWho?\tb.txt\r\n",
        ] {
            let found = lines(text).unwrap();
            assert_eq!(found.len(), 2, "{text}");
            assert_eq!(
                (found[0].question.as_str(), found[0].document.as_str()),
                ("Where, then?", "a.txt")
            );
            assert_eq!(found[0].store.as_deref(), Some("Books"));
            assert_eq!((found[1].document.as_str(), found[1].store.as_deref()), ("b.txt", None));
        }
        for end in ["\n", "\r\n"] {
            let wrong = lines(&format!("Who?,a.txt{end}Where?,b.txt{end}Alone{end}")).unwrap_err();
            assert!(wrong.starts_with("Line 3 "), "{wrong}");
        }
        assert_eq!(lines("").unwrap(), []);
    }
}
