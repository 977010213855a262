//! Where sentences end: good enough for cutting text, in any script with full stops.

/// The byte ranges of a text's sentences. They are in order, touch, and cover the text: white space
/// belongs to the sentence before it. A blank line ends a sentence, and so does a list item.
#[must_use]
pub(crate) fn sentences(text: &str) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut at = 0;
    while let Some(end) = next_end(text, at) {
        let end = end + blank(&text[end..]);
        if end > start {
            found.push(start..end);
        }
        start = end;
        at = end;
    }
    if start < text.len() {
        found.push(start..text.len());
    }
    found
}

fn blank(text: &str) -> usize {
    text.len() - text.trim_start().len()
}

/// Where the next sentence ends, before the white space that follows; `None` at the last one.
fn next_end(text: &str, from: usize) -> Option<usize> {
    let mut chars = text[from..].char_indices().map(|(i, c)| (from + i, c)).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\n' {
            let rest = &text[at..];
            let gap = &rest[..blank(rest)];
            if gap.matches('\n').count() > 1 || is_item(&rest[gap.len()..]) {
                return Some(at);
            }
        } else if matches!(c, '。' | '！' | '？') {
            return Some(at + c.len_utf8());
        } else if matches!(c, '.' | '!' | '?' | '…') {
            let mut end = at + c.len_utf8();
            while let Some(&(i, closer)) = chars.peek()
                && matches!(
                    closer,
                    '.' | '!' | '?' | '"' | '\'' | '”' | '’' | ')' | ']' | '_' | '»'
                )
            {
                end = i + closer.len_utf8();
                chars.next();
            }
            let rest = &text[end..];
            let next = rest.trim_start().chars().next();
            let spaced = rest.starts_with(char::is_whitespace);
            let begins =
                next.is_some_and(|c| !c.is_lowercase() && c != '.') && !is_abbreviation(text, at);
            if spaced && (begins || is_alone(text, at..end)) {
                return Some(end);
            }
        }
    }
    None
}

/// Whether a full stop stands alone, as where every word and sign has a space before it: then what
/// begins need not be in upper case. Three with spaces between them are an ellipsis.
fn is_alone(text: &str, stop: std::ops::Range<usize>) -> bool {
    let (before, after) = (&text[..stop.start], text[stop.end..].trim_start());
    before.ends_with(char::is_whitespace)
        && !before.trim_end().ends_with('.')
        && !after.is_empty()
        && !after.starts_with('.')
}

fn is_item(line: &str) -> bool {
    line.starts_with(['-', '*', '•', '|', '#']) || {
        let digits = line.len() - line.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        digits > 0 && digits < 4 && line[digits..].starts_with(['.', ')'])
    }
}

/// Whether the full stop at `at` belongs to an abbreviation or an initial.
fn is_abbreviation(text: &str, at: usize) -> bool {
    let before = &text[..at];
    let start = before
        .char_indices()
        .rev()
        .find(|(_, c)| !(c.is_alphanumeric() || *c == '.'))
        .map_or(0, |(i, c)| i + c.len_utf8());
    let word = &before[start..];
    let initial = word.chars().count() == 1 && word.chars().all(char::is_uppercase) && word != "I";
    initial
        || word.contains('.')
        || ["Mr", "Mrs", "Ms", "Dr", "St", "Messrs", "Prof", "Rev", "Esq", "vol", "no", "fig", "cf"]
            .contains(&word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(text: &str) -> Vec<&str> {
        sentences(text).into_iter().map(|range| text[range].trim_end()).collect()
    }

    #[test]
    fn sentences_end_where_readers_think_so() {
        assert_eq!(
            cut("Mr. A. Welch has cats. \"Do they stay?\" Yes! At 3.15 p.m. they eat\nand sleep."),
            [
                "Mr. A. Welch has cats.",
                "\"Do they stay?\"",
                "Yes!",
                "At 3.15 p.m. they eat\nand sleep."
            ]
        );
        assert_eq!(
            cut("A heading\n\nA line\n- one\n- two"),
            ["A heading", "A line", "- one", "- two"]
        );
        assert_eq!(cut("猫。犬。"), ["猫。", "犬。"]);
        assert_eq!(
            cut("the wing stalls . the flow, at m = .3, goes on . . . as before ."),
            ["the wing stalls .", "the flow, at m = .3, goes on . . . as before ."]
        );
        assert!(cut("").is_empty());
    }

    proptest! {
        #[test]
        fn sentences_touch_and_cover(text in "[a-zA-Z .!?\n\"é。-]{0,200}") {
            let found = sentences(&text);
            let mut at = 0;
            for range in &found {
                prop_assert_eq!(range.start, at);
                prop_assert!(range.end > range.start);
                at = range.end;
            }
            prop_assert!(text[at..].is_empty());
        }
    }
}
