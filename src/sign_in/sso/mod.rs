//! Signing in through a tenant's own OpenID provider: OpenID Connect Core 1.0 §3.1, with PKCE.
//!
//! 1. An owner of the tenant names the provider (`settings`), which is asked who it is before
//!    anything is saved (`discovery`).
//! 2. The sign-in page names the provider's host. Its button posts to us (`begin`): what has begun
//!    is stored, and only then does the browser get a cookie and go there (spec row C-10).
//! 3. It comes back (`callback`) to an address that belongs to this tenant alone, so that another
//!    tenant's provider cannot answer in this one's place (RFC 9700 §4.4). What was begun is spent,
//!    whatever follows.
//! 4. The code is exchanged over the guarded way out (`upstream`) and the ID token believed or not
//!    (`id_token`).
//! 5. The identity is the issuer and subject (S-09). Once, an address that the provider has
//!    verified finds the member whom they belong to; nobody's account is made (`admission`).
//! 6. A session begins that opens this tenant and nothing else: a provider is its tenant's to
//!    choose, so its word counts in no other, and gives no rights over the account as a whole.

mod admission;
pub(super) mod begin;
pub(super) mod callback;
mod discovery;
mod id_token;
mod refusal;
pub mod settings;
mod store;
mod store_links;
mod upstream;

use crate::{
    config::PublicUrl,
    fault::Fault,
    ids::TenantId,
    jose::published::PublishedKeys,
    limits::Limits,
    outbound::Outbound,
    secret::{derive::DerivationKey, seal::MasterKey},
};

use super::Gate;

pub(super) use store::{Choice, choice, purge};

/// What a column and row of the provider's secret are called for sealing.
const SECRET_PLACE: &str = "tenant_sso_providers/client_secret_sealed";

/// What sign-in through providers needs. Clones share.
#[derive(Clone, Debug)]
pub struct Sso {
    gate: Gate,
    outbound: Outbound,
    master_key: MasterKey,
    /// What nonces and PKCE verifiers follow from.
    derivation: DerivationKey,
    keys: PublishedKeys,
}

impl Sso {
    /// Over the guarded way out.
    #[must_use]
    pub fn new(gate: Gate, master_key: MasterKey, outbound: &Outbound, limits: &Limits) -> Self {
        let outbound = outbound.by_admins();
        Self {
            keys: PublishedKeys::new(&outbound, limits, &gate.clock),
            derivation: master_key.derivation_key("callslip sign-in through a provider"),
            gate,
            outbound,
            master_key,
        }
    }

    /// What the tenant's admin registers at the provider.
    #[must_use]
    pub fn redirect_uri(&self, slug: &str) -> String {
        redirect_uri(&self.gate.public_url, slug)
    }

    /// Where the tenant's members find its button.
    #[must_use]
    pub fn link(&self, slug: &str) -> String {
        format!("{}/sign-in?tenant={slug}", self.gate.public_url.as_str())
    }
}

fn redirect_uri(public_url: &PublicUrl, slug: &str) -> String {
    format!("{}/sign-in/sso/callback/{slug}", public_url.as_str())
}

/// A tenant's provider.
#[derive(Clone, Debug)]
struct Provider {
    tenant: TenantId,
    slug: String,
    tenant_name: String,
    revision: uuid::Uuid,
    issuer: String,
    client_id: String,
    client_secret_sealed: Vec<u8>,
    secret_in_body: bool,
    sends_iss: bool,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
}

/// The host of an address, for people.
fn host(address: &str) -> String {
    let url = url::Url::parse(address).ok();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

/// An address that was checked before it was stored.
fn stored_url(address: &str) -> Result<url::Url, Fault> {
    url::Url::parse(address).map_err(|_| Fault::new("a stored address of a provider is none"))
}
