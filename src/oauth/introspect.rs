//! `POST /oauth/introspect`: RFC 7662, for resource servers that a tenant's admin named.
//!
//! A token is active when our own resource would take it now: the same verifier, the same
//! [`super::liveness`]; a refresh token, when the token endpoint would. Of everything else the
//! answer is one word, and the same for all of it (§2.2, §4): what is unknown, over, of another
//! tenant or for a resource of somebody else's.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Server,
    access_token::{Claims, Confirmation},
    client::ServiceRights,
    client_auth::{self, AuthenticatedClient, Presented, Sender},
    error::{Error, ErrorCode, Refusal, refuse},
    grants::refresh_token::Standing,
    json,
    liveness::{Alive, Question},
    parameters::Parameters,
    scope::Scope,
    store_clients, store_introspect, tenant_policy,
};
use crate::{
    db::ControlTx,
    ids::TenantId,
    secret::{Kind, Plaintext},
};

/// RFC 7662 §2.2. Who it is is `iss` and `sub`, in `tenant`; `username` is for people's eyes and is
/// never an e-mail address.
#[derive(Serialize)]
struct Active {
    active: bool,
    scope: Scope,
    client_id: String,
    sub: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    aud: String,
    iss: String,
    exp: i64,
    iat: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    tenant: TenantId,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation>,
}

#[derive(Serialize)]
struct Inactive {
    active: bool,
}

pub(super) async fn introspect(
    State(server): State<Server>,
    sender: Sender,
    parameters: Parameters,
) -> Result<Response, Error> {
    // What an assertion was spent for is not left half done.
    let work = tokio::spawn(async move {
        let presented = client_auth::present(&server, &sender, &parameters).await?;
        let outcome = answer(&server, &presented, &parameters).await;
        presented.settle(outcome).await
    });
    Ok(match work.await?? {
        Some(active) => json::answer(StatusCode::OK, HeaderMap::new(), &active),
        None => json::answer(StatusCode::OK, HeaderMap::new(), &Inactive { active: false }),
    })
}

async fn answer(
    server: &Server,
    presented: &Presented<'_>,
    parameters: &Parameters,
) -> Result<Option<Active>, Error> {
    let now = server.clock.now();
    let mut tx = server.db.control_by_key().await?;
    let client = presented.prove(&mut tx).await?;
    let rights = require_resource_server(&client)?;
    let token =
        parameters.find("token").ok_or(refuse(ErrorCode::InvalidRequest, "token is missing"))?;
    let asker = Asker { server, tenant: rights.tenant, now };
    // The prefix tells the kinds apart; token_type_hint is not needed.
    let refresh_token = Plaintext::presented(Kind::RefreshToken, token);
    let found = match &refresh_token {
        Some(secret) => asker.find_refresh_token(&mut tx, secret).await?,
        None => None,
    };
    store_clients::touch(&mut tx, &client.0, now).await?;
    // Nothing is held while the statement that everybody shares is waited for.
    tx.commit().await?;
    match (refresh_token, found) {
        (None, _) => asker.access_token(token).await,
        (Some(_), Some(found)) => asker.refresh_token(found).await,
        (Some(_), None) => Ok(None),
    }
}

/// §2.1: who asks has proved who it is, and §4: an admin let it ask.
fn require_resource_server(client: &AuthenticatedClient) -> Result<&ServiceRights, Error> {
    if client.0.is_public() {
        return Err(Error::BasicRefused(NO_CREDENTIALS));
    }
    let rights = client.0.service.as_ref().filter(|rights| rights.may_introspect);
    rights.ok_or(Error::Forbidden(NOT_ALLOWED))
}

const NO_CREDENTIALS: Refusal = Refusal {
    error: ErrorCode::InvalidClient,
    error_description: "introspection needs the credentials of a resource server",
};
const NOT_ALLOWED: Refusal = Refusal {
    error: ErrorCode::UnauthorizedClient,
    error_description: "the client may not introspect: a tenant admin can make one that may",
};

/// Who asks, when.
struct Asker<'a> {
    server: &'a Server,
    tenant: TenantId,
    now: OffsetDateTime,
}

impl Asker<'_> {
    async fn access_token(&self, token: &str) -> Result<Option<Active>, Error> {
        let Some(claims) = self.server.verifier.verify(token).await else { return Ok(None) };
        if claims.tenant != self.tenant {
            return Ok(None);
        }
        let Some(alive) = self.server.liveness.check(&claims).await? else { return Ok(None) };
        if !self.is_ours(&claims, &alive) {
            return Ok(None);
        }
        let Claims { iss, aud, sub, client_id, tenant, scope, jti, iat, exp, cnf, .. } =
            Claims::clone(&claims);
        Ok(Some(Active {
            active: true,
            scope,
            client_id,
            sub,
            username: username(alive),
            aud,
            iss,
            exp,
            iat,
            jti: Some(jti),
            token_type: Some(if cnf.is_some() { "DPoP" } else { "Bearer" }),
            tenant,
            cnf,
        }))
    }

    /// One of the resources that open this tenant's documents.
    fn is_ours(&self, claims: &Claims, alive: &Alive) -> bool {
        let resources = &self.server.resources;
        let slug = &alive.tenant_slug;
        [resources.mcp(), resources.tenant_mcp(slug), resources.tenant_api(slug)]
            .contains(&claims.aud)
    }

    /// A refresh token of the tenant's, as long as it has its turn.
    async fn find_refresh_token(
        &self,
        tx: &mut ControlTx,
        secret: &Plaintext,
    ) -> Result<Option<store_introspect::Found>, Error> {
        let found = store_introspect::find_refresh_token(tx, &secret.hash(), self.tenant).await?;
        let window = tenant_policy::find(tx, self.tenant).await?.refresh_retry;
        Ok(found.filter(|found| {
            let standing = found.token.standing(self.now, window);
            found.token.expires_at > self.now
                && matches!(standing, Standing::Newest | Standing::Retry)
        }))
    }

    /// The same, as long as everything behind it lives.
    async fn refresh_token(&self, found: store_introspect::Found) -> Result<Option<Active>, Error> {
        let question = Question {
            tenant: found.tenant,
            grant: found.grant,
            user: found.user,
            client_id: found.client_id.clone(),
            jti: Uuid::nil(),
            kid: None,
        };
        let Some(alive) = self.server.liveness.ask(question).await? else { return Ok(None) };
        Ok(Some(Active {
            active: true,
            scope: found.scope,
            sub: found.user.map_or_else(|| found.client_id.clone(), |user| user.to_string()),
            client_id: found.client_id,
            username: username(alive),
            aud: found.resource,
            iss: self.server.public_url.as_str().to_owned(),
            exp: found.token.expires_at.unix_timestamp(),
            iat: found.created_at.unix_timestamp(),
            jti: None,
            token_type: None,
            tenant: found.tenant,
            cnf: found.dpop_jkt.map(|jkt| Confirmation { jkt }),
        }))
    }
}

/// The user's name, unless it is an address: that may be somebody else's tomorrow.
fn username(alive: Alive) -> Option<String> {
    alive.user_name.filter(|name| !name.contains('@'))
}
