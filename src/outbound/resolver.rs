//! Names to vetted addresses: looked up once, and what was vetted is what is dialled.

use std::{io, net::SocketAddr, sync::Arc};

use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::address::is_special_use;

/// Looks a host name up. A parameter, so that tests answer for the network. A port that is not 0
/// takes the place of the scheme's own, where the URL names none.
pub type Lookup =
    Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// The system's resolver.
#[must_use]
pub fn system() -> Lookup {
    Arc::new(|host| {
        Box::pin(async move { Ok(tokio::net::lookup_host((host.as_str(), 0)).await?.collect()) })
    })
}

/// The name leads to an address that is not public.
#[derive(Debug, thiserror::Error)]
#[error("the name leads to an address that is not public")]
pub(super) struct NotPublic;

/// A [`Lookup`] that refuses a name if any of its addresses is special-use.
pub(super) struct Vetting {
    pub(super) lookup: Lookup,
    /// For hosts that the operator allows wherever they are.
    pub(super) anywhere: bool,
}

impl Resolve for Vetting {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = Arc::clone(&self.lookup);
        let anywhere = self.anywhere;
        Box::pin(async move {
            let addresses = lookup(name.as_str().to_owned()).await?;
            // Any, not all: a name with one public address and one private one is an attack.
            if !anywhere && addresses.iter().any(|address| is_special_use(address.ip())) {
                return Err(NotPublic.into());
            }
            // The connector puts the URL's port in place of 0.
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
