//! How clients prove who they are: OAuth 2.1 §2.4.
//!
//! In two phases. [`present`] reads what a request presents and holds no transaction: an assertion's
//! signature is checked there, since the client's keys may have to be fetched. [`Presented::prove`]
//! decides in the transaction that acts on it: the secret is compared, or the assertion spent, so
//! that what failed on our side can be sent again. [`Presented::settle`] spends it with a refusal.
//!
//! An address that failed ten times within a minute for one client waits, whether the client
//! exists or not. Whoever fails to name a client, its method or its secret reads one sentence.

pub(super) mod credentials;

use std::{convert::Infallible, net::IpAddr};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request},
};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use credentials::{Claim, Credentials};

use super::{
    Server,
    client::{AuthMethod, Client},
    client_assertion::Assertion,
    client_document::{self, AssertionAudience, Behalf},
    client_keys::Found,
    error::{Error, ErrorCode, Refusal, refuse},
    parameters::Parameters,
    store_clients, store_proofs, token,
};
use crate::{
    db::ControlTx,
    limits::{self, Policy},
    secret::{Kind, Plaintext, SecretHash},
};

/// Failures of one client at one address.
pub(super) const FAILURES: Policy = Policy { name: "client", per_minute: 10, burst: 10 };

/// What failures are counted by: a digest of the client's id, so that nobody chooses how much is
/// kept, and the network.
pub(super) type Attempt = ([u8; 32], IpAddr);

/// A client that has proved who it is, or a public one that cannot and need not.
#[derive(Debug)]
pub(super) struct AuthenticatedClient(pub(super) Client);

/// Who sends a request, as far as the request says.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) headers: HeaderMap,
    pub(super) network: IpAddr,
}

impl<S: Sync> FromRequestParts<S> for Sender {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self { headers: parts.headers.clone(), network: limits::network(&parts.extensions) })
    }
}

/// What a request presents, as far as that can be told without the transaction that acts on it.
pub(super) struct Presented<'a> {
    attempt: Failing<'a>,
    proof: Proof,
}

enum Proof {
    /// To be compared with the client's.
    Secret { client_id: String, secret: Option<String>, method: AuthMethod },
    /// Of this client, and in order; to be spent.
    Assertion { client: Box<Client>, digest: [u8; 32], forgotten_at: OffsetDateTime },
}

/// An attempt that may fail, and is then counted.
struct Failing<'a> {
    server: &'a Server,
    attempt: Attempt,
    by_basic: bool,
    /// Counted as a failure until it turns out not to be one.
    reserved: Option<limits::Attempt<Attempt>>,
}

/// Read who is calling, and check what can be checked without a transaction.
pub(super) async fn present<'a>(
    server: &'a Server,
    sender: &Sender,
    parameters: &Parameters,
) -> Result<Presented<'a>, Error> {
    let credentials = credentials::read(&sender.headers, parameters, server.clock.now())?;
    let mut attempt = Failing {
        server,
        attempt: (Sha256::digest(&credentials.client_id).into(), sender.network),
        by_basic: credentials.method == AuthMethod::ClientSecretBasic,
        reserved: None,
    };
    // Without a secret there is none to guess, and others' failures are not a public client's.
    if credentials.method != AuthMethod::None {
        let reserved = server.failed_clients.attempt(attempt.attempt).await;
        let reserved =
            reserved.map_err(|limited| Error::TooMany { retry_after: limited.retry_after })?;
        attempt.reserved = Some(reserved);
    }
    let Credentials { client_id, method, claim } = credentials;
    let proof = match claim {
        Claim::Secret(secret) => {
            // What it may still do, its document says.
            if client_document::is_url(&client_id) && attempt.find(&client_id).await?.is_none() {
                return Err(attempt.failed(UNKNOWN));
            }
            Proof::Secret { client_id, secret, method }
        }
        Claim::Assertion(assertion) => attempt.verify(&assertion).await?,
    };
    Ok(Presented { attempt, proof })
}

impl Presented<'_> {
    /// Find out whether it is true.
    pub(super) async fn prove(&self, tx: &mut ControlTx) -> Result<AuthenticatedClient, Error> {
        let client = match &self.proof {
            Proof::Secret { client_id, secret, method } => {
                let client = store_clients::find(tx, client_id).await?;
                // An unknown client costs the same as a wrong secret.
                let stored = client.as_ref().and_then(|client| client.secret_hash);
                let proven = is_proven(secret.as_deref(), stored, *method);
                client
                    .filter(|client| proven && client.accepts(*method))
                    .ok_or_else(|| self.attempt.failed(UNKNOWN))?
            }
            Proof::Assertion { client, digest, forgotten_at } => {
                // Finding its keys may have taken a while.
                let current = store_clients::find(tx, &client.client_id)
                    .await?
                    .filter(|current| current.accepts(AuthMethod::PrivateKeyJwt))
                    .filter(|current| {
                        (&current.jwks, &current.jwks_uri) == (&client.jwks, &client.jwks_uri)
                    })
                    .ok_or_else(|| self.attempt.failed(UNKNOWN))?;
                if !store_proofs::use_once(tx, digest, *forgotten_at).await? {
                    return Err(self.attempt.failed("the client assertion was already used"));
                }
                current
            }
        };
        // A back end ends on the day that its admin chose, whatever it asks for.
        let now = self.attempt.server.clock.now();
        if client.service.as_ref().is_some_and(|rights| rights.expires_at <= now) {
            return Err(self.attempt.failed(EXPIRED));
        }
        Ok(AuthenticatedClient(client))
    }

    /// Spend the assertion of a request that was refused, too: its transaction did not.
    pub(super) async fn settle<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        if let (Err(error), Proof::Assertion { digest, forgotten_at, .. }) = (&outcome, &self.proof)
            && error.is_final()
        {
            let mut tx = self.attempt.server.db.control().await?;
            store_proofs::use_once(&mut tx, digest, *forgotten_at).await?;
            tx.commit().await?;
        }
        outcome
    }
}

impl Failing<'_> {
    /// Count it. What it says about clients is the same for those that exist and those that do not.
    fn failed(&self, error_description: &'static str) -> Error {
        match &self.reserved {
            Some(reserved) => reserved.failed(),
            None => self.server.failed_clients.record(self.attempt),
        }
        let refusal = Refusal { error: ErrorCode::InvalidClient, error_description };
        if self.by_basic { Error::BasicRefused(refusal) } else { Error::Refused(refusal) }
    }

    /// RFC 7523 §3: signed by the client that it names, and for us.
    async fn verify(&self, assertion: &Assertion<'_>) -> Result<Proof, Error> {
        let Some(client) = self.find(assertion.client_id()).await? else {
            return Err(self.failed(UNKNOWN));
        };
        let registered = client.metadata.get("token_endpoint_auth_signing_alg");
        if !client.accepts(AuthMethod::PrivateKeyJwt)
            || registered.is_some_and(|name| name != assertion.algorithm.as_str())
        {
            return Err(self.failed(UNKNOWN));
        }
        let keys = &self.server.client_keys;
        match keys.find(&client, assertion.kid(), assertion.algorithm).await {
            Found::Key(key) if assertion.is_signed_by(&key) => {}
            Found::Key(_) | Found::Nothing => return Err(self.failed(UNKNOWN)),
            Found::Unreachable => {
                return Err(refuse(
                    ErrorCode::TemporarilyUnavailable,
                    "the keys at the jwks_uri of the client could not be read: try again soon",
                ));
            }
        }
        if !assertion.audience().is_some_and(|audience| self.is_us(audience, &client)) {
            return Err(self.failed(
                "aud of the client assertion must be the issuer of this server and nothing else",
            ));
        }
        Ok(Proof::Assertion {
            client: Box::new(client),
            digest: assertion.digest(),
            forgotten_at: assertion.forgotten_at(),
        })
    }

    /// Whether an assertion of this client may be meant for `audience`: the issuer, or what its
    /// pinned document is known to name instead.
    fn is_us(&self, audience: &str, client: &Client) -> bool {
        let issuer = self.server.public_url.as_str();
        client_document::assertion_audiences(&client.client_id).iter().any(|known| match known {
            AssertionAudience::Issuer => audience == issuer,
            AssertionAudience::TokenEndpoint => audience.strip_prefix(issuer) == Some(token::PATH),
        })
    }

    /// In transactions of its own, which end before anything is fetched. The document of a client
    /// that is known is read again when it is due: its keys may have changed.
    async fn find(&self, client_id: &str) -> Result<Option<Client>, Error> {
        if client_document::is_url(client_id) {
            let behalf = Behalf::Stranger(self.attempt.1);
            return Ok(client_document::refresh_known(self.server, client_id, behalf).await?.ok());
        }
        let mut tx = self.server.db.control().await?;
        Ok(store_clients::find(&mut tx, client_id).await?)
    }
}

const UNKNOWN: &str = "the client is unknown, or did not authenticate in the way it registered";

const EXPIRED: &str = "the client has expired: an admin of its tenant can make a new one";

/// In constant time; a stand-in is compared where nothing is stored.
fn is_proven(presented: Option<&str>, stored: Option<SecretHash>, method: AuthMethod) -> bool {
    let presented = presented.map(|text| Plaintext::presented(Kind::ClientSecret, text));
    let nothing = SecretHash::from_stored(&[0; 32]).expect("32 bytes");
    match (presented, stored) {
        // A client with a secret may also be registered for another method; never for none.
        (None, _) => method == AuthMethod::None,
        (Some(None), _) => false,
        (Some(Some(secret)), stored) => {
            let equal = secret.hash() == stored.unwrap_or(nothing);
            equal && stored.is_some()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_stored_secret_proves_anything() {
        let secret = Plaintext::generate(Kind::ClientSecret);
        let other = Plaintext::generate(Kind::ClientSecret);
        let proves = |presented, stored| is_proven(presented, stored, AuthMethod::ClientSecretPost);
        assert!(proves(Some(secret.expose()), Some(secret.hash())));
        assert!(!proves(Some(other.expose()), Some(secret.hash())));
        assert!(!proves(Some("x"), Some(secret.hash())));
        assert!(!proves(Some(secret.expose()), None));
        assert!(!proves(None, Some(secret.hash())));
        assert!(is_proven(None, None, AuthMethod::None));
    }
}
