//! CSV: rows with the names of their columns, whatever separates them.

use csv::ReaderBuilder;

use super::{Parsed, Unreadable, draft::Draft, rows::Rows, text::decode, unreadable};
use crate::documents::outline::Style;

pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, Unreadable> {
    let text = decode(bytes)?;
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter(&text))
        .from_reader(text.as_bytes());
    let mut draft = Draft::default();
    let mut rows = Rows::default();
    for record in reader.records() {
        // The text is UTF-8 and rows may have any length: nothing else can be wrong with it.
        let record = record.map_err(|_| unreadable("this is not CSV: a row cannot be read"))?;
        let cells: Vec<_> = record.iter().map(str::to_owned).enumerate().collect();
        rows.row(&mut draft, &cells);
        if draft.is_full() {
            break;
        }
    }
    let text = draft.finish()?;
    if text.is_empty() {
        return Err(unreadable("the file is empty"));
    }
    Ok(Parsed { style: Style::Rows, sections: vec![text], ..Parsed::default() })
}

/// Of the usual separators, the one that the first lines have most evenly.
fn delimiter(text: &str) -> u8 {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).take(20).collect();
    let count = |mark: u8| {
        let counts = lines.iter().map(|line| line.bytes().filter(|byte| *byte == mark).count());
        (counts.clone().min().unwrap_or(0), counts.sum::<usize>())
    };
    let best = *b",;\t|".iter().rev().max_by_key(|mark| count(**mark)).unwrap_or(&b',');
    if count(best).1 == 0 { b',' } else { best }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_whatever_separates_them() {
        for text in [
            "name,born\n\"Lovelace, Ada\",1815\n\n\"Hopper\nGrace\",1906\n",
            "name;born\r\nLovelace, Ada;1815\r\nHopper Grace;1906\r\n",
            "\u{feff}name\tborn\nLovelace, Ada\t1815\nHopper Grace\t1906",
        ] {
            let parsed = parse(text.as_bytes()).unwrap();
            assert_eq!(
                parsed.sections[0],
                "| name | born\n| name: Lovelace, Ada | born: 1815\n\
                 | name: Hopper Grace | born: 1906",
                "{text}"
            );
        }
        assert!(parse(b",,\n,,\n").is_err());
        assert!(parse(b"a,\"never closed\nb,c").is_ok());
    }
}
