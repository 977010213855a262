//! Clients' keys: as they registered them, or where they publish them.

use reqwest::Url;

use super::{
    client::{Client, Source},
    client_document,
};
use crate::{
    clock::Clock,
    jose::{
        jwk_set::KeySet,
        jws::Algorithm,
        published::{Place, PublishedKeys},
    },
    limits::Limits,
    outbound::Outbound,
};

pub(super) use crate::jose::published::Found;

/// Every client's keys. Clones share.
#[derive(Clone)]
pub(super) struct ClientKeys {
    published: PublishedKeys,
}

impl ClientKeys {
    pub(super) fn new(outbound: &Outbound, limits: &Limits, clock: &Clock) -> Self {
        Self { published: PublishedKeys::new(outbound, limits, clock) }
    }

    /// The client's key for a signature: the one of that name, or the only one that fits.
    pub(super) async fn find(
        &self,
        client: &Client,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Found {
        if let Some(jwks) = &client.jwks {
            let set = KeySet::read(jwks);
            let key = set.as_ref().and_then(|set| set.find(kid, algorithm));
            return key.cloned().map_or(Found::Nothing, Found::Key);
        }
        let Some(uri) = &client.jwks_uri else { return Found::Nothing };
        let place = Place { uri, party: &party(client), is_strangers: is_strangers(client) };
        self.published.find(place, kid, algorithm).await
    }
}

/// Whether anybody could have made the client: no admin did, and no well-known assistant's host.
fn is_strangers(client: &Client) -> bool {
    client.source != Source::Tenant && !client_document::is_well_known(&client.client_id)
}

/// In whose name a fetch is made: that of the host that describes the client, or of nobody.
fn party(client: &Client) -> String {
    let described_at = match client.source {
        Source::Document => Url::parse(&client.client_id).ok(),
        Source::Registration | Source::Tenant => None,
    };
    described_at.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}
