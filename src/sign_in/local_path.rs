//! Where to go after signing in: on this site, whatever the link said (spec row W-07).

use std::fmt;

/// A path with query on this site. Anything else becomes the home page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalPath(String);

impl LocalPath {
    /// Take `text` when it is surely local.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if is_local(text) { Self(text.to_owned()) } else { Self::home() }
    }

    /// The home page.
    #[must_use]
    pub fn home() -> Self {
        Self("/".to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LocalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_local(text: &str) -> bool {
    const LONGEST: usize = 4096;
    let path = text.split(['?', '#']).next().unwrap_or_default();
    // Browsers read a backslash as a slash and drop control characters; some servers decode a
    // path before they look at it.
    let disguised = ["%2f", "%5c", "%0", "%1"];
    text.len() <= LONGEST
        && path.starts_with('/')
        && !path.contains("//")
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        && !disguised.iter().any(|code| path.to_ascii_lowercase().contains(code))
        && stays_here(text)
}

/// What a browser would make of it.
fn stays_here(text: &str) -> bool {
    let here = url::Url::parse("https://here.invalid/sign-in").expect("a URL");
    here.join(text).is_ok_and(|there| there.origin() == here.origin())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [W-07] A list of tricks, each of which leads home.
    #[test]
    fn only_a_local_path_is_followed() {
        for good in [
            "/",
            "/t/acme/documents?page=2",
            "/oauth/authorize?redirect_uri=https%3A%2F%2Fevil.example%2F&x=//y",
            "/d/01890a5d-ac96-774b-bcce-b302099a8057#passage",
        ] {
            assert_eq!(LocalPath::parse(good).as_str(), good);
        }
        for bad in [
            "",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https:evil.example",
            "https://evil.example/",
            "javascript:alert(1)",
            "%2f%2fevil.example",
            "/%2f%2fevil.example",
            "/%5Cevil.example",
            "/\t/evil.example",
            "/\r\nSet-Cookie: a=b",
            "/%0d%0aSet-Cookie:a=b",
            "/a//evil.example",
            "evil.example",
            " //evil.example",
            "/ä",
        ] {
            assert_eq!(LocalPath::parse(bad).as_str(), "/", "{bad:?}");
        }
        assert_eq!(LocalPath::parse(&format!("/{}", "a".repeat(5000))).as_str(), "/");
    }
}
