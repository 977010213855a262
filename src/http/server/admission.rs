//! Who gets a connection: a bound in all, and one for each address (spec row Q-07).

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{config::Network, http::client_ip::ClientIp};

/// Counts connections. Clones share.
#[derive(Clone, Debug)]
pub(super) struct Admission(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    total: usize,
    per_address: usize,
    trusted: Arc<[Network]>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// A connection's place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    admission: Admission,
    network: Option<IpAddr>,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// There are as many as we take.
    Total,
    /// This address has as many as one gets.
    Address,
}

impl Full {
    pub(super) fn count(self) {
        let reason = match self {
            Self::Total => "total",
            Self::Address => "address",
        };
        metrics::counter!("callslip_http_connections_refused_total", "reason" => reason)
            .increment(1);
    }
}

impl Admission {
    pub(super) fn new(total: usize, per_address: usize, trusted: Arc<[Network]>) -> Self {
        Self(Arc::new(Shared { total, per_address, trusted, open: Mutex::default() }))
    }

    pub(super) fn admit(&self, peer: IpAddr) -> Result<Slot, Full> {
        let peer = peer.to_canonical();
        let is_proxy = self.0.trusted.iter().any(|network| network.contains(peer));
        let network = (!is_proxy).then(|| ClientIp(peer).network());
        let mut open = self.open();
        if open.total >= self.0.total {
            return Err(Full::Total);
        }
        if let Some(network) = network {
            let count = open.by_network.entry(network).or_default();
            if *count >= self.0.per_address {
                return Err(Full::Address);
            }
            *count += 1;
        }
        open.total += 1;
        metrics::gauge!("callslip_http_connections").increment(1);
        Ok(Slot { admission: self.clone(), network })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.admission.open();
        open.total -= 1;
        metrics::gauge!("callslip_http_connections").decrement(1);
        if let Some(network) = self.network
            && let Some(count) = open.by_network.get_mut(&network)
        {
            *count -= 1;
            if *count == 0 {
                open.by_network.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(admission: &Admission, peer: &str) -> Result<Slot, Full> {
        admission.admit(peer.parse().unwrap())
    }

    #[test]
    fn an_address_gets_its_share_and_proxies_bring_everybodys() {
        let trusted: Arc<[Network]> = ["10.0.0.0/8".parse().unwrap()].into();
        let admission = Admission::new(6, 2, trusted);
        let first = admit(&admission, "192.0.2.1").unwrap();
        let _second = admit(&admission, "::ffff:192.0.2.1").unwrap();
        assert_eq!(admit(&admission, "192.0.2.1").unwrap_err(), Full::Address);
        drop(first);
        let _third = admit(&admission, "192.0.2.1").unwrap();

        let _v6 = [admit(&admission, "2001:db8::1"), admit(&admission, "2001:db8::2:3")];
        assert_eq!(admit(&admission, "2001:db8::ffff").unwrap_err(), Full::Address);

        let proxies = [admit(&admission, "10.0.0.1"), admit(&admission, "10.0.0.1")];
        assert!(proxies.iter().all(Result::is_ok));
        assert_eq!(admit(&admission, "10.0.0.1").unwrap_err(), Full::Total);
        drop(proxies);
        assert!(admit(&admission, "2001:db8:0:1::1").is_ok());
    }

    #[test]
    fn an_address_that_left_is_forgotten() {
        let admission = Admission::new(10, 2, [].into());
        drop([admit(&admission, "192.0.2.1"), admit(&admission, "192.0.2.1")]);
        assert!(admission.open().by_network.is_empty());
        assert_eq!(admission.open().total, 0);
    }
}
