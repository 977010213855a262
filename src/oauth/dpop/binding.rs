//! Which key the tokens of a grant are bound to: RFC 9449 §5, §10.
//!
//! `demanded` says throughout that the tenant demands bound tokens.

use crate::{
    db::ControlTx,
    oauth::{
        client::Client,
        dpop::Proof,
        error::{Error, ErrorCode, refuse},
        store_grants::{self, Grant},
    },
};

/// What a client is told that must show a proof and showed none.
const NEEDED: Error = refuse(
    ErrorCode::InvalidDpopProof,
    "a DPoP proof is needed: the client registered for bound tokens, or the tenant demands them",
);
const ANOTHER_KEY: Error = refuse(
    ErrorCode::InvalidGrant,
    "the grant is bound to a key: send a DPoP proof that is signed with it",
);
const TOO_OLD: Error = refuse(
    ErrorCode::InvalidGrant,
    "the tenant has come to demand bound tokens, and this grant is not bound: connect again",
);

/// A client that registered for bound tokens never gets others.
pub(in crate::oauth) fn require_registered(
    client: &Client,
    proof: Option<&Proof>,
) -> Result<(), Error> {
    if client.dpop_bound && proof.is_none() { Err(NEEDED) } else { Ok(()) }
}

/// At code exchange: the grant is bound to the proof's key from now on. Where the authorization
/// request named a key already, it must be that one.
pub(in crate::oauth) async fn bind(
    tx: &mut ControlTx,
    grant: &mut Grant,
    named: Option<&str>,
    (proof, demanded): (Option<&Proof>, bool),
) -> Result<(), Error> {
    match (named.or(grant.dpop_jkt.as_deref()), proof) {
        (Some(named), Some(proof)) if named == proof.jkt() => {}
        (Some(_), _) => return Err(ANOTHER_KEY),
        (None, None) if demanded => return Err(NEEDED),
        (None, None) => return Ok(()),
        (None, Some(_)) => {}
    }
    grant.dpop_jkt = proof.map(|proof| proof.jkt().to_owned());
    store_grants::bind(tx, grant).await?;
    Ok(())
}

/// At refresh: a bound grant stays bound, to the same key. One that was bought without a proof
/// stays as it is, or whoever found its refresh token could make it their own by binding it; next
/// to a proof it buys a bound access token.
pub(in crate::oauth) fn keep(
    grant: &mut Grant,
    proof: Option<&Proof>,
    demanded: bool,
) -> Result<(), Error> {
    match (grant.dpop_jkt.as_deref(), proof) {
        (Some(bound), Some(proof)) if bound == proof.jkt() => Ok(()),
        (Some(_), _) => Err(ANOTHER_KEY),
        (None, Some(_)) if demanded => Err(TOO_OLD),
        (None, _) => bind_token(grant, proof, demanded),
    }
}

/// For one access token, and nothing that outlives it: its key is that of this request's proof.
pub(in crate::oauth) fn bind_token(
    grant: &mut Grant,
    proof: Option<&Proof>,
    demanded: bool,
) -> Result<(), Error> {
    if demanded && proof.is_none() {
        return Err(NEEDED);
    }
    grant.dpop_jkt = proof.map(|proof| proof.jkt().to_owned());
    Ok(())
}
