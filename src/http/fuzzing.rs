//! What fuzzers feed: headers that every request has.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr},
};

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{client_ip::client_address, cookies::Cookie};

/// Each line is one more value of a header.
fn lines(name: &HeaderName, bytes: &[u8]) -> HeaderMap {
    let values = bytes.split(|byte| *byte == b'\n').filter_map(|line| {
        let value = HeaderValue::from_bytes(line).ok()?;
        Some((name.clone(), value))
    });
    values.collect()
}

/// A cookie that is read stood there once, and in full.
pub(crate) fn cookies(bytes: &[u8]) {
    let headers = lines(&header::COOKIE, bytes);
    for cookie in [Cookie::Session, Cookie::Browser] {
        for https in [false, true] {
            let Some(secret) = cookie.read(&headers, https) else { continue };
            let text = String::from_utf8_lossy(bytes);
            assert!(text.contains(secret.expose()));
            let set = cookie.set(&secret, https, 1);
            assert!(set.to_str().is_ok_and(|set| set.contains(secret.expose())));
        }
    }
}

/// Nobody gets an address that neither they nor a trusted proxy have.
pub(crate) fn forwarded_for(bytes: &[u8]) {
    let headers = lines(&HeaderName::from_static("x-forwarded-for"), bytes);
    let trusted =
        ["10.0.0.0/8".parse().expect("a network"), "fd00::/8".parse().expect("a network")];
    let proxy: IpAddr = Ipv4Addr::new(10, 0, 0, 1).into();
    let stranger: IpAddr = Ipv4Addr::new(192, 0, 2, 1).into();
    assert_eq!(client_address(stranger, &headers, &trusted), stranger);
    assert_eq!(client_address(proxy, &headers, &[]), proxy);

    let named: BTreeSet<IpAddr> = headers
        .values()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|entry| entry.trim().parse::<IpAddr>().ok())
        .map(|address| address.to_canonical())
        .collect();
    let found = client_address(proxy, &headers, &trusted);
    assert!(found == proxy || named.contains(&found));
}
