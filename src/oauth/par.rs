//! `POST /oauth/par`: requests that a client pushes before it sends the browser (RFC 9126).
//!
//! The client proves who it is as it does at the token endpoint, and hears at once what is wrong.
//! What it gets is a name for the request that works once, for it alone, and for a minute; the
//! browser carries nothing else.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde::Serialize;
use time::Duration;

use super::{
    Server,
    authorization_request::{LONGEST, PARAMETERS, check, return_path},
    client::Client,
    client_auth::{self, Presented, Sender},
    client_document::{self, Behalf, Unusable},
    dpop::{self, Proof},
    error::{Error, ErrorCode, refuse},
    json,
    parameters::Parameters,
    store_pushed,
};
use crate::{
    db::ControlTx,
    http::PageError,
    secret::{Kind, Plaintext},
};

/// Where the endpoint is.
pub(super) const PATH: &str = "/oauth/par";
/// What our own request URIs begin with (§2.2). Any other is never looked at.
const URN: &str = "urn:ietf:params:oauth:request_uri:";
/// How long the browser may take to bring it.
const LIVES: Duration = Duration::seconds(60);

/// RFC 9126 §2.2.
#[derive(Serialize)]
struct PushedResponse {
    request_uri: String,
    expires_in: i64,
}

pub(super) async fn push(
    State(server): State<Server>,
    sender: Sender,
    mut parameters: Parameters,
) -> Result<Response, Error> {
    // What is fetched and spent for a client is not left half done when it hangs up.
    let work = tokio::spawn(async move {
        let proof = server.dpop.check_at_endpoint(&sender.headers, PATH)?;
        let pushed = answer(&server, &sender, (&mut parameters, proof.as_ref())).await;
        server.dpop.settle(proof.as_ref(), pushed).await
    });
    Ok(json::answer(StatusCode::CREATED, HeaderMap::new(), &work.await??))
}

async fn answer(
    server: &Server,
    sender: &Sender,
    (parameters, proof): (&mut Parameters, Option<&Proof>),
) -> Result<PushedResponse, Error> {
    read_document(server, sender, parameters).await?;
    let presented = client_auth::present(server, sender, parameters).await?;
    let pushed = keep(server, &presented, (parameters, proof)).await;
    presented.settle(pushed).await
}

async fn keep(
    server: &Server,
    presented: &Presented<'_>,
    (parameters, proof): (&mut Parameters, Option<&Proof>),
) -> Result<PushedResponse, Error> {
    let mut tx = server.db.control().await?;
    let client = &presented.prove(&mut tx).await?.0;
    dpop::spend(&mut tx, proof).await?;
    if let Some(proof) = proof {
        name_key(parameters, proof)?;
    }
    let encoded = require_grantable(server, client, parameters)?;
    let secret = Plaintext::generate(Kind::PushedRequest);
    let now = server.clock.now();
    let life = (now, now + LIVES);
    store_pushed::create(&mut tx, &secret.hash(), &client.client_id, &encoded, life).await?;
    tx.commit().await?;
    Ok(PushedResponse {
        request_uri: format!("{URN}{}", secret.expose()),
        expires_in: LIVES.whole_seconds(),
    })
}

/// RFC 9449 §10.1: a proof next to a pushed request says the same as `dpop_jkt`.
fn name_key(parameters: &mut Parameters, proof: &Proof) -> Result<(), Error> {
    if parameters.find("dpop_jkt").is_some_and(|named| named != proof.jkt()) {
        return Err(refuse(
            ErrorCode::InvalidDpopProof,
            "dpop_jkt must be the thumbprint of the key that signed the DPoP proof",
        ));
    }
    parameters.put("dpop_jkt", proof.jkt());
    Ok(())
}

/// Have the client's document at hand, where it is described by one. The caller is nobody yet, and
/// hears nothing of what is behind the address but what the document itself says.
async fn read_document(
    server: &Server,
    sender: &Sender,
    parameters: &Parameters,
) -> Result<(), Error> {
    let Some(client_id) = parameters.find("client_id") else { return Ok(()) };
    if !client_document::is_url(client_id) {
        return Ok(());
    }
    if let Err(unwelcome) = server.policy.check_document(client_id) {
        return Err(refuse(ErrorCode::UnauthorizedClient, unwelcome.description()));
    }
    let behalf = Behalf::Stranger(sender.network);
    match client_document::read(server, client_id, behalf).await? {
        Ok(_) => Ok(()),
        Err(Unusable::Busy) => Err(Error::TooMany { retry_after: 60 }),
        Err(why) => Err(refuse(ErrorCode::InvalidClient, why.sentence_for_strangers())),
    }
}

/// §2.1: checked as the authorization endpoint would. What is kept of it holds no credentials.
fn require_grantable(
    server: &Server,
    client: &Client,
    parameters: &Parameters,
) -> Result<String, Error> {
    if let Err(unwelcome) = server.policy.check(client) {
        return Err(refuse(ErrorCode::UnauthorizedClient, unwelcome.description()));
    }
    if parameters.find("request_uri").is_some() {
        return Err(refuse(
            ErrorCode::InvalidRequest,
            "request_uri must not be pushed: push the parameters themselves",
        ));
    }
    let to = return_path(client, parameters).ok_or(refuse(
        ErrorCode::InvalidRequest,
        "redirect_uri must be one that the client registered, and be sent where it has several",
    ))?;
    check(server, client, &to, parameters)
        .map_err(|(error, description)| refuse(error, description))?;
    let encoded = parameters.encode(PARAMETERS);
    if encoded.len() > LONGEST {
        return Err(refuse(
            ErrorCode::InvalidRequest,
            "the parameters must not be longer than 8 KiB in all",
        ));
    }
    Ok(encoded)
}

/// What a `request_uri` of our own making calls the pushed request, if there is one.
pub(super) fn named(parameters: &Parameters) -> Option<&str> {
    parameters.find("request_uri")?.strip_prefix(URN)
}

/// What this client pushed under that name: §4, once.
pub(super) async fn take(
    server: &Server,
    tx: &mut ControlTx,
    client: &Client,
    name: &str,
) -> Result<Parameters, PageError> {
    const UNKNOWN: PageError = PageError::BadRequest(
        "This request has been used, has expired, or was pushed by another app \
         (invalid_request_uri). Go back to the app and start connecting again.",
    );
    let secret = Plaintext::presented(Kind::PushedRequest, name).ok_or(UNKNOWN)?.hash();
    let now = server.clock.now();
    let pushed = store_pushed::use_once(tx, &secret, &client.client_id, now).await?;
    Ok(Parameters::parse(pushed.ok_or(UNKNOWN)?.as_bytes()))
}
