//! `POST /oauth/token`: OAuth 2.1 §3.2.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use serde::Serialize;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::{
    Server,
    access_token::{self, Claims, Confirmation},
    client::GrantType,
    client_auth::{self, Presented, Sender},
    dpop::{self, Proof, binding},
    error::{Error, ErrorCode, refuse},
    grants::{authorization_code, client_credentials, refresh_token},
    json,
    liveness::Question,
    parameters::Parameters,
    resource::Resource,
    scope::Scope,
    store_grants::Grant,
    store_liveness, store_tokens,
};
use crate::{
    audit::Origin,
    db::ControlTx,
    secret::{Kind, Plaintext},
};

/// Where the endpoint is.
pub(super) const PATH: &str = "/oauth/token";
/// A refresh token that nobody uses ends after this.
const IDLE: Duration = Duration::days(30);

/// OAuth 2.1 §3.2.3.
#[derive(Serialize)]
pub(super) struct TokenResponse {
    access_token: String,
    token_type: &'static str,
    expires_in: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    scope: Scope,
}

pub(super) async fn token(
    State(server): State<Server>,
    origin: Origin,
    sender: Sender,
    parameters: Parameters,
) -> Result<Response, Error> {
    // A client that hangs up must not leave a code half redeemed: the work goes on without it.
    let work = tokio::spawn(async move { grant(&server, &origin, &sender, &parameters).await });
    let response = work.await??;
    Ok(json::answer(StatusCode::OK, HeaderMap::new(), &response))
}

async fn grant(
    server: &Server,
    origin: &Origin,
    sender: &Sender,
    parameters: &Parameters,
) -> Result<TokenResponse, Error> {
    let proof = server.dpop.check_at_endpoint(&sender.headers, PATH)?;
    let outcome = answer(server, origin, sender, (parameters, proof.as_ref())).await;
    server.dpop.settle(proof.as_ref(), outcome).await
}

async fn answer(
    server: &Server,
    origin: &Origin,
    sender: &Sender,
    (parameters, proof): (&Parameters, Option<&Proof>),
) -> Result<TokenResponse, Error> {
    let grant_type = GrantType::from_name(require(parameters, "grant_type")?).ok_or(refuse(
        ErrorCode::UnsupportedGrantType,
        "grant_type must be authorization_code, refresh_token or client_credentials",
    ))?;
    let presented = client_auth::present(server, sender, parameters).await?;
    // Those that wait for one grant wait here, and not each with a connection.
    let _turn = match secret(grant_type, parameters) {
        Some(secret) => Some(server.turns.take(&secret.hash()).await),
        None => None,
    };
    // Read after what may have taken seconds.
    let call = Call { server, parameters, origin, proof, now: server.clock.now() };
    let outcome = redeem(&presented, grant_type, &call).await;
    presented.settle(outcome).await
}

async fn redeem(
    presented: &Presented<'_>,
    grant_type: GrantType,
    call: &Call<'_>,
) -> Result<TokenResponse, Error> {
    let mut tx = call.server.db.control_by_key().await?;
    let client = &presented.prove(&mut tx).await?;
    if let Err(unwelcome) = call.server.policy.check(&client.0) {
        return Err(refuse(ErrorCode::UnauthorizedClient, unwelcome.description()));
    }
    if !client.0.may_use(grant_type) {
        return Err(refuse(
            ErrorCode::UnauthorizedClient,
            "the client has not registered this grant type",
        ));
    }
    binding::require_registered(&client.0, call.proof)?;
    dpop::spend(&mut tx, call.proof).await?;
    match grant_type {
        GrantType::AuthorizationCode => authorization_code::exchange(tx, client, call).await,
        GrantType::RefreshToken => refresh_token::refresh(tx, client, call).await,
        GrantType::ClientCredentials => client_credentials::issue(tx, client, call).await,
    }
}

fn require<'a>(parameters: &'a Parameters, name: &'static str) -> Result<&'a str, Error> {
    parameters.find(name).ok_or(refuse(
        ErrorCode::InvalidRequest,
        match name {
            "grant_type" => "grant_type is missing",
            "code" => "code is missing",
            "code_verifier" => "code_verifier is missing",
            "refresh_token" => "refresh_token is missing",
            _ => "a parameter is missing",
        },
    ))
}

/// The code or refresh token that is to be redeemed.
fn secret(grant_type: GrantType, parameters: &Parameters) -> Option<Plaintext> {
    let (name, kind) = match grant_type {
        GrantType::AuthorizationCode => ("code", Kind::AuthorizationCode),
        GrantType::RefreshToken => ("refresh_token", Kind::RefreshToken),
        GrantType::ClientCredentials => return None,
    };
    Plaintext::presented(kind, parameters.find(name)?)
}

/// Whether a back end whose grant is for `own` may have a token for `asked`.
fn is_of_its_tenant(asked: &Resource, own: Option<&Resource>) -> bool {
    match (asked, own) {
        (Resource::Mcp, Some(_)) => true,
        (
            Resource::TenantMcp(asked) | Resource::TenantApi(asked),
            Some(Resource::TenantMcp(own) | Resource::TenantApi(own)),
        ) => asked == own,
        _ => false,
    }
}

const NOT_THERE: Error = refuse(
    ErrorCode::InvalidScope,
    "the client has no such scope at this resource: those of documents belong to the tenant's /api",
);

/// One token request: what both grants need of it.
pub(super) struct Call<'a> {
    server: &'a Server,
    pub(super) parameters: &'a Parameters,
    pub(super) origin: &'a Origin,
    /// By which key the client proved that it holds it, if it uses DPoP.
    pub(super) proof: Option<&'a Proof>,
    pub(super) now: OffsetDateTime,
}

impl Call<'_> {
    pub(super) fn require(&self, name: &'static str) -> Result<&str, Error> {
        require(self.parameters, name)
    }

    /// RFC 8707 §2.2: the resource of the grant, in any spelling, or none.
    pub(super) fn require_resource(&self, grant: &Grant) -> Result<(), Error> {
        let Some(asked) = self.parameters.find("resource") else { return Ok(()) };
        let resources = &self.server.resources;
        let audience = resources.parse(asked).map(|resource| resources.audience(&resource));
        if audience.as_deref() == Some(grant.resource.as_str()) {
            Ok(())
        } else {
            Err(refuse(ErrorCode::InvalidTarget, "the grant is for another resource"))
        }
    }

    /// The resource that a back end asks for, and what its token is good for there: its tenant's
    /// own URL, which it need not name, the one where tokens tell the tenant, or the tenant's API.
    pub(super) fn own_resource(&self, grant: &Grant) -> Result<(String, Scope), Error> {
        let resources = &self.server.resources;
        let own = resources.parse(&grant.resource);
        let asked = match self.parameters.find("resource") {
            Some(asked) => resources.parse(asked),
            None => own.clone(),
        };
        let resource = asked.filter(|asked| is_of_its_tenant(asked, own.as_ref())).ok_or(
            refuse(ErrorCode::InvalidTarget, "resource is not one of the client's tenant"),
        )?;
        let scope = self.narrowed_scope(grant)?;
        let there = scope.within(resource.scopes()).ok_or(NOT_THERE)?;
        if self.parameters.find("scope").is_some() && there != scope {
            return Err(NOT_THERE);
        }
        Ok((resources.audience(&resource), there))
    }

    /// OAuth 2.1 §4.3.1: the scope of the grant or less, for this access token alone.
    pub(super) fn narrowed_scope(&self, grant: &Grant) -> Result<Scope, Error> {
        let Some(asked) = self.parameters.find("scope") else { return Ok(grant.scope) };
        Scope::parse(asked)
            .filter(|asked| grant.scope.covers(*asked))
            .ok_or(refuse(ErrorCode::InvalidScope, "the scope is wider than what was granted"))
    }

    /// Everything that the grant stands on must live: what every later call asks too.
    pub(super) async fn require_alive(
        &self,
        tx: &mut ControlTx,
        grant: &Grant,
    ) -> Result<(), Error> {
        let question = Question {
            tenant: grant.tenant,
            grant: grant.id,
            user: grant.user,
            client_id: grant.client_id.clone(),
            jti: Uuid::nil(),
            kid: None,
        };
        self.server.keys.renew_in(tx).await?;
        // And would a token live that was signed now? The key may have been retired elsewhere.
        let signing = Some(self.server.keys.signing().kid.clone());
        let signed = Question { kid: signing, ..question.clone() };
        let answers = store_liveness::read(tx, &[question, signed], self.now).await?;
        match answers.alive.as_slice() {
            [Some(_), Some(_)] => Ok(()),
            [Some(_), None] => Ok(self.server.keys.reload_in(tx).await?),
            _ => Err(refuse(ErrorCode::InvalidGrant, "the user's consent has ended")),
        }
    }

    /// The first refresh token of a grant.
    pub(super) async fn first_refresh_token(
        &self,
        tx: &mut ControlTx,
        grant: &Grant,
    ) -> Result<Plaintext, Error> {
        let secret = Plaintext::generate(Kind::RefreshToken);
        let life = self.refresh_life(grant);
        store_tokens::create_refresh_token(tx, &secret.hash(), grant, life).await?;
        Ok(secret)
    }

    /// The refresh token that follows on this one, whoever asks and however often.
    pub(super) fn successor(&self, predecessor: &Plaintext) -> Plaintext {
        predecessor.successor(Kind::RefreshToken, &self.server.refresh_key)
    }

    /// From when to when a refresh token lives that is issued now.
    pub(super) fn refresh_life(&self, grant: &Grant) -> (OffsetDateTime, OffsetDateTime) {
        (self.now, grant.expires_at.min(self.now + IDLE))
    }

    /// An access token for `scope`, next to a refresh token that is kept already.
    pub(super) fn issue(
        &self,
        grant: &Grant,
        scope: Scope,
        refresh_token: Option<&Plaintext>,
    ) -> Result<TokenResponse, Error> {
        let refresh_token = refresh_token.map(|secret| secret.expose().to_owned());
        let iat = self.now.unix_timestamp();
        let life = self.server.access_token_life.min(grant.expires_at - self.now);
        let expires_in = life.whole_seconds();
        let claims = Claims {
            iss: self.server.public_url.as_str().to_owned(),
            aud: grant.resource.clone(),
            sub: grant.user.map_or_else(|| grant.client_id.clone(), |user| user.to_string()),
            client_id: grant.client_id.clone(),
            tenant: grant.tenant,
            grant: grant.id,
            scope,
            jti: Uuid::now_v7(),
            iat,
            exp: iat + expires_in,
            cnf: grant.dpop_jkt.clone().map(|jkt| Confirmation { jkt }),
            kid: String::new(),
        };
        let access_token = access_token::sign(&self.server.keys, &claims)?;
        // RFC 9449 §5.
        let token_type = if claims.cnf.is_some() { "DPoP" } else { "Bearer" };
        Ok(TokenResponse { access_token, token_type, expires_in, refresh_token, scope })
    }
}
