//! The book that the demonstration tenant reads, a document a chapter.

use std::fmt::Write;

/// Harrison Weir, "Our Cats and All About Them", 1889 (`assets/demo/SOURCE.md`).
const TEXT: &str = include_str!("../../../assets/demo/our-cats.txt");
/// The same as one document.
pub(super) const PDF: &[u8] = include_bytes!("../../../assets/demo/our-cats.pdf");

/// Words that stay small in a title.
const SMALL: &[&str] = &["a", "and", "as", "by", "in", "of", "on", "or", "the", "to"];

/// One chapter.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chapter {
    pub(super) title: String,
    pub(super) text: String,
}

/// The chapters, without title pages, lists of contents and index.
///
/// In the transcription, a part of the book follows four empty lines, and a chapter is a part
/// whose heading is not indented.
pub(super) fn chapters() -> Vec<Chapter> {
    let parts = TEXT.split("\n\n\n\n\n").map(|part| part.trim_start_matches('\n'));
    parts
        .filter(|part| part.starts_with(|first: char| !first.is_whitespace()))
        .filter_map(|part| part.split_once('\n'))
        .filter(|(heading, _)| *heading != "INDEX.")
        .map(|(heading, text)| Chapter { title: title(heading), text: text.trim().to_owned() })
        .filter(|chapter| chapter.text.len() > 200) // a half-title is no chapter
        .collect()
}

/// The chapters as JSON, an object a line, as `callslip import` reads them.
pub(super) fn as_json_lines(chapters: &[Chapter]) -> String {
    chapters.iter().enumerate().fold(String::new(), |mut lines, (index, chapter)| {
        let line = serde_json::json!({
            "_id": format!("our-cats/{:02}", index + 1),
            "title": chapter.title,
            "text": chapter.text,
            "metadata": { "author": "Harrison Weir", "book": "Our Cats", "year": "1889" },
        });
        writeln!(lines, "{line}").expect("writing to a string");
        lines
    })
}

/// "THE CAT OF SHAKESPEARE." as "The Cat of Shakespeare".
fn title(heading: &str) -> String {
    let words = heading.trim_end_matches(['.', ',']).split(' ').enumerate();
    let words = words.map(|(index, word)| {
        let word = word.to_lowercase();
        if index > 0 && SMALL.contains(&word.as_str()) { word } else { capitalised(&word) }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Each part of a compound: "Long-Haired".
fn capitalised(word: &str) -> String {
    let mut begins = true;
    word.chars()
        .map(|letter| {
            let shown =
                if begins { letter.to_uppercase().next().unwrap_or(letter) } else { letter };
            begins = letter == '-' || (begins && !letter.is_alphanumeric());
            shown
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_book_falls_into_its_chapters() {
        let chapters = chapters();
        let titles: Vec<&str> = chapters.iter().map(|chapter| chapter.title.as_str()).collect();
        assert!(titles.len() > 50, "{titles:?}");
        for title in ["Preface", "Habits", "The Short-Haired White Cat", "The Cat of Shakespeare"] {
            assert!(titles.contains(&title), "{title} in {titles:?}");
        }
        assert!(!titles.contains(&"Index"));
        let habits = chapters.iter().find(|chapter| chapter.title == "Habits").unwrap();
        assert!(habits.text.contains("home"), "the question that the guide asks is answered here");
    }

    #[test]
    fn every_line_is_an_object_with_a_name_of_its_own() {
        let lines = as_json_lines(&chapters());
        let ids: std::collections::BTreeSet<String> = lines
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
            .map(|line| line["_id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(ids.len(), chapters().len());
    }
}
