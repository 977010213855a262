//! The authorization server: OAuth 2.1 with PKCE, resource indicators and dynamic registration.
//!
//! The flow, as its functions number it:
//!
//! 1. A client that was turned away at `/mcp` reads the metadata of the resource and of this server
//!    (`metadata`: RFC 9728, RFC 8414).
//! 2. It registers itself (`register`: RFC 7591), where the operator lets it (`policy`), and looks
//!    after its registration (`manage`: RFC 7592).
//! 3. The browser comes to `/oauth/authorize`, with the request or with the name of one that the
//!    client pushed (`par`: RFC 9126); the request is checked against what the client registered
//!    (`authorization_request`, `redirect_uri`, `pkce`, `scope`, `resource`).
//! 4. It is stored; the browser keeps nothing but its name. It signs in where needed.
//! 5. The user sees who asks for what (`consent`), or why it cannot be granted (`refused`) …
//! 6. … and narrows, approves or denies it. A grant and a code come of it.
//! 7. 303 to the client with `code`, `state` and `iss` (RFC 9207).
//! 8. The client authenticates at `/oauth/token` (`token`, `client`).
//! 9. The code is redeemed once (`grants::authorization_code`) …
//! 10. … for an access token (`access_token`: RFC 9068) and a refresh token, bound to a key of the
//!     client's where it shows one (`dpop`: RFC 9449).
//! 11. On every call the resource verifies the token and asks whether its grant lives (`liveness`);
//!     resource servers elsewhere ask the same of us (`introspect`: RFC 7662).
//! 12. Refresh tokens rotate (`grants::refresh_token`); anybody who may revokes (`revoke`, `grants`).
//! 13. What is over is forgotten (`sweep`), and the keys that sign take turns (`keys`, `rotation`).
//!
//! A tenant's back ends have no user: an admin makes their clients (`services`), and they buy access
//! tokens with their credentials alone (`grants::client_credentials`).
//!
//! The rules that matter most: a [`redirect_uri::ReturnPath`] exists only where a registered URI
//! matched; what must outlive a refusal is committed before it; a grant is locked before its codes
//! and tokens are touched.

pub mod access_token;
mod app_key;
mod app_rules;
pub mod approvals;
pub mod apps;
mod asker;
mod authorization_request;
mod authorize;
pub mod challenge;
mod client;
mod client_assertion;
mod client_auth;
mod client_document;
mod client_keys;
mod client_metadata;
mod client_name;
mod consent;
mod consent_page;
mod declined;
pub mod dpop;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod grants;
mod introspect;
mod json;
mod jwks;
mod key_metadata;
mod keys;
pub mod liveness;
mod manage;
mod metadata;
mod not_a_member;
mod par;
mod parameters;
mod pending;
mod pkce;
pub mod place;
mod policy;
pub mod presented;
mod redirect_uri;
mod refused;
mod register;
pub mod resource;
mod revoke;
pub mod rotation;
mod routes;
pub mod scope;
pub mod services;
mod store_approvals;
mod store_apps;
mod store_clients;
mod store_grants;
mod store_introspect;
mod store_keys;
mod store_liveness;
mod store_proofs;
mod store_pushed;
mod store_registrations;
mod store_requests;
mod store_services;
mod store_sweep;
mod store_tenant_policy;
mod store_tokens;
mod store_unresolved;
mod sweep;
pub mod tenant_policy;
mod token;
mod turns;
mod unresolved;

use std::fmt;

pub use sweep::forget_clients;

use axum::extract::FromRef;
use time::Duration;

use access_token::Verifier;
use client_keys::ClientKeys;
use dpop::Dpop;
use keys::Keys;
use liveness::Liveness;
use policy::Policy;
use resource::Resources;
use rotation::Rotation;
use turns::Turns;

use crate::{
    clock::Clock,
    config::{Clients, PublicUrl},
    db::{Class, Db},
    fault::Fault,
    http::Mounted,
    limits::{Failures, Limits},
    outbound::Outbound,
    problems::Problems,
    secret::{derive::DerivationKey, seal::MasterKey},
    sign_in::Gate,
};

/// What the authorization server needs to run.
#[derive(Clone)]
pub struct Settings {
    /// The primary database, the time, and the origin: the issuer.
    pub gate: Gate,
    /// Seals the signing keys, and leads from each refresh token to the next.
    pub master_key: MasterKey,
    /// How long an access token lives.
    pub access_token_minutes: u8,
    /// Which clients the installation takes.
    pub clients: Clients,
    /// How long a key signs until the sweep publishes its successor.
    pub signing_key_days: u16,
    /// Counts requests by address.
    pub limits: Limits,
    /// The way to clients' own documents and keys.
    pub outbound: Outbound,
    /// Told what is wrong with the installation.
    pub problems: Problems,
}

/// The authorization server, ready to mount.
#[derive(Clone)]
pub struct Server {
    gate: Gate,
    db: Db,
    clock: Clock,
    public_url: PublicUrl,
    access_token_life: Duration,
    keys: Keys,
    rotation: Rotation,
    signing_key_days: u16,
    refresh_key: DerivationKey,
    dpop: Dpop,
    verifier: Verifier,
    liveness: Liveness,
    resources: Resources,
    policy: Policy,
    limits: Limits,
    problems: Problems,
    client_keys: ClientKeys,
    failed_clients: Failures<client_auth::Attempt>,
    documents: client_document::Reader,
    turns: Turns,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("public_url", &self.public_url).finish_non_exhaustive()
    }
}

impl FromRef<Server> for Gate {
    fn from_ref(server: &Server) -> Self {
        server.gate.clone()
    }
}

impl FromRef<Server> for PublicUrl {
    fn from_ref(server: &Server) -> Self {
        server.public_url.clone()
    }
}

impl Server {
    /// Read or make the signing keys, and start answering.
    ///
    /// # Errors
    /// When the database does not answer, or the master key does not open the signing keys.
    pub async fn start(settings: Settings) -> Result<Self, Fault> {
        let Settings { gate, master_key, access_token_minutes, limits, outbound, .. } = settings;
        let Gate { db, clock, public_url } = gate.clone();
        let keys = Keys::start(&db, &master_key, &clock).await?;
        let documents =
            client_document::Reader::new(db.clone(), clock.clone(), outbound.clone(), &limits);
        Ok(Self {
            documents,
            turns: Turns::default(),
            verifier: Verifier::new(keys.clone(), &public_url, &clock, &settings.problems),
            liveness: Liveness::start(&db, &clock),
            resources: Resources::new(&public_url).reporting_to(&settings.problems),
            problems: settings.problems,
            refresh_key: master_key.derivation_key("callslip refresh token"),
            dpop: Dpop::new(
                &db,
                &clock,
                &public_url,
                master_key.derivation_key("callslip dpop nonce"),
            ),
            access_token_life: Duration::minutes(access_token_minutes.into()),
            policy: Policy::new(settings.clients),
            client_keys: ClientKeys::new(&outbound, &limits, &clock),
            failed_clients: limits.failures(client_auth::FAILURES, &clock),
            rotation: Rotation { db: db.clone(), clock: clock.clone(), master_key },
            signing_key_days: settings.signing_key_days,
            keys,
            limits,
            gate,
            db,
            clock,
            public_url,
        })
    }

    /// Every endpoint, mounted.
    #[must_use]
    pub fn routes(&self) -> Mounted {
        routes::routes(self.clone())
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

    /// For the protected resource: is this a proof for that request?
    #[must_use]
    pub fn dpop(&self) -> Dpop {
        self.dpop.clone()
    }

    /// For whoever finds that the fault is the installation's.
    #[must_use]
    pub const fn problems(&self) -> &Problems {
        &self.problems
    }

    /// For the protected resource: which audience, and where is its metadata?
    #[must_use]
    pub fn resources(&self) -> Resources {
        self.resources.clone()
    }

    /// Forget what has been over for long enough: requests, codes, tokens, grants, and clients that
    /// nobody uses. And let the signing keys go their way. Call it every hour or so.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn sweep(&self) -> Result<(), Fault> {
        let swept = sweep::sweep(&self.db.of(Class::Work), self.clock.now()).await;
        // Whatever became of that: a key that is due must not wait for it.
        if self.rotation.tend(self.signing_key_days).await? {
            self.keys.reload().await?;
        }
        swept
    }
}
