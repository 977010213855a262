//! Whose an app is, as far as that can be known: the host that vouches for it.
//!
//! For a client that a document describes, that is the document's host. For every other it is where
//! its codes go: a host; `localhost` for a program on the user's own device; a scheme, as in
//! `cursor:`, for an app there that has one of its own.

use std::collections::BTreeSet;

use super::client::Source;

/// Every program on the device that listens for its answer.
const LOCALHOST: &str = "localhost";

/// The place of a client's grant or request.
#[must_use]
pub(super) fn of(source: Source, client_id: &str, redirect_uri: &str) -> String {
    let uri = if source == Source::Document { client_id } else { redirect_uri };
    let Ok(url) = url::Url::parse(uri) else { return String::new() };
    match (url.scheme(), url.host_str()) {
        ("https", Some(host)) => host.trim_end_matches('.').to_owned(),
        // Only loopback hosts can be registered with it.
        ("http", Some(_)) => LOCALHOST.to_owned(),
        (scheme, _) => format!("{scheme}:"),
    }
}

/// Wherever the answers to a client may go, none left out: an approval covers them all. For a client
/// that a document describes, the address of the document.
#[must_use]
pub(super) fn all_of(source: Source, client_id: &str, redirect_uris: &[String]) -> String {
    if source == Source::Document {
        return client_id.to_owned();
    }
    let places: BTreeSet<String> =
        redirect_uris.iter().map(|uri| of(source, client_id, uri)).collect();
    places.into_iter().collect::<Vec<_>>().join(", ")
}

/// A line of an admin's list, as [`of`] would say it.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub fn parse(line: &str) -> Result<String, &'static str> {
    let line = line.trim().to_lowercase();
    if line.contains("//") || line.contains('/') {
        return Err(
            "Write the host alone, as in chatgpt.com, without https:// and without a path.",
        );
    }
    if line.contains('*') {
        return Err("Write each host by itself. A star is not understood.");
    }
    if let Some(scheme) = line.strip_suffix(':') {
        return parse_scheme(scheme);
    }
    if line.is_empty() || line.len() > 253 {
        return Err("A host has 1 to 253 characters.");
    }
    if matches!(line.as_str(), "127.0.0.1" | "[::1]" | "::1") {
        return Ok(LOCALHOST.to_owned());
    }
    let Ok(url::Host::Domain(host)) = url::Host::parse(&line) else {
        return Err("This is not a host name. Examples: chatgpt.com, localhost, cursor:");
    };
    let host = host.trim_end_matches('.').to_owned();
    let is_name = host.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    });
    if !is_name || (!host.contains('.') && host != LOCALHOST) {
        return Err("This is not a host name. Examples: chatgpt.com, localhost, cursor:");
    }
    Ok(host)
}

fn parse_scheme(scheme: &str) -> Result<String, &'static str> {
    if matches!(scheme, "http" | "https") {
        return Err("That would be every host on the web. Write the hosts themselves.");
    }
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.len() <= 60
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if is_scheme {
        Ok(format!("{scheme}:"))
    } else {
        Err("A scheme has letters, digits, +, - and . and ends with a colon, as in cursor:")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_the_hosts_that_vouches() {
        let from = |uri| of(Source::Registration, "csl_client", uri);
        assert_eq!(from("https://ChatGPT.com:8443/cb"), "chatgpt.com");
        for on_device in ["http://127.0.0.1:33418/", "http://[::1]:1/cb", "http://localhost/cb"] {
            assert_eq!(from(on_device), "localhost");
        }
        assert_eq!(from("cursor://anysphere.cursor-mcp/oauth"), "cursor:");
        let document = "https://claude.ai/oauth/client.json";
        assert_eq!(of(Source::Document, document, "http://localhost:1/cb"), "claude.ai");
        // A registered client cannot borrow a host by its name.
        assert_eq!(of(Source::Registration, document, "https://evil.example/"), "evil.example");
    }

    #[test]
    fn no_place_of_an_app_is_left_out() {
        let uris = [
            "https://b.example/1",
            "http://127.0.0.1/",
            "https://a.example/",
            "https://b.example/2",
        ]
        .map(str::to_owned);
        assert_eq!(
            all_of(Source::Registration, "csl_client", &uris),
            "a.example, b.example, localhost"
        );
        let document = "https://claude.ai/oauth/client.json";
        assert_eq!(all_of(Source::Document, document, &uris), document);
    }

    #[test]
    fn what_an_admin_writes_is_what_a_place_is_called() {
        for (line, place) in [
            (" ChatGPT.com ", "chatgpt.com"),
            ("chatgpt.com.", "chatgpt.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("localhost", "localhost"),
            ("127.0.0.1", "localhost"),
            ("[::1]", "localhost"),
            ("cursor:", "cursor:"),
            ("com.example.app:", "com.example.app:"),
        ] {
            assert_eq!(parse(line).as_deref(), Ok(place), "{line}");
        }
        for bad in [
            "",
            "https://chatgpt.com",
            "chatgpt.com/cb",
            "*.chatgpt.com",
            "chat gpt.com",
            "chatgpt",
            "https:",
            "cur sor:",
            ":",
            "192.0.2.1",
            "-a.example",
            "a..example",
            "user@chatgpt.com",
            "chatgpt.com:443",
            &format!("{}.example", "a".repeat(64)),
            &"a.".repeat(200),
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
