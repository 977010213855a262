//! How far a word is from one that may have been meant.

/// The longest ending that a stemmer may not have known in a misspelt word.
const ENDING: usize = 3;

/// How many letters are wrong, missing, too many or swapped with the next; `None` when that is more
/// than a slip: more than one, or than two of eight letters and more.
///
/// What was meant is a stem, and who misspells a word misspells its ending too: one of up to three
/// letters after a stem of five and more counts as one slip.
pub(super) fn distance(written: &str, meant: &str) -> Option<usize> {
    let (a, b): (Vec<char>, Vec<char>) = (written.chars().collect(), meant.chars().collect());
    let most = match a.len() {
        0..=3 => return None,
        4..=7 => 1,
        _ => 2,
    };
    if b.len() > a.len() + most || a.len() > b.len() + most + ENDING {
        return None;
    }
    // Rows of the table of distances between beginnings: the one before the last, the last, this.
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut least = usize::MAX;
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let wrong = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + wrong);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        (before, last) = (last, row);
        if i < a.len() && i + ENDING >= a.len() && b.len() > 4 {
            least = least.min(last[b.len()] + 1);
        }
    }
    Some(least.min(last[b.len()])).filter(|distance| *distance <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_near_and_other_words_are_not() {
        for (written, meant, expected) in [
            ("reciev", "receiv", Some(1)),
            ("vacaton", "vacation", Some(1)),
            ("vacaton", "vacat", Some(1)),
            ("vacaton", "vacant", None),
            ("portable", "port", None),
            ("boilr", "boiler", Some(1)),
            ("maintainance", "maintenance", Some(2)),
            ("Straße", "Strasse", None),
            ("überwachng", "überwachung", Some(1)),
            ("отпск", "отпуск", Some(1)),
            ("cats", "cats", Some(0)),
            ("cat", "cut", None),
            ("zebra", "cobra", None),
            ("holiday", "vacation", None),
            ("", "", None),
        ] {
            assert_eq!(distance(written, meant), expected, "{written} {meant}");
        }
    }
}
