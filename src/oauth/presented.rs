//! An access token as a request presents it, and what it says of the sender before the database is
//! asked: RFC 6750, RFC 9449 §7.1.

use std::{fmt, sync::Arc};

use axum::{
    extract::Request,
    http::{HeaderMap, header},
};

use super::{
    access_token::{Claims, Verifier},
    challenge::{Reason, Scheme},
    dpop::{Dpop, Proof, Refused, Target},
};

const MISSING: Refused =
    Refused::Proof("a DPoP header with a proof must come with an access token of this scheme");
const ANOTHER_KEY: Refused =
    Refused::Proof("the DPoP proof is signed with another key than the token is bound to");

/// A token as it was presented.
pub struct Presented {
    /// Under which scheme.
    pub scheme: Scheme,
    pub(crate) token: String,
}

impl fmt::Debug for Presented {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Presented").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

impl Presented {
    /// The token of the one `Authorization` header. A token in the query is not looked at: OAuth 2.1
    /// §5.1.
    ///
    /// # Errors
    ///
    /// When there is none, or more than one.
    pub fn in_headers(headers: &HeaderMap) -> Result<Self, Reason> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = values.next() else { return Err(Reason::TokenMissing) };
        if values.next().is_some() {
            return Err(Reason::InvalidRequest("more than one Authorization header"));
        }
        let (scheme, token) = match value.to_str() {
            Ok(text) => text.trim().split_once(' ').unwrap_or((text.trim(), "")),
            Err(_) => return Err(Reason::InvalidToken),
        };
        let scheme = match scheme {
            _ if scheme.eq_ignore_ascii_case("Bearer") => Scheme::Bearer,
            _ if scheme.eq_ignore_ascii_case("DPoP") => Scheme::Dpop,
            _ => return Err(Reason::TokenMissing),
        };
        Ok(Self { scheme, token: token.trim_start().to_owned() })
    }

    /// What the token says: see [`Verifier::verify`].
    pub async fn claims(&self, verifier: &Verifier) -> Option<Arc<Claims>> {
        verifier.verify(&self.token).await
    }

    /// The same, where the token is presented as it must be: RFC 9449 §7.1, §7.2. Whether its grant
    /// lives, whether it is for this resource, and whether the proof was used before, is for the
    /// caller to ask.
    ///
    /// # Errors
    ///
    /// When it is not one of ours, or comes without the proof that it needs.
    pub fn identify(
        &self,
        claims: Option<Arc<Claims>>,
        request: &Request,
        dpop: &Dpop,
    ) -> Result<Identity, Reason> {
        let (method, path, headers) = (request.method(), request.uri().path(), request.headers());
        let claims = claims.ok_or(Reason::InvalidToken)?;
        let proof = match (self.scheme, &claims.cnf) {
            (Scheme::Bearer, None) => None,
            (Scheme::Dpop, Some(bound)) => {
                let target = Target { method, path, access_token: Some(&self.token) };
                let proof = dpop.check(headers, &target).map_err(Reason::Proof)?;
                let proof = proof.ok_or(Reason::Proof(MISSING))?;
                if proof.jkt() != bound.jkt {
                    return Err(Reason::Proof(ANOTHER_KEY));
                }
                Some(proof)
            }
            // A bound token without its key is stolen, and a proof next to any other says nothing.
            (Scheme::Bearer, Some(_)) | (Scheme::Dpop, None) => return Err(Reason::InvalidToken),
        };
        Ok(Identity { claims, proof })
    }
}

/// What a request says of its sender, checked without the database.
#[derive(Debug)]
pub struct Identity {
    /// What the token says.
    pub claims: Arc<Claims>,
    /// There for a token that is bound to a key, and only then.
    pub proof: Option<Proof>,
}
