//! `POST /oauth/revoke`: RFC 7009.
//!
//! A refresh token takes its grant with it, an access token only itself. Whatever the token was,
//! a client that authenticated gets a 200 and learns nothing.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde::Serialize;
use time::OffsetDateTime;

use super::{
    Server,
    access_token::Claims,
    client::Client,
    client_auth::{self, Presented, Sender},
    error::{Error, ErrorCode, refuse},
    grants::RevokedFor,
    json,
    parameters::Parameters,
    store_grants::{self, By},
    store_tokens,
};
use crate::{
    audit::{self, Event, Kind as Act, Origin},
    db::ControlTx,
    secret::{Kind, Plaintext},
};

#[derive(Serialize)]
struct Done {}

pub(super) async fn revoke(
    State(server): State<Server>,
    origin: Origin,
    sender: Sender,
    parameters: Parameters,
) -> Result<Response, Error> {
    let work = tokio::spawn(async move {
        let presented = client_auth::present(&server, &sender, &parameters).await?;
        let outcome = carry_out(&server, &presented, &origin, parameters.find("token")).await;
        presented.settle(outcome).await
    });
    work.await??;
    Ok(json::answer(StatusCode::OK, HeaderMap::new(), &Done {}))
}

/// What a token turned out to be.
enum Named {
    RefreshToken(Plaintext),
    AccessToken(Arc<Claims>),
    /// None of ours.
    Unknown,
}

impl Named {
    /// With no connection held: a key that nobody here knows is looked up over one.
    async fn read(server: &Server, token: &str) -> Self {
        // The prefix tells the kinds apart; token_type_hint is not needed.
        if let Some(secret) = Plaintext::presented(Kind::RefreshToken, token) {
            return Self::RefreshToken(secret);
        }
        server.verifier.verify(token).await.map_or(Self::Unknown, Self::AccessToken)
    }
}

async fn carry_out(
    server: &Server,
    presented: &Presented<'_>,
    origin: &Origin,
    token: Option<&str>,
) -> Result<(), Error> {
    let named = match token {
        Some(token) => Some(Named::read(server, token).await),
        None => None,
    };
    let _turn = match &named {
        Some(Named::RefreshToken(secret)) => Some(server.turns.take(&secret.hash()).await),
        _ => None,
    };
    let mut tx = server.db.control().await?;
    let client = presented.prove(&mut tx).await?.0;
    match named.ok_or(refuse(ErrorCode::InvalidRequest, "token is missing"))? {
        Named::RefreshToken(secret) => {
            revoke_grant(server, &mut tx, &client, origin, &secret).await?;
        }
        Named::AccessToken(claims) => {
            revoke_access_token(server, &mut tx, &client, origin, &claims).await?;
        }
        Named::Unknown => {}
    }
    Ok(tx.commit().await?)
}

async fn revoke_grant(
    server: &Server,
    tx: &mut ControlTx,
    client: &Client,
    origin: &Origin,
    secret: &Plaintext,
) -> Result<(), Error> {
    let now = server.clock.now();
    let Some(grant) = store_grants::lock(tx, By::RefreshToken(&secret.hash())).await? else {
        return Ok(());
    };
    // §2.1: another client's token stays as it is.
    if grant.client_id != client.client_id {
        return Ok(());
    }
    if store_grants::revoke(tx, grant.tenant, grant.id, RevokedFor::Client, now).await? {
        let event = grant
            .event(Act::GrantRevoked, (now, origin))
            .with("reason", RevokedFor::Client.as_str());
        audit::store::append_control(tx, &event).await?;
    }
    Ok(())
}

async fn revoke_access_token(
    server: &Server,
    tx: &mut ControlTx,
    client: &Client,
    origin: &Origin,
    claims: &Claims,
) -> Result<(), Error> {
    if claims.client_id != client.client_id {
        return Ok(());
    }
    let expires_at = OffsetDateTime::from_unix_timestamp(claims.exp)?;
    if store_tokens::revoke_access_token(tx, claims.tenant, claims.jti, expires_at).await? {
        let event = Event::new(Act::GrantRevoked, server.clock.now())
            .tenant(claims.tenant)
            .user(claims.user())
            .client(&claims.client_id)
            .grant(claims.grant)
            .from(origin)
            .with("reason", RevokedFor::Client.as_str())
            .with("access_token", claims.jti.to_string());
        audit::store::append_control(tx, &event).await?;
    }
    Ok(())
}
