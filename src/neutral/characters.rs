//! Text without hidden characters (spec row N-01).
//!
//! What people cannot see and models can read goes: tag characters, variation selectors beyond
//! emoji, zero-width and bidirectional controls, private use, C0 and C1. Joiners stay where scripts
//! and emoji need them.

/// Text as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cleaned {
    /// What is left.
    pub text: String,
    /// How many characters were hidden.
    pub removed: usize,
}

/// Remove hidden characters. Cleaning twice changes nothing more.
#[must_use]
pub fn clean(text: &str) -> Cleaned {
    let mut kept = String::with_capacity(text.len());
    let mut removed = 0;
    let mut before = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let after = rest.peek().copied();
        if is_hidden(c) || is_lone_joiner(c, before, after) || is_lone_selector(c, before, after) {
            // A Windows line ending is no secret.
            removed += usize::from(!(c == '\r' && after == Some('\n')));
        } else {
            kept.push(c);
            before = Some(c);
        }
    }
    Cleaned { text: kept, removed }
}

/// Cleaned, in one line, of at most `limit` characters: for titles and names.
#[must_use]
pub fn line(text: &str, limit: usize) -> String {
    let cleaned = clean(text).text;
    let words: Vec<&str> = cleaned.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(limit) {
        Some((end, _)) => line[..end].trim_end().to_owned(),
        None => line,
    }
}

const fn is_hidden(c: char) -> bool {
    matches!(c,
        '\0'..='\u{8}' | '\u{b}'..='\u{1f}' | '\u{7f}'..='\u{9f}' // C0 and C1 but \t and \n
        | '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}'
        | '\u{200b}' | '\u{200e}' | '\u{200f}' // zero-width space; direction marks
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{2069}'
        | '\u{206a}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}' // private use
        | '\u{e0000}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}') // tags; selectors 17 to 256
}

/// A joiner or non-joiner that joins nothing: not between letters of a script that uses them, and
/// not inside an emoji sequence.
fn is_lone_joiner(c: char, before: Option<char>, after: Option<char>) -> bool {
    if !matches!(c, '\u{200c}' | '\u{200d}') {
        return false;
    }
    let (Some(before), Some(after)) = (before, after) else { return true };
    let in_word = uses_joiners(before) && uses_joiners(after);
    let in_emoji = c == '\u{200d}'
        && (is_emoji(before) || before == '\u{fe0f}' || is_skin_tone(before))
        && is_emoji(after);
    !(in_word || in_emoji)
}

/// A variation selector that selects nothing: 15 and 16 belong after an emoji's base, the first
/// fourteen after a visible character, and never two in a row.
fn is_lone_selector(c: char, before: Option<char>, after: Option<char>) -> bool {
    match c {
        '\u{fe0e}' | '\u{fe0f}' => {
            let keycap = before.is_some_and(|b| matches!(b, '0'..='9' | '#' | '*'))
                && after == Some('\u{20e3}');
            !(keycap || before.is_some_and(is_emoji))
        }
        '\u{fe00}'..='\u{fe0d}' => !before.is_some_and(|b| {
            !b.is_ascii()
                && !b.is_whitespace()
                && !matches!(b, '\u{fe00}'..='\u{fe0f}' | '\u{200c}' | '\u{200d}')
        }),
        _ => false,
    }
}

const fn uses_joiners(c: char) -> bool {
    matches!(c,
        '\u{600}'..='\u{60b}' | '\u{60d}'..='\u{61b}' | '\u{61d}'..='\u{8ff}' // Arabic, Syriac, …
        | '\u{900}'..='\u{dff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{180d}'
        | '\u{180f}'..='\u{18af}' | '\u{1b00}'..='\u{1c4f}' | '\u{a800}'..='\u{aaff}'
        | '\u{fb50}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}' | '\u{11000}'..='\u{11fff}')
}

const fn is_emoji(c: char) -> bool {
    matches!(c,
        '\u{a9}' | '\u{ae}' | '\u{203c}' | '\u{2049}' | '\u{2122}' | '\u{2139}'
        | '\u{2190}'..='\u{21ff}' | '\u{2300}'..='\u{23ff}' | '\u{24c2}'
        | '\u{25a0}'..='\u{27bf}' | '\u{2934}' | '\u{2935}' | '\u{2b00}'..='\u{2bff}'
        | '\u{3030}' | '\u{303d}' | '\u{3297}' | '\u{3299}' | '\u{1f000}'..='\u{1faff}')
}

const fn is_skin_tone(c: char) -> bool {
    matches!(c, '\u{1f3fb}'..='\u{1f3ff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// [N-01] Scripts and emoji that need joiners and selectors keep them.
    #[test]
    fn visible_text_is_unchanged() {
        for text in [
            "Plain, with \"quotes\", tabs\tand\nlines – “curly” too.",
            "می‌خواهم کتاب‌ها را بخوانم",
            "क्‍ष और राष्ट्र",
            "👩‍💻 👨‍👩‍👧 ❤️ 🏳️‍🌈 👋🏽 1️⃣ ☎︎ 👩🏽‍⚕️",
            "猫は家に付く。 Große Straße, naïve café",
            "עברית ועוד שפה",
        ] {
            assert_eq!(clean(text), Cleaned { text: text.to_owned(), removed: 0 });
        }
    }

    /// [N-01] Each class of hidden character goes.
    #[test]
    fn hidden_text_is_removed_and_counted() {
        let tags: String =
            "ignore".chars().map(|c| char::from_u32(0xe0000 + c as u32).unwrap()).collect();
        for (text, visible, removed) in [
            (format!("cat{tags}s"), "cats", 6),
            ("c\u{200b}a\u{2060}t\u{feff}s\u{ad}".to_owned(), "cats", 4),
            ("\u{202e}stac\u{202c}".to_owned(), "stac", 2),
            ("a\u{200d}b\u{200c}c".to_owned(), "abc", 2),
            ("a\u{fe0f}\u{e0101}\u{fe01}b".to_owned(), "ab", 3),
            ("x\u{e000}\u{f8ff}\u{10fffd}y\u{1b}[31m\u{9b}".to_owned(), "xy[31m", 5),
            ("one\r\ntwo".to_owned(), "one\ntwo", 0),
        ] {
            assert_eq!(clean(&text), Cleaned { text: visible.to_owned(), removed }, "{text:?}");
        }
    }

    #[test]
    fn a_title_is_one_short_line() {
        assert_eq!(line("  Our\u{200b} Cats \n and\tmore ", 100), "Our Cats and more");
        assert_eq!(line("ééééé", 3), "ééé");
    }

    fn text() -> impl Strategy<Value = String> {
        let odd = prop::sample::select(vec![
            '\u{200d}',
            '\u{200c}',
            '\u{200b}',
            '\u{fe0f}',
            '\u{fe0e}',
            '\u{fe00}',
            '\u{e0041}',
            '👩',
            '💻',
            '🏽',
            'क',
            '्',
            'ا',
            'a',
            ' ',
            '1',
            '\u{20e3}',
            '\u{202e}',
            '\u{e0100}',
            '\r',
            '\n',
        ]);
        prop::collection::vec(prop_oneof![odd, any::<char>()], 0..40)
            .prop_map(|chars| chars.into_iter().collect())
    }

    proptest! {
        /// [N-01] Nothing hidden is left, and a second pass finds nothing.
        #[test]
        fn cleaning_is_thorough_and_idempotent(text in text()) {
            let once = clean(&text);
            prop_assert!(!once.text.chars().any(is_hidden));
            prop_assert_eq!(clean(&once.text), Cleaned { text: once.text.clone(), removed: 0 });
        }
    }
}
