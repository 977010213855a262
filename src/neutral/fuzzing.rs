//! What fuzzers feed: whatever a document may hold.

use super::{Neutral, clean, flags, neutral_line, neutralise};

/// Nothing is live or hidden in what comes out, and it goes in again unchanged.
pub(crate) fn text(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Neutral { text: once, .. } = neutralise(&text);
    assert_eq!(clean(&once).removed, 0, "{once:?}");
    assert!(!once.contains("]("), "{once:?}");
    let opened: Vec<&str> = once.split('<').skip(1).collect();
    for tag in opened.iter().filter(|tag| tag.starts_with(|c: char| c.is_ascii_alphabetic())) {
        let inside = tag.split('>').next().unwrap_or_default().trim_end_matches(['/', ' ', '\t']);
        assert!(!inside.contains(char::is_whitespace), "{once:?}");
    }
    let again = neutralise(&once);
    assert_eq!(again, Neutral { text: once.clone(), hidden: 0, active: 0 }, "{text:?}");
    let _ = flags(&text);
    let title = neutral_line(&text, 200);
    assert!(title.chars().count() <= 200 && !title.contains('\n'), "{title:?}");
}
