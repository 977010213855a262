//! Rules that hold for the text of every template.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn templates() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("templates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found
}

/// [W-02] Nothing inline that the policy would block, and nothing that is not escaped.
#[test]
fn no_template_has_inline_script_style_or_raw_output() {
    let templates = templates();
    assert!(templates.len() > 15);
    for (path, text) in templates {
        let name = path.display();
        let lower = text.to_lowercase();
        for banned in [" style=", "<style", "javascript:", "|safe", "| safe", "escape none"] {
            assert!(!lower.contains(banned), "{name}: {banned}");
        }
        for (at, _) in lower.match_indices("<script") {
            assert!(lower[at..].starts_with("<script src=\"/assets/"), "{name}: inline script");
        }
        // An attribute that begins with "on" is an event handler.
        for (at, _) in lower.match_indices(" on") {
            let word: String =
                lower[at + 1..].chars().take_while(char::is_ascii_alphanumeric).collect();
            assert!(!lower[at + 1 + word.len()..].starts_with('='), "{name}: {word}=");
        }
    }
}

/// [W-05] Every form that posts carries the token.
#[test]
fn every_posting_form_includes_the_token() {
    for (path, text) in templates() {
        let posting = text.matches("method=\"post\"").count();
        let tokens = text.matches("{% include \"ui/_csrf.html\" %}").count();
        assert_eq!(posting, tokens, "{}", path.display());
    }
}
