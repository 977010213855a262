//! Which OAuth clients the installation takes.

use std::{fmt, str::FromStr};

use super::parse::Reader;
use crate::secret::Secret;

/// The shortest initial access token.
const SHORTEST_TOKEN: usize = 16;

/// How clients may become known, and how many.
#[derive(Clone, Debug)]
pub struct Clients {
    /// Who may register a client: RFC 7591.
    pub registration: Registration,
    /// Whether a URL that leads to a client's own description may be its `client_id`.
    pub documents: bool,
    /// Where clients' answers may go, and their documents be; anywhere when it is empty.
    pub hosts: Vec<ClientHost>,
    /// The most registrations by one address in an hour.
    pub registrations_per_hour: u32,
    /// The most registrations by everybody in an hour.
    pub registrations_per_hour_total: u32,
}

/// Who may register a client.
#[derive(Clone, Debug)]
pub enum Registration {
    /// Anybody.
    Open,
    /// Who has this initial access token.
    Token(Secret),
    /// Nobody.
    Off,
}

/// A place that clients' answers may go to: a host, `localhost` for every loopback address, or a
/// private-use scheme with its colon, such as `cursor:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHost(String);

impl ClientHost {
    /// In lower case, as it is compared.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClientHost {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.to_ascii_lowercase();
        let is_scheme = text.strip_suffix(':').is_some_and(|scheme| {
            scheme.starts_with(|first: char| first.is_ascii_lowercase())
                && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
                && !matches!(scheme, "http" | "https")
        });
        // A host is one that a URL parser leaves as it is: no port, no path, no wildcard.
        let is_host = || {
            !text.contains(['*', ':'])
                && url::Url::parse(&format!("https://{text}/"))
                    .is_ok_and(|url| url.host_str() == Some(&text) && url.path() == "/")
        };
        if is_scheme || is_host() { Ok(Self(text)) } else { Err("is neither a host nor a scheme") }
    }
}

impl fmt::Display for ClientHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Clients {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            registration: registration(reader),
            documents: reader.switch("CALLSLIP_CLIENT_DOCUMENTS"),
            hosts: reader.list(
                "CALLSLIP_CLIENT_HOSTS",
                "hosts such as chatgpt.com, localhost, or schemes such as cursor:",
            ),
            registrations_per_hour: reader.within("CALLSLIP_REGISTRATIONS_PER_HOUR", 1, 1_000_000),
            registrations_per_hour_total: reader.within(
                "CALLSLIP_REGISTRATIONS_PER_HOUR_TOTAL",
                1,
                10_000_000,
            ),
        }
    }
}

fn registration(reader: &mut Reader<'_>) -> Registration {
    const TOKEN: &str = "CALLSLIP_REGISTRATION_TOKEN";
    let token = reader.secret(TOKEN);
    let is_fit = |token: &Secret| {
        let text = token.expose();
        text.len() >= SHORTEST_TOKEN && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    match (reader.word("CALLSLIP_REGISTRATION", &["open", "token", "off"]), token) {
        ("token", Some(token)) => {
            if !is_fit(&token) {
                reader.problem(TOKEN, "must be 16 characters or more, printable ASCII, no blanks");
            }
            Registration::Token(token)
        }
        ("token", None) => {
            reader.problem(TOKEN, "must be set, since CALLSLIP_REGISTRATION is token");
            Registration::Off
        }
        (mode, token) => {
            if token.is_some() {
                reader.problem(TOKEN, "is asked for only where CALLSLIP_REGISTRATION is token");
            }
            if mode == "off" { Registration::Off } else { Registration::Open }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn problems(variables: &[(&str, &str)]) -> Vec<String> {
        let variables = variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Config::parse(&variables).unwrap_err().into_iter().map(|p| p.variable).collect()
    }

    #[test]
    fn every_way_is_open_by_default() {
        let clients = Config::of(&[]).clients;
        assert!(matches!(clients.registration, Registration::Open));
        assert!(clients.documents && clients.hosts.is_empty());
        let rates = (clients.registrations_per_hour, clients.registrations_per_hour_total);
        assert_eq!(rates, (60, 2000));
    }

    #[test]
    fn ways_can_be_closed() {
        let token = "0123456789abcdef";
        let clients = Config::of(&[
            ("CALLSLIP_REGISTRATION", "token"),
            ("CALLSLIP_REGISTRATION_TOKEN", token),
            ("CALLSLIP_CLIENT_DOCUMENTS", "off"),
            ("CALLSLIP_CLIENT_HOSTS", "ChatGPT.com, localhost,cursor:"),
        ])
        .clients;
        assert!(matches!(&clients.registration, Registration::Token(t) if t.expose() == token));
        assert!(!format!("{clients:?}").contains(token));
        assert!(!clients.documents);
        let hosts: Vec<&str> = clients.hosts.iter().map(ClientHost::as_str).collect();
        assert_eq!(hosts, ["chatgpt.com", "localhost", "cursor:"]);
        let off = Config::of(&[("CALLSLIP_REGISTRATION", "off")]).clients;
        assert!(matches!(off.registration, Registration::Off));
    }

    #[test]
    fn what_would_not_hold_what_it_promises_is_a_problem() {
        let token = "CALLSLIP_REGISTRATION_TOKEN";
        let mode = ("CALLSLIP_REGISTRATION", "token");
        assert_eq!(problems(&[("CALLSLIP_REGISTRATION", "yes")]), ["CALLSLIP_REGISTRATION"]);
        assert_eq!(problems(&[mode]), [token]);
        assert_eq!(problems(&[mode, (token, "short")]), [token]);
        assert_eq!(problems(&[mode, (token, "with blanks in between")]), [token]);
        // A token that nobody asks for protects nothing.
        assert_eq!(problems(&[(token, "0123456789abcdef")]), [token]);
        for (name, value) in [
            ("CALLSLIP_CLIENT_DOCUMENTS", "maybe"),
            ("CALLSLIP_REGISTRATIONS_PER_HOUR", "0"),
            ("CALLSLIP_REGISTRATIONS_PER_HOUR_TOTAL", "-1"),
            ("CALLSLIP_CLIENT_HOSTS", "https://chatgpt.com"),
            ("CALLSLIP_CLIENT_HOSTS", "chatgpt.com:443"),
            ("CALLSLIP_CLIENT_HOSTS", "*.chatgpt.com"),
            ("CALLSLIP_CLIENT_HOSTS", "chatgpt.com/x"),
            ("CALLSLIP_CLIENT_HOSTS", "https:"),
        ] {
            assert_eq!(problems(&[(name, value)]), [name], "{value}");
        }
    }
}
