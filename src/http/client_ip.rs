//! Where a request came from: the peer, unless the peer is a proxy that we trust.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::HeaderMap,
    middleware::Next,
    response::Response,
};

use crate::{
    config::Network,
    problems::{Kind, Problems},
};

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The client's address, IPv4-mapped form undone. In every request's extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientIp(pub IpAddr);

impl ClientIp {
    /// What limits count by and logs show: the address, or for IPv6 its /64.
    #[must_use]
    pub fn network(self) -> IpAddr {
        match self.0 {
            IpAddr::V4(_) => self.0,
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
        }
    }

    /// What audit keeps: the /24 or /48 around it.
    #[must_use]
    pub fn prefix(self) -> String {
        match self.0 {
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                format!("{a}.{b}.{c}.0/24")
            }
            IpAddr::V6(ip) => {
                let [a, b, c, ..] = ip.segments();
                format!("{}/48", Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0))
            }
        }
    }
}

/// In the extensions of a request from a network that many people share who are not one another's:
/// where a hosted assistant calls from for all its users.
#[derive(Clone, Copy, Debug)]
pub struct SharedEgress;

/// Whose word on addresses we take, and whom we tell when somebody else gives theirs.
#[derive(Clone, Debug)]
pub struct Proxies {
    /// The configured ones.
    pub trusted: Arc<[Network]>,
    /// Where hosted assistants call from.
    pub shared_egress: Arc<[Network]>,
    /// Hears of others.
    pub problems: Problems,
}

/// Middleware: find the client's address (spec row W-12).
pub async fn resolve(State(proxies): State<Proxies>, mut request: Request, next: Next) -> Response {
    let peer = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip());
    let (headers, trusted) = (request.headers(), &*proxies.trusted);
    let address = client_address(peer, headers, trusted);
    if headers.contains_key(FORWARDED_FOR) && !is_in(peer, trusted) {
        proxies.problems.record(Kind::Proxy, &neighbour(peer));
    }
    request.extensions_mut().insert(ClientIp(address));
    if is_in(address, &proxies.shared_egress) {
        request.extensions_mut().insert(SharedEgress);
    }
    next.run(request).await
}

fn is_in(ip: IpAddr, trusted: &[Network]) -> bool {
    trusted.iter().any(|network| network.contains(ip))
}

/// A machine of ours by its address; anybody else by the network around them.
fn neighbour(peer: IpAddr) -> String {
    let is_ours = match peer.to_canonical() {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_loopback() || ip.is_unicast_link_local(),
    };
    let peer = peer.to_canonical();
    if is_ours { peer.to_string() } else { ClientIp(peer).prefix() }
}

/// The rightmost `X-Forwarded-For` entry that no trusted proxy wrote about another one. What a
/// client forged stands to its left.
pub(crate) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let mut address = peer.to_canonical();
    let entries: Vec<&str> = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    for entry in entries.into_iter().rev() {
        if !is_in(address, trusted) {
            break;
        }
        match entry.trim().parse::<IpAddr>() {
            Ok(ip) => address = ip.to_canonical(),
            Err(_) => break,
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted: Vec<Network> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        client_address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    /// [W-12] Forged entries count for nothing; the rightmost untrusted one is the client.
    #[test]
    fn only_trusted_proxies_are_believed() {
        assert_eq!(address("192.0.2.1", &["10.9.9.9"], &[]), "192.0.2.1");
        assert_eq!(
            address("10.0.0.1", &["1.1.1.1, 198.51.100.7"], &["10.0.0.0/8"]),
            "198.51.100.7"
        );
        assert_eq!(
            address("10.0.0.1", &["1.1.1.1", "198.51.100.7, 10.0.0.2"], &["10.0.0.0/8"]),
            "198.51.100.7"
        );
        assert_eq!(address("10.0.0.1", &["junk"], &["10.0.0.0/8"]), "10.0.0.1");
        assert_eq!(address("::ffff:192.0.2.9", &[], &[]), "192.0.2.9");
        let v6 = ClientIp("2001:db8:1:2:3:4:5:6".parse().unwrap());
        assert_eq!(v6.network().to_string(), "2001:db8:1:2::");
        assert_eq!(v6.prefix(), "2001:db8:1::/48");
    }
}
