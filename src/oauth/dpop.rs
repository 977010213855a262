//! DPoP: tokens that are worth nothing without a key that the client keeps (RFC 9449).
//!
//! A client that wants it signs a proof for each request with a key of its own. At the token
//! endpoint the proof's key is written into the grant and into its tokens (`binding`); at the
//! resource the token counts only next to a proof by the same key. Nobody has to: a token is bound
//! where the client shows a proof, and must be where the client registered so
//! (`dpop_bound_access_tokens`) or the tenant demands it.
//!
//! A proof holds for one request: for its method and URL, for a minute, with a nonce of ours
//! (`nonce`), and once, which the shared store says ([`Dpop::spend`]).

pub(super) mod binding;
pub(super) mod nonce;
pub(super) mod proof;

use std::{fmt, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method},
    middleware::Next,
    response::Response,
};

use super::{
    error::{Error, ErrorCode, refuse},
    store_proofs,
};
use crate::{
    clock::Clock,
    config::PublicUrl,
    db::{Class, ControlTx, Db},
    fault::Fault,
    jose::jws::Algorithm,
    secret::derive::DerivationKey,
};
use nonce::Nonces;
pub use proof::Proof;

/// Where proofs come.
const HEADER: HeaderName = HeaderName::from_static("dpop");
/// Where nonces go out.
const NONCE_HEADER: HeaderName = HeaderName::from_static("dpop-nonce");

/// Why a proof does not hold. The sentences hold neither quote nor backslash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// `invalid_dpop_proof`, and what is wrong.
    Proof(&'static str),
    /// `use_dpop_nonce`: it lacks a nonce that is good now.
    Nonce,
}

impl Refused {
    /// The error code: RFC 9449 §12.2.
    #[must_use]
    pub const fn code(self) -> &'static str {
        self.error().as_str()
    }

    /// What was wrong, for the client's developer.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Proof(description) => description,
            Self::Nonce => "the DPoP proof must carry the nonce of the DPoP-Nonce header",
        }
    }

    const fn error(self) -> ErrorCode {
        match self {
            Self::Proof(_) => ErrorCode::InvalidDpopProof,
            Self::Nonce => ErrorCode::UseDpopNonce,
        }
    }

    /// As the token endpoint answers it.
    pub(super) const fn refusal(self) -> Error {
        refuse(self.error(), self.description())
    }
}

/// Shown before: the sentence is the same wherever it happens.
pub const USED: Refused =
    Refused::Proof("the DPoP proof was used before: sign a new one for each request");

/// The request that a proof must be for.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its path, without the query.
    pub path: &'a str,
    /// The access token next to it, at a resource.
    pub access_token: Option<&'a str>,
}

/// Checks proofs.
#[derive(Clone)]
pub struct Dpop {
    db: Db,
    clock: Clock,
    origin: Arc<str>,
    nonces: Nonces,
}

impl fmt::Debug for Dpop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dpop").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl Dpop {
    pub(super) fn new(db: &Db, clock: &Clock, public_url: &PublicUrl, key: DerivationKey) -> Self {
        Self {
            db: db.of(Class::Check),
            clock: clock.clone(),
            origin: public_url.as_str().into(),
            nonces: Nonces::new(key),
        }
    }

    /// The signature algorithms, as metadata and challenges list them.
    #[must_use]
    pub fn algorithms() -> Vec<&'static str> {
        Algorithm::ALL.iter().map(|one| one.as_str()).collect()
    }

    /// Check the proof of a request, if it shows one. That it was not shown before is asked by
    /// [`Dpop::spend`].
    ///
    /// # Errors
    /// When it is not a proof for this request.
    pub fn check(
        &self,
        headers: &HeaderMap,
        target: &Target<'_>,
    ) -> Result<Option<Proof>, Refused> {
        let mut shown = headers.get_all(HEADER).iter();
        let Some(value) = shown.next() else { return Ok(None) };
        if shown.next().is_some() {
            return Err(Refused::Proof("there must be one DPoP header, not several"));
        }
        let text = value.to_str().map_err(|_| proof::MALFORMED)?;
        proof::check(text, &self.origin, target, (&self.nonces, self.clock.now())).map(Some)
    }

    /// The proof of a POST to one of our own endpoints, if it shows one.
    pub(super) fn check_at_endpoint(
        &self,
        headers: &HeaderMap,
        path: &str,
    ) -> Result<Option<Proof>, Error> {
        let target = Target { method: &Method::POST, path, access_token: None };
        self.check(headers, &target).map_err(Refused::refusal)
    }

    /// Use up a proof; `false` when somebody did before, here or at another node.
    ///
    /// # Errors
    /// When the database does not say: the caller must refuse.
    pub async fn spend(&self, proof: &Proof) -> Result<bool, Fault> {
        let mut tx = self.db.control().await?;
        let is_first = use_once(&mut tx, proof).await?;
        tx.commit().await?;
        Ok(is_first)
    }

    /// Use up the proof of a request that was refused, too: its transaction did not, and whoever
    /// picks the proof up must not have it.
    pub(super) async fn settle<T>(
        &self,
        proof: Option<&Proof>,
        outcome: Result<T, Error>,
    ) -> Result<T, Error> {
        if let (Err(error), Some(proof)) = (&outcome, proof)
            && error.is_final()
        {
            self.spend(proof).await?;
        }
        outcome
    }

    /// Tell a client that uses DPoP which nonce its next proof must carry: RFC 9449 §8.2.
    pub fn offer_nonce(&self, headers: &mut HeaderMap) {
        let nonce = HeaderValue::from_str(&self.nonces.current(self.clock.now()));
        headers.insert(NONCE_HEADER, nonce.expect("base64url"));
    }
}

/// Use up the proof of a request, if it showed one, when its transaction is committed.
pub(super) async fn spend(tx: &mut ControlTx, proof: Option<&Proof>) -> Result<(), Error> {
    match proof {
        Some(proof) if !use_once(tx, proof).await? => Err(USED.refusal()),
        Some(_) | None => Ok(()),
    }
}

async fn use_once(tx: &mut ControlTx, proof: &Proof) -> sqlx::Result<bool> {
    store_proofs::use_once(tx, proof.digest(), proof.expires_at()).await
}

/// Middleware: whoever shows a proof, good or bad, is told the nonce of the next one.
pub(super) async fn tell_nonce(State(dpop): State<Dpop>, request: Request, next: Next) -> Response {
    let is_shown = request.headers().contains_key(HEADER);
    let mut response = next.run(request).await;
    if is_shown {
        dpop.offer_nonce(response.headers_mut());
    }
    response
}
