//! Which `Host` we answer for: a name that leads to us without our knowing is a way around the
//! same-origin policy (spec rows H-01, M-06).

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use axum::{
    extract::{Request, State},
    http::{StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{
    config::PublicUrl,
    problems::{Kind, Problems},
};

const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Our own name.
#[derive(Clone, Debug)]
pub struct Host {
    name: Arc<str>,
    port: Arc<str>,
    default_port: &'static str,
    is_loopback: bool,
}

impl Host {
    /// The public URL's.
    #[must_use]
    pub fn new(public_url: &PublicUrl) -> Self {
        let default_port = if public_url.is_https() { "443" } else { "80" };
        let (name, port) = split_port(public_url.authority());
        Self {
            name: name.into(),
            port: port.unwrap_or(default_port).into(),
            default_port,
            is_loopback: LOOPBACK.contains(&name),
        }
    }

    /// Whether a `Host` names us. Ours, with its port or without a default one; on a loopback
    /// installation, any of the loopback names.
    fn is_ours(&self, authority: &str) -> bool {
        let (host, port) = split_port(authority);
        let known = host.eq_ignore_ascii_case(&self.name)
            || (self.is_loopback && LOOPBACK.iter().any(|name| host.eq_ignore_ascii_case(name)));
        known && port.unwrap_or(self.default_port) == &*self.port
    }

    /// The name by which we are asked and that is not ours.
    fn other<'a>(&self, request: &'a Request) -> Option<&'a str> {
        let named = request.headers().get(header::HOST).map(|value| value.to_str().unwrap_or("?"));
        let authority = request.uri().authority().map(Authority::as_str);
        [named, authority].into_iter().flatten().find(|name| !self.is_ours(name))
    }
}

/// Whether `host[:port]` is this device.
#[must_use]
pub fn is_loopback(authority: &str) -> bool {
    LOOPBACK.contains(&split_port(authority).0)
}

/// Whether this is only somebody who goes through all addresses there are: no proxy's inner name,
/// and nobody's link.
fn is_public_address(authority: &str) -> bool {
    let (host, _) = split_port(authority);
    let inside = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match inside.unwrap_or(host).parse() {
        Ok(IpAddr::V4(ip)) => !(ip.is_private() || ip.is_loopback() || ip.is_link_local()),
        Ok(IpAddr::V6(ip)) => {
            let is_local = ip.is_unique_local() || ip.is_unicast_link_local();
            !(is_local || ip == Ipv6Addr::LOCALHOST)
        }
        Err(_) => false,
    }
}

/// Whether it could be a name at all: what is recorded is shown to people.
fn is_plain(authority: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".:-[]".contains(&byte);
    !authority.is_empty() && authority.bytes().all(is_plain)
}

/// `host[:port]`, also for an IPv6 address in brackets.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    let inside = authority.rfind(']').map_or(0, |end| end + 1);
    match authority[inside..].rfind(':') {
        Some(colon) => (&authority[..inside + colon], Some(&authority[inside + colon + 1..])),
        None => (authority, None),
    }
}

/// Middleware: see the module. Probes ask by address; what they hear is the same for everybody.
pub async fn check(
    State((host, problems)): State<(Host, Problems)>,
    request: Request,
    next: Next,
) -> Response {
    if !matches!(request.uri().path(), "/livez" | "/readyz")
        && let Some(other) = host.other(&request)
    {
        if is_plain(other) && !is_public_address(other) {
            problems.record(Kind::Host, other);
        }
        return misdirected();
    }
    next.run(request).await
}

fn misdirected() -> Response {
    let plain = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    let message = "This server does not answer for that host.\n";
    (StatusCode::MISDIRECTED_REQUEST, plain, message).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [H-01] Hosts that are not ours are told apart, whatever their spelling.
    #[test]
    fn only_our_own_hosts_are_ours() {
        let public = Host::new(&"https://docs.example.com".parse().unwrap());
        for host in ["docs.example.com", "docs.example.com:443", "Docs.Example.Com"] {
            assert!(public.is_ours(host), "{host}");
        }
        for host in ["docs.example.com:80", "evil.example", "localhost", "docs.example.com.", ""] {
            assert!(!public.is_ours(host), "{host}");
        }
        for (host, public) in [
            ("203.0.113.7:8080", true),
            ("[2001:db8::7]", true),
            ("10.0.0.7:8700", false),
            ("127.0.0.1:8700", false),
            ("[::1]:8700", false),
            ("backend:8700", false),
        ] {
            assert_eq!(is_public_address(host), public, "{host}");
        }
        for (host, plain) in [
            ("backend:8700", true),
            ("[fd00::7]:80", true),
            ("", false),
            ("?", false),
            ("<b>", false),
        ] {
            assert_eq!(is_plain(host), plain, "{host}");
        }
        let local = Host::new(&"http://127.0.0.1:8700".parse().unwrap());
        for host in ["127.0.0.1:8700", "localhost:8700", "[::1]:8700"] {
            assert!(local.is_ours(host), "{host}");
        }
        for host in ["127.0.0.1", "localhost:9000", "evil.example:8700", "127.0.0.1.evil:8700"] {
            assert!(!local.is_ours(host), "{host}");
        }
    }
}
