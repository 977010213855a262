//! How far a word is from one that may have been meant.

/// How many letters are wrong, missing, too many or swapped with the next; `None` when that is more
/// than a slip: more than one, or than two of eight letters and more.
pub(super) fn distance(written: &str, meant: &str) -> Option<usize> {
    let (a, b): (Vec<char>, Vec<char>) = (written.chars().collect(), meant.chars().collect());
    let most = match a.len() {
        0..=3 => return None,
        4..=7 => 1,
        _ => 2,
    };
    if a.len().abs_diff(b.len()) > most {
        return None;
    }
    // Rows of the table of distances between beginnings: the one before the last, the last, this.
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
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
    }
    Some(last[b.len()]).filter(|distance| *distance <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_near_and_other_words_are_not() {
        for (written, meant, expected) in [
            ("reciev", "receiv", Some(1)),
            ("vacaton", "vacation", Some(1)),
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
