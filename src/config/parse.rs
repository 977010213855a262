//! From text to final types, collecting what is wrong.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
    sync::Arc,
};

use super::{LogFormat, Problem, VARIABLES};
use crate::secret::Secret;

/// The installation's origin: `https://host[:port]`, or `http` on a loopback host.
///
/// Kept as the text that was given, since it is the issuer and compared byte for byte
/// (`url::Url` would add a slash).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(Arc<str>);

impl PublicUrl {
    /// Without trailing slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether browsers reach it over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// `host[:port]`, as a `Host` header carries it.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.0.split_once("://").map_or("", |(_, authority)| authority)
    }
}

impl FromStr for PublicUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = url::Url::parse(text).map_err(|_| "must be an origin such as https://host")?;
        let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        match url.scheme() {
            "https" => {}
            "http" if loopback => {}
            _ => return Err("must be https, or http on a loopback host"),
        }
        // The parsed origin with nothing around it must be the text again.
        if url.origin().ascii_serialization() != text {
            return Err("must be a bare origin: no path, no trailing slash, lower case");
        }
        Ok(Self(text.into()))
    }
}

/// A block of addresses, such as `10.0.0.0/8`; a single address without a slash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether `address` lies in it. IPv4-mapped IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let shift = 32 - u32::from(self.bits);
                net.to_bits().checked_shr(shift).unwrap_or(0)
                    == ip.to_bits().checked_shr(shift).unwrap_or(0)
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let shift = 128 - u32::from(self.bits);
                net.to_bits().checked_shr(shift).unwrap_or(0)
                    == ip.to_bits().checked_shr(shift).unwrap_or(0)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.parse().map_err(|_| ()))?;
        if bits > most { Err(()) } else { Ok(Self { address, bits }) }
    }
}

/// Variables that `scripts/` understands, and hands down to what it runs.
const OF_SCRIPTS: &[&str] = &["CALLSLIP_BIN", "CALLSLIP_CACHE_DIR", "CALLSLIP_VALKEY_SERVER"];

/// Reads variables and remembers what was wrong.
pub(super) struct Reader<'a> {
    variables: &'a BTreeMap<String, String>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(variables: &'a BTreeMap<String, String>) -> Self {
        let mut reader = Self { variables, problems: Vec::new() };
        for name in variables.keys().filter(|name| name.starts_with("CALLSLIP_")) {
            if !VARIABLES.iter().any(|known| known.name == name) && !OF_SCRIPTS.contains(&&**name) {
                reader.problem(name, "is not a variable that Callslip knows");
            }
        }
        reader
    }

    pub(super) fn problem(&mut self, variable: &str, problem: impl fmt::Display) {
        self.problems.push(Problem { variable: variable.to_owned(), problem: problem.to_string() });
    }

    pub(super) fn optional(&self, name: &str) -> Option<&'a str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn text(&self, name: &str) -> &'a str {
        let default = VARIABLES.iter().find(|known| known.name == name).map_or("", |v| v.default);
        self.optional(name).unwrap_or(default)
    }

    /// The variable or its default, parsed. Defaults parse, so the fallback is never seen.
    pub(super) fn parsed<T: FromStr>(&mut self, name: &str, what: &str) -> T {
        if let Ok(value) = self.text(name).parse() {
            return value;
        }
        self.problem(name, format_args!("must be {what}"));
        let default = VARIABLES.iter().find(|known| known.name == name).map_or("", |v| v.default);
        default.parse().ok().expect("a default parses")
    }

    pub(super) fn within<T>(&mut self, name: &str, least: T, most: T) -> T
    where
        T: FromStr + PartialOrd + fmt::Display + Copy,
    {
        let what = format!("a whole number from {least} to {most}");
        let value = self.parsed(name, &what);
        if value < least || value > most {
            self.problem(name, format_args!("must be {what}"));
        }
        value
    }

    pub(super) fn scale(&mut self, name: &str) -> f64 {
        let value: f64 = self.parsed(name, "a number above 0");
        if !(value > 0.0 && value <= 1e9) {
            self.problem(name, "must be a number above 0");
        }
        value
    }

    pub(super) fn secret(&self, name: &str) -> Option<Secret> {
        self.optional(name).map(|value| Secret::new(value.to_owned()))
    }

    /// The address of a Valkey or Redis, which may hold a password.
    pub(super) fn valkey(&mut self, name: &str) -> Option<Secret> {
        let url = self.secret(name)?;
        if redis::Client::open(url.expose()).is_err() || url.expose().contains('#') {
            self.problem(name, "must be an address such as rediss://:password@host:6379/0");
        }
        Some(url)
    }

    pub(super) fn list<T: FromStr>(&mut self, name: &str, what: &str) -> Vec<T> {
        let items = self.text(name).split(',').map(str::trim).filter(|item| !item.is_empty());
        let parsed: Result<Vec<T>, _> = items.map(str::parse).collect();
        parsed.unwrap_or_else(|_| {
            self.problem(name, format_args!("must be {what}, separated by commas"));
            Vec::new()
        })
    }

    pub(super) fn public_url(&mut self, name: &str, listen: SocketAddr) -> PublicUrl {
        let Some(text) = self.optional(name) else {
            if !listen.ip().is_loopback() {
                self.problem(name, "must be set, since the server does not listen on loopback");
            }
            return PublicUrl(format!("http://{listen}").into());
        };
        text.parse().unwrap_or_else(|problem| {
            self.problem(name, problem);
            PublicUrl("".into())
        })
    }

    pub(super) fn loopback(&mut self, name: &str) -> SocketAddr {
        let address: SocketAddr = self.parsed(name, "an address and port");
        if !address.ip().is_loopback() {
            self.problem(name, "must be a loopback address");
        }
        address
    }

    pub(super) fn log_format(&mut self, name: &str) -> LogFormat {
        match self.word(name, &["json", "text"]) {
            "text" => LogFormat::Text,
            _ => LogFormat::Json,
        }
    }

    /// One of a few words; the first where it is none of them.
    pub(super) fn word(&mut self, name: &str, words: &[&'static str]) -> &'static str {
        let text = self.text(name);
        words.iter().copied().find(|word| *word == text).unwrap_or_else(|| {
            self.problem(name, format_args!("must be {}", words.join(" or ")));
            words.first().copied().unwrap_or_default()
        })
    }

    pub(super) fn switch(&mut self, name: &str) -> bool {
        self.word(name, &["off", "on"]) == "on"
    }

    pub(super) fn finish<T>(self, value: T) -> Result<T, Vec<Problem>> {
        if self.problems.is_empty() { Ok(value) } else { Err(self.problems) }
    }
}
