//! How clients prove who they are: OAuth 2.1 §2.4.
//!
//! In two phases. [`present`] reads what a request presents and holds no transaction: an assertion's
//! signature is checked there, since the client's keys may have to be fetched. [`Presented::prove`]
//! decides in the transaction that acts on it: the secret is compared, or the assertion spent, so
//! that what failed on our side can be sent again. [`Presented::settle`] spends it with a refusal.
//!
//! An address that failed ten times within a minute for one client waits, whether the client
//! exists or not. Whoever fails to name a client, its method or its secret reads one sentence.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv6Addr},
};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::{
    Server,
    client::{AuthMethod, Client},
    client_assertion::{self, Assertion},
    client_document,
    client_keys::Found,
    error::{Error, ErrorCode, Refusal, refuse},
    parameters::Parameters,
    store_clients, store_proofs,
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
    network: IpAddr,
}

impl<S: Sync> FromRequestParts<S> for Sender {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, Infallible> {
        let network = limits::by_address(&parts.extensions).unwrap_or(Ipv6Addr::UNSPECIFIED.into());
        Ok(Self { headers: parts.headers.clone(), network })
    }
}

/// What a request presents, before anybody looked whether it is true.
struct Credentials<'a> {
    client_id: String,
    method: AuthMethod,
    claim: Claim<'a>,
}

enum Claim<'a> {
    Secret(Option<String>),
    Assertion(Box<Assertion<'a>>),
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
}

/// Read who is calling, and check what can be checked without a transaction.
pub(super) async fn present<'a>(
    server: &'a Server,
    sender: &Sender,
    parameters: &Parameters,
) -> Result<Presented<'a>, Error> {
    let credentials = credentials(&sender.headers, parameters, server.clock.now())?;
    let attempt = Failing {
        server,
        attempt: (Sha256::digest(&credentials.client_id).into(), sender.network),
        by_basic: credentials.method == AuthMethod::ClientSecretBasic,
    };
    if let Err(limited) = server.failed_clients.check(&attempt.attempt) {
        return Err(Error::TooMany { retry_after: limited.retry_after });
    }
    let Credentials { client_id, method, claim } = credentials;
    let proof = match claim {
        Claim::Secret(secret) => Proof::Secret { client_id, secret, method },
        Claim::Assertion(assertion) => attempt.verify(&assertion).await?,
    };
    Ok(Presented { attempt, proof })
}

impl Presented<'_> {
    /// Find out whether it is true.
    pub(super) async fn prove(&self, tx: &mut ControlTx) -> Result<AuthenticatedClient, Error> {
        match &self.proof {
            Proof::Secret { client_id, secret, method } => {
                let client = store_clients::find(tx, client_id).await?;
                // An unknown client costs the same as a wrong secret.
                let stored = client.as_ref().and_then(|client| client.secret_hash);
                let proven = is_proven(secret.as_deref(), stored, *method);
                client
                    .filter(|client| proven && client.accepts(*method))
                    .map(AuthenticatedClient)
                    .ok_or_else(|| self.attempt.failed(UNKNOWN))
            }
            Proof::Assertion { client, digest, forgotten_at } => {
                if store_proofs::use_once(tx, digest, *forgotten_at).await? {
                    Ok(AuthenticatedClient(Client::clone(client)))
                } else {
                    Err(self.attempt.failed("the client assertion was already used"))
                }
            }
        }
    }

    /// Spend the assertion of a request that was refused, too: its transaction did not.
    pub(super) async fn settle<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        if let (Err(Error::Refused(_)), Proof::Assertion { digest, forgotten_at, .. }) =
            (&outcome, &self.proof)
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
        self.server.failed_clients.record(self.attempt);
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
        if assertion.audience() != Some(self.server.public_url.as_str()) {
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

    /// In transactions of its own, which end before anything is fetched. The document of a client
    /// that is known is read again when it is due: its keys may have changed.
    async fn find(&self, client_id: &str) -> Result<Option<Client>, Error> {
        if client_document::is_url(client_id) {
            return Ok(client_document::refresh_known(self.server, client_id).await?.ok());
        }
        let mut tx = self.server.db.control().await?;
        Ok(store_clients::find(&mut tx, client_id).await?)
    }
}

const UNKNOWN: &str = "the client is unknown, or did not authenticate in the way it registered";

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

/// OAuth 2.1 §2.4: a client must not use more than one method in a request.
fn credentials<'a>(
    headers: &HeaderMap,
    parameters: &'a Parameters,
    now: OffsetDateTime,
) -> Result<Credentials<'a>, Error> {
    let in_body = parameters.find("client_id");
    let secret_in_body = parameters.find("client_secret");
    let asserted = is_assertion(parameters)?;
    let mut authorization = headers.get_all(header::AUTHORIZATION).iter();
    let in_header = authorization.next();
    let ways = [in_header, authorization.next()].iter().flatten().count()
        + usize::from(secret_in_body.is_some())
        + usize::from(asserted.is_some());
    if ways > 1 {
        return Err(refuse(
            ErrorCode::InvalidRequest,
            "more than one way of client authentication in one request",
        ));
    }
    if let Some(text) = asserted {
        return by_assertion(text, in_body, now);
    }
    let Some(value) = in_header else {
        let client_id =
            in_body.ok_or(refuse(ErrorCode::InvalidClient, "client_id is missing"))?.to_owned();
        let method = match secret_in_body {
            Some(_) => AuthMethod::ClientSecretPost,
            None => AuthMethod::None,
        };
        let claim = Claim::Secret(secret_in_body.map(str::to_owned));
        return Ok(Credentials { client_id, method, claim });
    };
    let (client_id, secret) =
        value.to_str().ok().and_then(parse_basic).ok_or(Error::BasicRefused(Refusal {
            error: ErrorCode::InvalidClient,
            error_description: UNKNOWN,
        }))?;
    if in_body.is_some_and(|in_body| in_body != client_id) {
        return Err(refuse(ErrorCode::InvalidRequest, "client_id differs between header and body"));
    }
    // Some public clients send their id by Basic, with nothing behind the colon.
    let method = if secret.is_some() { AuthMethod::ClientSecretBasic } else { AuthMethod::None };
    Ok(Credentials { client_id, method, claim: Claim::Secret(secret) })
}

/// RFC 7521 §4.2: the two parameters come together, and there is one type.
fn is_assertion(parameters: &Parameters) -> Result<Option<&str>, Error> {
    let wrong = |description| Err(refuse(ErrorCode::InvalidClient, description));
    match (parameters.find("client_assertion"), parameters.find("client_assertion_type")) {
        (None, None) => Ok(None),
        (None, Some(_)) => wrong("client_assertion is missing"),
        (Some(text), Some(client_assertion::TYPE)) => Ok(Some(text)),
        (Some(_), _) => wrong(
            "client_assertion_type must be urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
    }
}

/// RFC 7523 §3: the assertion names the client; `client_id` need not be sent.
fn by_assertion<'a>(
    text: &'a str,
    in_body: Option<&str>,
    now: OffsetDateTime,
) -> Result<Credentials<'a>, Error> {
    let assertion = client_assertion::read(text, now)
        .map_err(|description| refuse(ErrorCode::InvalidClient, description))?;
    let client_id = assertion.client_id().to_owned();
    if in_body.is_some_and(|in_body| in_body != client_id) {
        return Err(refuse(
            ErrorCode::InvalidClient,
            "client_id differs from sub of the client assertion",
        ));
    }
    let claim = Claim::Assertion(Box::new(assertion));
    Ok(Credentials { client_id, method: AuthMethod::PrivateKeyJwt, claim })
}

/// RFC 6749 §2.3.1: both halves are url-encoded before they are joined.
fn parse_basic(value: &str) -> Option<(String, Option<String>)> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let joined = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (client_id, secret) = joined.split_once(':')?;
    let secret = form_decode(secret)?;
    Some((form_decode(client_id)?, (!secret.is_empty()).then_some(secret)))
}

/// One url-encoded value.
fn form_decode(text: &str) -> Option<String> {
    if text.contains(['&', '=']) {
        // Not encoded as it should be; what we issue needs no encoding, so take it as it is.
        return Some(text.to_owned());
    }
    let mut pairs = url::form_urlencoded::parse(text.as_bytes());
    let decoded = pairs.next().map(|(name, _)| name.into_owned()).unwrap_or_default();
    pairs.next().is_none().then_some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(text: &str) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    #[test]
    fn basic_credentials_are_url_decoded() {
        assert_eq!(
            parse_basic(&basic("a%3Ab:p%25+q")),
            Some(("a:b".to_owned(), Some("p% q".to_owned())))
        );
        assert_eq!(parse_basic(&basic("a:")), Some(("a".to_owned(), None)));
        let lower = basic("a:b").replace("Basic", "bAsIc");
        assert_eq!(parse_basic(&lower), Some(("a".to_owned(), Some("b".to_owned()))));
        for bad in ["Basic", "Basic !!!", "Bearer abc", &basic("no colon"), "Basic /w=="] {
            assert_eq!(parse_basic(bad), None, "{bad}");
        }
    }

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
