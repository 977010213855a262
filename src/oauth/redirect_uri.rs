//! Redirect URIs: what may be registered, and where an answer may go.
//!
//! Three kinds (RFC 8252 §7): `https`, compared as a string; `http` on a loopback host, where the
//! port is free; a private-use scheme, compared as a string. A [`ReturnPath`] exists only once a
//! presented URI has matched a registered one, so an open redirect does not compile.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

/// The longest that may be registered.
const MAX_LENGTH: usize = 512;

/// Schemes that run or read something instead of opening an app.
const REFUSED_SCHEMES: &[&str] = &[
    "javascript",
    "data",
    "file",
    "vbscript",
    "blob",
    "about",
    "ftp",
    "ws",
    "wss",
    "intent",
    "filesystem",
    "view-source",
    "mailto",
    "tel",
    "sms",
    "jar",
    "chrome",
    "chrome-extension",
    "moz-extension",
    "resource",
    "res",
    "feed",
    "mhtml",
    "livescript",
    "mocha",
    "wyciwyg",
    "mk",
    "shell",
    "search",
    "brave",
    "smb",
    "nfs",
    "ldap",
    "ldaps",
    "ssh",
    "sftp",
    "telnet",
    "vnc",
    "rdp",
    "facetime",
    "market",
    "geo",
    "content",
    "android-app",
    "x-javascript",
];

/// Beginnings of schemes that hand an address to a browser or to a part of the system: what opens is
/// no app of its own, and a code in the address would go wherever the address says.
const REFUSED_BEGINNINGS: &[&str] = &[
    "web+",
    "ms-",
    "microsoft-edge",
    "googlechrome",
    "x-safari-",
    "firefox",
    "opera",
    "itms",
    "search-",
];

/// Why a URI may not be registered, in words for the client's developer.
pub(super) fn check_registrable(uri: &str) -> Result<(), &'static str> {
    if uri.len() > MAX_LENGTH {
        return Err("a redirect URI must not be longer than 512 characters");
    }
    // Printable ASCII without what browsers read as something else or drop.
    if !uri.bytes().all(|byte| byte.is_ascii_graphic() && !br#"\"<>^`{|}"#.contains(&byte)) {
        return Err("a redirect URI must be printable ASCII, with everything else percent-encoded");
    }
    if uri.contains('#') {
        return Err("a redirect URI must not have a fragment");
    }
    if uri.contains('*') {
        return Err("a redirect URI must not have a wildcard");
    }
    let (scheme, rest) = uri.split_once(':').ok_or("a redirect URI must be absolute")?;
    if !is_scheme(scheme) || url::Url::parse(uri).is_err() {
        return Err("a redirect URI must be a well-formed URI with a lower-case scheme");
    }
    if authority(rest).is_some_and(|authority| authority.contains('@')) {
        return Err("a redirect URI must not have user information");
    }
    match scheme {
        // A slash too many, or too few, is mended by browsers and read differently by others.
        "https" => match authority(rest) {
            Some(authority) if is_plain(uri, authority) => Ok(()),
            Some(authority) if !authority.is_empty() => {
                Err("the host of a redirect URI must be spelled as browsers show it")
            }
            _ => Err("a redirect URI must name a host"),
        },
        "http" => match Loopback::parse(uri) {
            Some(_) => Ok(()),
            None => Err("plain http is for loopback redirect URIs: 127.0.0.1, [::1], localhost"),
        },
        _ if is_refused(scheme) => Err("this scheme must not be used for redirect URIs"),
        _ if holds_web_address(rest) => {
            Err("a redirect URI of an app's own scheme must not hold a web address")
        }
        _ if rest.trim_matches('/').is_empty() => Err("a redirect URI must name a place"),
        _ => Ok(()),
    }
}

fn is_refused(scheme: &str) -> bool {
    REFUSED_SCHEMES.contains(&scheme)
        || REFUSED_BEGINNINGS.iter().any(|beginning| scheme.starts_with(beginning))
}

/// Whether `http:` or `https:` is in there, however often it was percent-encoded.
fn holds_web_address(rest: &str) -> bool {
    let mut text = rest.to_ascii_lowercase().into_bytes();
    loop {
        if [&b"http:"[..], b"https:"].iter().any(|web| text.windows(web.len()).any(|at| at == *web))
        {
            return true;
        }
        let decoded = decode(&text);
        if decoded == text {
            return false;
        }
        text = decoded;
    }
}

/// Percent-decoded once, in lower case.
fn decode(text: &[u8]) -> Vec<u8> {
    let digit = |place: usize| char::from(*text.get(place)?).to_digit(16);
    let mut decoded = Vec::with_capacity(text.len());
    let mut place = 0;
    while place < text.len() {
        let encoded = (text[place] == b'%').then(|| Some((digit(place + 1)?, digit(place + 2)?)));
        if let Some((high, low)) = encoded.flatten() {
            let byte = u8::try_from(high * 16 + low).expect("two hexadecimal digits");
            decoded.push(byte.to_ascii_lowercase());
            place += 3;
        } else {
            decoded.push(text[place]);
            place += 1;
        }
    }
    decoded
}

/// Whether the host is what a browser makes of it: not percent-encoded, not a number in disguise.
fn is_plain(uri: &str, authority: &str) -> bool {
    let (host, port) = match authority.rfind(':').filter(|colon| !authority[*colon..].contains(']'))
    {
        Some(colon) => (&authority[..colon], &authority[colon + 1..]),
        None => (authority, "443"),
    };
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    is_port
        && url::Url::parse(uri)
            .is_ok_and(|url| url.host_str().is_some_and(|read| read.eq_ignore_ascii_case(host)))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte)
        })
}

/// What stands between `//` and the next `/` or `?`.
fn authority(rest: &str) -> Option<&str> {
    rest.strip_prefix("//")?.split(['/', '?']).next()
}

/// `http://` on a loopback host, taken apart as text: no parser's idea of equality gets in.
#[derive(PartialEq, Eq)]
struct Loopback<'a> {
    host: &'a str,
    /// Path and query, from the first slash or question mark.
    rest: &'a str,
}

impl<'a> Loopback<'a> {
    fn parse(uri: &'a str) -> Option<Self> {
        let after = uri.strip_prefix("http://")?;
        let end = after.find(['/', '?', '#']).unwrap_or(after.len());
        let (authority, rest) = after.split_at(end);
        let host = ["127.0.0.1", "[::1]", "localhost"]
            .into_iter()
            .find(|host| authority.starts_with(host))?;
        let host = &authority[..host.len()];
        match authority[host.len()..].strip_prefix(':') {
            None if authority.len() == host.len() => {}
            Some(port)
                if !port.starts_with('0')
                    && port.bytes().all(|byte| byte.is_ascii_digit())
                    && port.parse::<u16>().is_ok() => {}
            _ => return None,
        }
        Some(Self { host, rest })
    }
}

/// Where the answer to an authorization request goes: a registered redirect URI of the client's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReturnPath {
    uri: String,
}

impl ReturnPath {
    /// Match what the client presented against what it registered (OAuth 2.1 §4.1.1, RFC 8252
    /// §7.3). Absent is fine where only one is registered.
    pub(super) fn matching(registered: &[String], presented: Option<&str>) -> Option<Self> {
        let uri = match (presented, registered) {
            (None, [only]) => only,
            (None, _) => return None,
            (Some(presented), _) => {
                registered.iter().find(|registered| matches(registered, presented))?;
                presented
            }
        };
        Some(Self { uri: uri.to_owned() })
    }

    /// As it was presented.
    pub(super) fn as_str(&self) -> &str {
        &self.uri
    }

    /// For people: the host that the browser goes to, or the scheme of an app on the device.
    pub(super) fn host(&self) -> String {
        host(&self.uri)
    }

    /// Whether the answer goes to a program on the user's own device.
    pub(super) fn is_on_device(&self) -> bool {
        self.scheme() != "https"
    }

    /// The scheme, which is safe to put into a header.
    pub(super) fn scheme(&self) -> &str {
        self.uri.split(':').next().unwrap_or_default()
    }

    /// Send the browser there, with these parameters in its query: 303, so that nothing that was
    /// posted to us is posted on (spec row A-13).
    pub(super) fn answer(&self, parameters: &[(&str, &str)]) -> Response {
        let location = HeaderValue::from_str(&self.location(parameters))
            .expect("registered URIs and queries are ASCII");
        (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
    }

    /// The address, with these parameters in its query.
    pub(super) fn location(&self, parameters: &[(&str, &str)]) -> String {
        let mut location = self.uri.clone();
        if !location.contains('?') {
            location.push('?');
        } else if !location.ends_with(['?', '&']) {
            location.push('&');
        }
        let query =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        location.push_str(&query);
        location
    }
}

/// For people: where a redirect URI leads.
pub(super) fn host(uri: &str) -> String {
    match uri.split(':').next().unwrap_or_default() {
        "https" | "http" => {
            let url = url::Url::parse(uri).ok();
            url.as_ref().and_then(url::Url::host_str).unwrap_or_default().to_owned()
        }
        scheme => format!("{scheme}:"),
    }
}

/// For lists of places: the host, `localhost` for every loopback address, or the scheme of an app on
/// the device with its colon.
pub(super) fn place(uri: &str) -> String {
    let host = host(uri);
    if crate::http::host::is_loopback(&host) { "localhost".to_owned() } else { host }
}

fn matches(registered: &str, presented: &str) -> bool {
    if registered == presented {
        return true;
    }
    match (Loopback::parse(registered), Loopback::parse(presented)) {
        // Without a port, or with another one; host, path and query to the letter.
        (Some(registered), Some(presented)) => {
            registered == presented && presented.rest.bytes().all(|byte| byte.is_ascii_graphic())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
