//! A message on its way from the node it was posted to, to the node that holds the stream.
//!
//! Sealed under the master key, which all nodes share: no dead row or dump shows a question, and
//! whoever can write to the table but does not have the key speaks in nobody's name.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Inner,
    session::{Delivery, Posted},
};
use crate::{
    audit::Origin,
    db::TenantScope,
    fault::Fault,
    mcp::{
        caller::Caller,
        dispatch::Asker,
        jsonrpc::{self, Message},
    },
    oauth::{access_token::Claims, challenge::Scheme},
    secret::{SecretHash, seal::MasterKey},
};

/// Who posted it, as the gate there found.
#[derive(Deserialize, Serialize)]
struct Sender {
    claims: Claims,
    /// No claim, and so not among them.
    kid: String,
    shows_proof: bool,
    metadata_url: String,
    request: Option<Uuid>,
    address: String,
}

/// The sender in one line, and the message as it was posted.
pub(super) fn seal(
    key: &MasterKey,
    session: &SecretHash,
    asker: &Asker,
    message: &[u8],
) -> Vec<u8> {
    let (claims, _) = asker.caller.proof();
    let sender = Sender {
        claims: claims.clone(),
        kid: claims.kid.clone(),
        shows_proof: asker.caller.scheme() == Scheme::Dpop,
        metadata_url: asker.metadata_url.clone(),
        request: asker.origin.request,
        address: asker.origin.address.clone(),
    };
    let mut letter = serde_json::to_vec(&sender).expect("a struct with text keys serialises");
    letter.push(b'\n');
    letter.extend_from_slice(message);
    key.seal(&letter, &context(asker.caller.scope(), session))
}

/// Read a letter to `session`; `None` when its sender's token has died since, or may not write to
/// this session after all.
pub(super) async fn open(
    inner: &Inner,
    scope: TenantScope,
    session: &SecretHash,
    sealed: &[u8],
) -> Result<Option<Posted>, Fault> {
    let letter = inner.master_key.open(sealed, &context(scope, session))?;
    let end = letter.iter().position(|byte| *byte == b'\n').unwrap_or(letter.len());
    let (sender, message) = letter.split_at(end);
    let Sender { mut claims, kid, shows_proof, metadata_url, request, address } =
        serde_json::from_slice(sender)?;
    claims.kid = kid;
    if claims.tenant != scope.tenant_id() {
        return Err(Fault::new("a letter names another tenant"));
    }
    let message = jsonrpc::parse(message);
    let scheme = if shows_proof { Scheme::Dpop } else { Scheme::Bearer };
    let caller = Caller::proved(Arc::new(claims), scheme, &inner.liveness, &inner.clock).await?;
    let Some(caller) = caller else { return Ok(None) };
    let origin = Origin { request, address };
    let asker = Asker { caller, origin, metadata_url, notes: None };
    match message {
        Ok(Message::Request(request)) => Ok(Some(Posted::Request(Delivery { asker, request }))),
        Ok(Message::Cancelled(id)) => Ok(Some(Posted::Cancel(asker, id))),
        _ => Err(Fault::new("a letter holds nothing to do")),
    }
}

/// A letter opens for the session that it was sealed for, and for no other.
fn context(scope: TenantScope, session: &SecretHash) -> String {
    let mut context = format!("sse_messages/{}/", scope.tenant_id());
    for byte in session.as_bytes() {
        context.push_str(&format!("{byte:02x}"));
    }
    context
}
