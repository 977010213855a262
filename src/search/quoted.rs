//! Phrases in quotes: what a passage should have word for word.

/// The most phrases of a question that count.
const MOST: usize = 4;

/// The phrases of a question, in lower case, their words one space apart.
pub(super) fn phrases(question: &str) -> Vec<String> {
    let mut phrases = Vec::new();
    let mut rest = question;
    while let Some(at) = rest.find(OPENING)
        && phrases.len() < MOST
    {
        let opening = rest[at..].chars().next().unwrap_or_default();
        let closing = closing(opening);
        let inside = &rest[at + opening.len_utf8()..];
        let Some(end) = inside.find(closing) else {
            rest = inside;
            continue;
        };
        let phrase: Vec<&str> = inside[..end].split_whitespace().collect();
        let phrase = phrase.join(" ").to_lowercase();
        if phrase.chars().filter(|c| c.is_alphanumeric()).count() > 1 {
            phrases.push(phrase);
        }
        rest = &inside[end + closing.len_utf8()..];
    }
    phrases
}

const OPENING: [char; 4] = ['"', '\u{201c}', '\u{201e}', '\u{ab}'];

const fn closing(opening: char) -> char {
    match opening {
        '\u{201c}' => '\u{201d}',
        '\u{201e}' => '\u{201c}',
        '\u{ab}' => '\u{bb}',
        _ => '"',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_what_stands_between_quotes() {
        for (question, expected) in [
            ("who said \"Attached  to\ntheir homes\"?", vec!["attached to their homes"]),
            (
                "\u{201c}one two\u{201d} \u{201e}drei vier\u{201c} \u{ab} cinq \u{bb}",
                vec!["one two", "drei vier", "cinq"],
            ),
            ("a 5\" screen", vec![]),
            ("\u{201c}never closed \"but this\"", vec!["but this"]),
            ("\"\" \" \" \"-\"", vec![]),
            ("it's O'Brien's", vec![]),
        ] {
            assert_eq!(phrases(question), expected, "{question}");
        }
        assert_eq!(phrases(&"\"ab\" ".repeat(500)).len(), MOST);
    }
}
