//! The authorization server: OAuth 2.1 with PKCE, resource indicators and dynamic registration.

pub mod access_token;
pub mod apps;
mod keys;
pub mod liveness;
pub mod resource;
pub mod scope;
mod store_apps;
mod store_keys;
mod store_liveness;

use access_token::Verifier;
use liveness::Liveness;
use resource::Resources;

use crate::{clock::Clock, config::PublicUrl, db::Db, fault::Fault, secret::seal::MasterKey};

/// What the authorization server needs to run.
#[derive(Clone)]
pub struct Settings {
    /// Postgres, the primary.
    pub db: Db,
    /// The time.
    pub clock: Clock,
    /// The issuer.
    pub public_url: PublicUrl,
    /// Seals the signing keys.
    pub master_key: MasterKey,
    /// How long an access token lives.
    pub access_token_minutes: u8,
    /// Multiplies every rate limit.
    pub rate_limit_scale: f64,
}

/// The authorization server, ready to mount.
#[derive(Clone)]
pub struct Server {
    verifier: Verifier,
    liveness: Liveness,
    resources: Resources,
}

impl Server {
    /// Read or make the signing keys, and start answering.
    ///
    /// # Errors
    /// When the database does not answer, or the master key does not open the signing keys.
    pub async fn start(settings: Settings) -> Result<Self, Fault> {
        let Settings { db, clock, public_url, master_key, .. } = settings;
        let keys = keys::Keys::load(&db, &master_key, &clock).await?;
        Ok(Self {
            verifier: Verifier::new(keys, public_url.as_str(), clock.clone()),
            liveness: Liveness::start(&db, &clock),
            resources: Resources::new(&public_url),
        })
    }

    /// For the protected resource: is this an access token of ours?
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        self.verifier.clone()
    }

    /// For the protected resource: does its grant still live?
    #[must_use]
    pub fn liveness(&self) -> Liveness {
        self.liveness.clone()
    }

    /// For the protected resource: which audience, and where is its metadata?
    #[must_use]
    pub fn resources(&self) -> Resources {
        self.resources.clone()
    }
}
