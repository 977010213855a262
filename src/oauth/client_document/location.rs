//! Addresses that may describe a client: the draft's "Client Identifier", spec row K-01.

use url::Url;

/// The longest, in characters.
const LONGEST: usize = 256;

/// A `client_id` that is the address of a document.
///
/// There is one spelling of it: what is not written as a URL parser would write it is no address
/// at all, so that comparing bytes is comparing addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::oauth) struct Location(Url);

impl Location {
    /// https, a host, a path, and nothing else. The draft's SHOULD NOT on queries is a MUST NOT
    /// here: whoever finds a page that answers with what its query says could speak in that
    /// host's name.
    pub(in crate::oauth) fn parse(client_id: &str) -> Option<Self> {
        if client_id.len() > LONGEST || !client_id.starts_with("https://") {
            return None;
        }
        let url = Url::parse(client_id).ok()?;
        let host = url.host_str()?;
        let is_plain = url.as_str() == client_id
            && !client_id.contains(['@', '?', '#', '\\'])
            && url.path() != "/"
            && url.port() != Some(0)
            && !host.ends_with('.');
        is_plain.then_some(Self(url))
    }

    pub(in crate::oauth) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    pub(super) const fn url(&self) -> &Url {
        &self.0
    }

    pub(super) fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// Host, port and the first step of the path: who speaks there.
    pub(super) fn place(&self) -> &str {
        let text = self.as_str();
        let path = text.len() - self.0.path().len();
        let end = text[path + 1..].find('/').map_or(text.len(), |end| path + 1 + end + 1);
        &text[..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [K-01] What is no address of a document.
    #[test]
    fn only_plain_https_addresses_with_a_path_are_taken() {
        for bad in [
            "",
            "https://",
            "https://a.example",
            "https://a.example/",
            "http://a.example/client.json",
            "HTTPS://a.example/client.json",
            "ftp://a.example/client.json",
            "https:a.example/client.json",
            "https:///a.example/client.json",
            "https://A.example/client.json",
            "https://a.example:443/client.json",
            "https://a.example:0/client.json",
            "https://a.example:70000/client.json",
            "https://a.example./client.json",
            "https://a.example/./client.json",
            "https://a.example/x/../client.json",
            "https://a.example/x/..",
            "https://a.example/%2e%2e/client.json",
            "https://a.example/.%2E/client.json",
            "https://a.example/client.json#a",
            "https://a.example/client.json#",
            "https://a.example/client.json?a=b",
            "https://a.example/client.json?",
            "https://u@a.example/client.json",
            "https://u:p@a.example/client.json",
            "https://@a.example/client.json",
            "https://a.example\\client.json",
            "https://a.example/a\\b",
            "https://a.example/a b",
            "https://a.example/\tclient.json",
            " https://a.example/client.json",
            "https://a.example/client.json\n",
            "https://ä.example/client.json",
            "https://a.example/ä",
            "https://127.1/client.json",
            "https://0x7f000001/client.json",
            "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        ] {
            assert_eq!(Location::parse(bad), None, "{bad:?}");
        }
        let longest = format!("https://a.example/{}", "x".repeat(256 - 18));
        assert!(Location::parse(&longest).is_some());
        assert!(Location::parse(&format!("{longest}x")).is_none());
    }

    #[test]
    fn what_the_assistants_use_is_taken() {
        for (good, place) in [
            ("https://chatgpt.com/oauth/client.json", "https://chatgpt.com/oauth/"),
            ("https://chatgpt.com/oauth/plugin_1-a~b/client.json", "https://chatgpt.com/oauth/"),
            ("https://vscode.dev/oauth/client-metadata.json", "https://vscode.dev/oauth/"),
            ("https://a.example:8443/client", "https://a.example:8443/client"),
            ("https://xn--4ca.example/%C3%A4", "https://xn--4ca.example/%C3%A4"),
            ("https://a.example/.well-known/client..json", "https://a.example/.well-known/"),
        ] {
            let location = Location::parse(good).expect(good);
            assert_eq!((location.as_str(), location.place()), (good, place));
        }
    }
}
