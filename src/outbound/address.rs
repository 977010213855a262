//! Which addresses are nobody's but the network's own (RFC 6890 and the rest of spec row K-02).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether no request of ours may go there: anything that is not plain global unicast.
pub(super) fn is_special_use(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_special_use_v4(address),
        IpAddr::V6(address) => is_special_use_v6(address),
    }
}

fn is_special_use_v4(address: Ipv4Addr) -> bool {
    const NETWORKS: [(Ipv4Addr, u32); 15] = [
        (Ipv4Addr::new(0, 0, 0, 0), 8),       // this network
        (Ipv4Addr::new(10, 0, 0, 0), 8),      // private
        (Ipv4Addr::new(100, 64, 0, 0), 10),   // shared by carriers
        (Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback
        (Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local, cloud metadata
        (Ipv4Addr::new(172, 16, 0, 0), 12),   // private
        (Ipv4Addr::new(192, 0, 0, 0), 24),    // protocol assignments
        (Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation
        (Ipv4Addr::new(192, 88, 99, 0), 24),  // 6to4 relays
        (Ipv4Addr::new(192, 168, 0, 0), 16),  // private
        (Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarks
        (Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
        (Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation
        (Ipv4Addr::new(224, 0, 0, 0), 4),     // multicast
        (Ipv4Addr::new(240, 0, 0, 0), 4),     // reserved, broadcast
    ];
    NETWORKS
        .iter()
        .any(|(network, length)| (address.to_bits() ^ network.to_bits()) >> (32 - length) == 0)
}

fn is_special_use_v6(address: Ipv6Addr) -> bool {
    const fn within(address: Ipv6Addr, network: Ipv6Addr, length: u32) -> bool {
        (address.to_bits() ^ network.to_bits()) >> (128 - length) == 0
    }
    // Global unicast is 2000::/3. Everything else falls here: loopback, mapped and translated
    // IPv4 (::ffff/96, 64:ff9b::/96), unique local, link-local, multicast.
    !within(address, Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3)
        || within(address, Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23) // protocols, Teredo
        || within(address, Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32) // documentation
        || within(address, Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16) // 6to4
        || within(address, Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20) // documentation
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECIAL: &str = "\
        0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.127.255.255 127.0.0.1 \
        127.255.0.1 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.2.1 192.88.99.1 \
        192.168.1.1 198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1 \
        239.255.255.255 240.0.0.1 255.255.255.255 :: ::1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 \
        ::127.0.0.1 64:ff9b::7f00:1 64:ff9b:1::1 100::1 2001::1 2001:db8::1 2002:7f00:1:: \
        3fff::1 5f00::1 fc00::1 fdff::1 fe80::1 fec0::1 ff02::1";
    const PUBLIC: &str = "\
        1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 172.15.255.255 \
        172.32.0.0 198.17.255.255 198.20.0.0 223.255.255.255 2606:4700::1111 2a00:1450::1 \
        2001:4860:4860::8888";

    /// [K-02] One address of each class, and the edges of those that have neighbours.
    #[test]
    fn every_class_of_special_address_is_known() {
        for special in SPECIAL.split_whitespace() {
            assert!(is_special_use(special.parse().unwrap()), "{special}");
        }
        for public in PUBLIC.split_whitespace() {
            assert!(!is_special_use(public.parse().unwrap()), "{public}");
        }
    }
}
