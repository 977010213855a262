//! The numbers of numbered paragraphs, counted as a word processor counts them.

use std::collections::HashMap;

use office_oxide::docx::{NumberFormat, NumberingDefinitions};

const LEVELS: usize = 9;

/// How far each list has counted.
#[derive(Debug, Default)]
pub(super) struct Numbers(HashMap<u32, [u32; LEVELS]>);

impl Numbers {
    /// What stands before the next paragraph of this list and level: "-", "3." or "2.1".
    pub(super) fn next(
        &mut self,
        definitions: Option<&NumberingDefinitions>,
        list: u32,
        level: u8,
    ) -> String {
        let at = usize::from(level).min(LEVELS - 1);
        let Some((definitions, form)) =
            definitions.and_then(|all| Some((all, all.resolve_level(list, level)?)))
        else {
            return "-".to_owned();
        };
        let counter = definitions.instances.get(&list).map_or(list, |list| list.abstract_num_id);
        let counts = self.0.entry(counter).or_default();
        counts[at] = match counts[at] {
            0 => definitions.resolve_start(list, level).unwrap_or(1).max(1),
            last => last.saturating_add(1),
        };
        counts[at + 1..].fill(0);
        if matches!(form.format, NumberFormat::Bullet | NumberFormat::None) {
            return "-".to_owned();
        }
        let mut mark: String = form.level_text.chars().take(40).collect();
        for (above, count) in counts.iter().enumerate().take(at + 1) {
            let place = format!("%{}", above + 1);
            if mark.contains(&place) {
                let level = u8::try_from(above).unwrap_or_default();
                let format = definitions.resolve_level(list, level).map(|form| &form.format);
                mark = mark.replace(&place, &number((*count).max(1), format));
            }
        }
        let mark = mark.trim();
        if mark.is_empty() { "-".to_owned() } else { mark.to_owned() }
    }
}

fn number(count: u32, format: Option<&NumberFormat>) -> String {
    match format {
        Some(NumberFormat::LowerLetter) => letter(count).to_lowercase(),
        Some(NumberFormat::UpperLetter) => letter(count),
        Some(NumberFormat::LowerRoman) => roman(count).to_lowercase(),
        Some(NumberFormat::UpperRoman) => roman(count),
        _ => count.to_string(),
    }
}

/// A … Z, AA, BB: the letter again for each time around.
fn letter(count: u32) -> String {
    let (round, letter) = ((count - 1) / 26, (count - 1) % 26);
    let letter = char::from(b'A' + u8::try_from(letter).unwrap_or_default());
    letter.to_string().repeat(usize::try_from(round + 1).unwrap_or(1).min(8))
}

fn roman(count: u32) -> String {
    const STEPS: [(u32, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    if count >= 4_000 {
        return count.to_string();
    }
    let mut rest = count;
    let mut text = String::new();
    for (value, sign) in STEPS {
        while rest >= value {
            text.push_str(sign);
            rest -= value;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_readers_know_them() {
        assert_eq!([1, 4, 9, 14, 1994].map(roman), ["I", "IV", "IX", "XIV", "MCMXCIV"]);
        assert_eq!([1, 26, 27, 53].map(letter), ["A", "Z", "AA", "AAA"]);
        assert_eq!(roman(5_000), "5000");
    }
}
