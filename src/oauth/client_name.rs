//! What an app calls itself, made safe to show (spec row C-06).

use unicode_normalization::UnicodeNormalization;

/// The longest name, in characters.
const LONGEST: usize = 60;

/// Names that people trust, with the hosts that may carry them.
const KNOWN: &[(&str, &[&str])] = &[
    ("chatgpt", &["chatgpt.com"]),
    ("openai", &["chatgpt.com", "openai.com"]),
    ("claude", &["claude.ai", "claude.com"]),
    ("anthropic", &["claude.ai", "claude.com", "anthropic.com"]),
    ("cursor", &["cursor.com"]),
    ("visual studio code", &["vscode.dev"]),
    ("gemini", &["google.com"]),
    ("copilot", &["microsoft.com", "github.com"]),
    ("callslip", &[]),
];

/// A name for display: compatibility forms undone, and nothing in it that cannot be seen or that
/// turns the text around. `None` when it is too long.
pub(super) fn clean(name: &str) -> Option<String> {
    if name.chars().count() > LONGEST {
        return None;
    }
    let normal: String = name.nfkc().filter(|c| !is_invisible(*c)).collect();
    let joined = normal.split_whitespace().collect::<Vec<_>>().join(" ");
    (joined.chars().count() <= LONGEST).then_some(joined)
}

/// Control, format, direction and filler characters. White space is for the caller.
fn is_invisible(c: char) -> bool {
    (c.is_control() && !c.is_whitespace())
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fffd}' | '\u{e0000}'..='\u{e0fff}')
}

/// What a person should know before trusting the name, in a sentence.
pub(super) fn warning(name: &str, redirect_host: &str, on_device: bool) -> Option<&'static str> {
    if mixes_scripts(name) {
        return Some("The name mixes letters of several alphabets, so it may imitate another one.");
    }
    let name = name.to_lowercase();
    let (_, hosts) = KNOWN.iter().find(|(known, _)| name.contains(known))?;
    // Programs on the device cannot be told apart; the page warns of them anyway.
    let is_theirs = on_device
        || hosts.iter().any(|host| {
            redirect_host == *host
                || redirect_host.strip_suffix(host).is_some_and(|rest| rest.ends_with('.'))
        });
    (!is_theirs).then_some("The name is that of a well-known app, but the answer goes elsewhere.")
}

/// Latin letters beside those of an alphabet with look-alikes.
fn mixes_scripts(name: &str) -> bool {
    let latin = name.chars().any(|c| c.is_ascii_alphabetic());
    let look_alike = name.chars().any(|c| {
        matches!(c, '\u{370}'..='\u{58f}' | '\u{10a0}'..='\u{10ff}' | '\u{13a0}'..='\u{13ff}'
            | '\u{1f00}'..='\u{1fff}' | '\u{2c80}'..='\u{2cff}' | '\u{a4d0}'..='\u{a4ff}')
    });
    latin && look_alike
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [C-06] A name cannot hide, turn around or stretch anything.
    #[test]
    fn names_are_cleaned() {
        assert_eq!(clean("  Acme\n\tReader ").unwrap(), "Acme Reader");
        assert_eq!(clean("Acme\u{202e}reader\u{200b}\u{0}").unwrap(), "Acmereader");
        assert_eq!(clean("Ａｃｍｅ").unwrap(), "Acme");
        assert_eq!(clean("<script>").unwrap(), "<script>");
        assert_eq!(clean("\u{200b}").unwrap(), "");
        assert_eq!(clean(&"x".repeat(300)), None);
        // One character that decomposes into eighteen.
        assert_eq!(clean(&"\u{fdfa}".repeat(60)), None);
    }

    /// [C-06] A name that imitates another one carries a warning.
    #[test]
    fn imitations_are_pointed_out() {
        assert!(warning("ChatGPT", "evil.example", false).is_some());
        assert!(warning("ChatGPT", "chatgpt.com.evil.example", false).is_some());
        assert!(warning("ChatGPT", "evilchatgpt.com", false).is_some());
        assert!(warning("Сlaude", "claude.ai", false).is_some(), "Cyrillic C");
        assert!(warning("ChatGPT", "chatgpt.com", false).is_none());
        assert!(warning("Cursor", "www.cursor.com", false).is_none());
        assert!(warning("Claude Code", "localhost", true).is_none());
        assert!(warning("Читалка", "a.example", false).is_none());
    }
}
