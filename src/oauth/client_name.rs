//! What an app calls itself, made safe to show (spec row C-06).

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use super::redirect_uri;

/// The longest name, in characters.
const LONGEST: usize = 60;

/// Names that people trust, in lower case and without blanks, with the hosts that may carry them:
/// those and what is below them.
const KNOWN: &[(&str, &[&str])] = &[
    ("chatgpt", &["chatgpt.com", "openai.com"]),
    ("openai", &["chatgpt.com", "openai.com"]),
    ("codex", &["chatgpt.com", "openai.com"]),
    ("claude", &["claude.ai", "claude.com", "anthropic.com"]),
    ("anthropic", &["claude.ai", "claude.com", "anthropic.com"]),
    ("cursor", &["cursor.com", "cursor.sh"]),
    ("visualstudio", MICROSOFT),
    ("vscode", MICROSOFT),
    ("copilot", MICROSOFT),
    ("microsoft", MICROSOFT),
    ("github", &["github.com", "vscode.dev"]),
    ("gemini", GOOGLE),
    ("google", GOOGLE),
    ("perplexity", &["perplexity.ai"]),
    (OURS, &[]),
];
const OURS: &str = "callslip";
const MICROSOFT: &[&str] =
    &["vscode.dev", "visualstudio.com", "microsoft.com", "github.com", "azure-apim.net"];
const GOOGLE: &[&str] = &["google.com", "google"];

/// What an unverified client is called: what it calls itself, or, where that is the name of a
/// well-known app and not all its addresses are that app's, the address that is not.
pub(super) fn shown(name: String, addresses: &[String]) -> String {
    let folded = fold(&name);
    let foreign = KNOWN.iter().filter(|(known, _)| folded.contains(&fold(known))).find_map(
        |(known, hosts)| {
            let is_theirs = |place: &str| {
                // Programs on the device cannot be told apart; the page warns of them anyway. Ours
                // are none, but some clients put the server's name behind their own.
                let on_device = place == "localhost" || place.ends_with(':');
                (on_device && !(*known == OURS && folded.starts_with(&fold(OURS))))
                    || is_below(place, hosts)
            };
            addresses.iter().map(|uri| redirect_uri::place(uri)).find(|place| !is_theirs(place))
        },
    );
    match foreign {
        Some(place) => last_characters(&place),
        None => name,
    }
}

/// The end of a host says whose it is.
fn last_characters(place: &str) -> String {
    let length = place.chars().count();
    if length <= LONGEST {
        return place.to_owned();
    }
    let end: String = place.chars().skip(length - LONGEST + 1).collect();
    format!("…{end}")
}

fn is_below(place: &str, hosts: &[&str]) -> bool {
    hosts.iter().any(|host| {
        place == *host || place.strip_suffix(host).is_some_and(|rest| rest.ends_with('.'))
    })
}

/// A name as the eye reads it: without case, blanks, marks and accents, and with the look-alikes of
/// Latin letters in their place (after Unicode's confusables, for the letters that occur in names
/// worth imitating).
fn fold(name: &str) -> String {
    let plain = name.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase);
    let folded: String = plain
        .map(|c| match c {
            'а' | 'α' | 'ɑ' | '4' | '@' => 'a',
            'в' | 'β' => 'b',
            'с' | 'ϲ' => 'c',
            'ԁ' | 'ժ' => 'd',
            'е' | 'ε' | 'э' | '3' => 'e',
            'ɡ' | 'ց' | '9' => 'g',
            'һ' | 'н' | 'հ' => 'h',
            'і' | 'ι' | 'ı' | 'i' | 'ӏ' | '1' | '|' | '!' => 'l',
            'ј' => 'j',
            'к' | 'κ' => 'k',
            'м' => 'm',
            'п' | 'η' | 'ո' => 'n',
            'о' | 'ο' | 'օ' | '0' => 'o',
            'р' | 'ρ' => 'p',
            'г' => 'r',
            'ѕ' | '5' | '$' => 's',
            'т' | 'τ' => 't',
            'υ' | 'ս' | 'и' => 'u',
            'ν' | 'ѵ' => 'v',
            'ԝ' | 'ω' => 'w',
            'х' | 'χ' => 'x',
            'у' | 'γ' => 'y',
            _ => c,
        })
        .filter(|c| c.is_alphanumeric())
        .collect();
    folded.replace("rn", "m")
}

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
    let name = fold(name);
    let (_, hosts) = KNOWN.iter().find(|(known, _)| name.contains(&fold(known)))?;
    let is_theirs = on_device || is_below(redirect_host, hosts);
    (!is_theirs).then_some("The name is that of a well-known app, but the answer goes elsewhere.")
}

/// Letters of more than one of the alphabets that look alike. (Han, Arabic and others beside Latin
/// imitate nothing.)
fn mixes_scripts(name: &str) -> bool {
    let mut alphabets: Vec<u8> = name.chars().filter_map(alphabet).collect();
    alphabets.sort_unstable();
    alphabets.dedup();
    alphabets.len() > 1
}

fn alphabet(c: char) -> Option<u8> {
    match c {
        'a'..='z' | 'A'..='Z' | '\u{c0}'..='\u{2af}' | '\u{1e00}'..='\u{1eff}' => Some(0),
        '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}' => Some(1),
        '\u{400}'..='\u{52f}' | '\u{1c80}'..='\u{1c8f}' | '\u{a640}'..='\u{a69f}' => Some(2),
        '\u{530}'..='\u{58f}' => Some(3),
        '\u{10a0}'..='\u{10ff}' | '\u{1c90}'..='\u{1cbf}' => Some(4),
        '\u{13a0}'..='\u{13ff}' | '\u{ab70}'..='\u{abbf}' => Some(5),
        '\u{2c80}'..='\u{2cff}' => Some(6),
        '\u{a4d0}'..='\u{a4ff}' => Some(7),
        _ => None,
    }
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

    /// [C-06] A well-known name at somebody else's address gives way to the address.
    #[test]
    fn a_borrowed_name_gives_way_to_the_address() {
        let shown = |name: &str, uris: &[&str]| {
            shown(name.to_owned(), &uris.iter().map(|uri| (*uri).to_owned()).collect::<Vec<_>>())
        };
        for name in [
            "ChatGPT",
            "Chat GPT",
            "c.h.a.t-g.p.t",
            "ChatGPT (official)",
            "СhаtGРТ",
            "ChåtGPT",
            "Ch4tGPT",
            "CIaude",
            "C1aude Code",
            "Gernini",
            "Cursоr",
            "VS Code",
            "Visual Studio Code",
            "Callslip",
            "CalIsIip Support",
        ] {
            assert_eq!(shown(name, &["https://evil.example/cb"]), "evil.example", "{name}");
            let mixed = ["https://chatgpt.com.evil.example/cb", "http://localhost/cb"];
            assert_eq!(shown(name, &mixed), "chatgpt.com.evil.example", "{name}");
        }
        // Ours are no programs on anybody's device.
        assert_eq!(shown("Callslip", &["http://127.0.0.1/cb"]), "localhost");
        assert_eq!(shown("Callslip", &["evil://cb"]), "evil:");
        let long = format!("https://{}.evil.example/cb", "claude.ai.".repeat(9) + "x");
        let name = shown("Claude", &[&long]);
        assert!(name.ends_with(".evil.example") && name.chars().count() == LONGEST, "{name}");
    }

    /// [C-06] The real ones keep their names.
    #[test]
    fn real_clients_keep_their_names() {
        for (name, uris) in [
            ("ChatGPT", &["https://chatgpt.com/connector/oauth/abc"][..]),
            ("Claude", &["https://claude.ai/api/mcp/auth_callback"]),
            ("Claude Code (callslip)", &["http://localhost:3118/callback"]),
            ("Codex", &["http://127.0.0.1:1455/callback"]),
            (
                "Cursor",
                &[
                    "cursor://anysphere.cursor-mcp/oauth/callback",
                    "http://localhost:8787/callback",
                    "https://www.cursor.com/agents/mcp/oauth/callback",
                ],
            ),
            (
                "Visual Studio Code",
                &[
                    "http://127.0.0.1:33418/",
                    "https://vscode.dev/redirect",
                    "https://insiders.vscode.dev/redirect",
                ],
            ),
            ("Gemini CLI", &["http://localhost:7777/oauth/callback"]),
            ("Google Antigravity", &["https://antigravity.google/oauth-callback"]),
            ("Perplexity", &["https://www.perplexity.ai/rest/connections/oauth_callback"]),
            (
                "Microsoft Copilot Studio",
                &["https://teams.microsoft.com/api/platform/v1.0/oAuthRedirect"],
            ),
            ("MCP Inspector", &["http://localhost:6274/oauth/callback"]),
            ("Acme Reader", &["https://acme.example/cb"]),
            ("Читалка", &["https://a.example/cb"]),
        ] {
            let uris: Vec<String> = uris.iter().map(|uri| (*uri).to_owned()).collect();
            assert_eq!(shown(name.to_owned(), &uris), name);
        }
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
