//! `/oauth/register/{client_id}`: a client reads, changes and removes its registration, RFC 7592.
//!
//! It proves itself with the token that it got as it registered. Whatever users consented to ends
//! their consent when it changes: the client's version moves, and liveness looks at it on every
//! call. That their grants are also marked, for the lists that people see, is done in a transaction
//! of its own, since everybody else locks a grant before its client.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::{
    Server,
    client::Client,
    client_metadata::{self, invalid, text},
    error::{Error, ErrorCode, Refusal},
    grants::RevokedFor,
    json, policy,
    register::{Registered, read_object, require_welcome},
    store_registrations::{self as store, Registration},
};
use crate::{
    audit::{self, Event, Kind as Act, Origin},
    db::ControlTx,
    fault::Fault,
    secret::{Kind, Plaintext, SecretHash},
};

/// One answer for every client that is not the caller's, also where there is none: RFC 7592 §2.1.
const UNKNOWN: Error = Error::BearerRefused(Refusal {
    error: ErrorCode::InvalidToken,
    error_description: "this needs the registration access token that came with this client_id",
});

/// `GET`: what is registered. The secret is nowhere in clear, so it is not in the answer.
pub(super) async fn read(
    State(server): State<Server>,
    request: Request,
) -> Result<Response, Error> {
    let Some(caller) = Caller::of(&request) else { return Err(UNKNOWN) };
    let mut tx = server.db.control().await?;
    let Some(found) = caller.lock(&mut tx).await? else { return Err(UNKNOWN) };
    tx.commit().await?;
    let answer = caller.registered(&found).information(&server, None);
    Ok(json::answer(StatusCode::OK, HeaderMap::new(), &answer))
}

/// `PUT`: put other metadata in the place of what is registered.
pub(super) async fn update(
    State(server): State<Server>,
    origin: Origin,
    request: Request,
) -> Result<Response, Error> {
    let Some(caller) = Caller::of(&request) else { return Err(UNKNOWN) };
    let asked = read_object(request).await;
    // A caller that hangs up must not leave the change without its end.
    let work = tokio::spawn(async move { replace(&server, &origin, &caller, asked).await });
    let answer = work.await??;
    Ok(json::answer(StatusCode::OK, HeaderMap::new(), &answer))
}

/// `DELETE`: the client is gone, and with it every grant.
pub(super) async fn delete(
    State(server): State<Server>,
    origin: Origin,
    request: Request,
) -> Result<Response, Error> {
    let Some(caller) = Caller::of(&request) else { return Err(UNKNOWN) };
    let work = tokio::spawn(async move { remove(&server, &origin, &caller).await });
    work.await??;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Who manages which client.
struct Caller {
    client_id: String,
    token: Plaintext,
}

impl Caller {
    /// From the address and the `Authorization` header.
    fn of(request: &Request) -> Option<Self> {
        let client_id = request.uri().path().strip_prefix("/oauth/register/")?.to_owned();
        let token = policy::bearer(request.headers())?;
        let token = Plaintext::presented(Kind::RegistrationAccessToken, token)?;
        Some(Self { client_id, token })
    }

    /// The client, locked, if it is the caller's. Only clients that registered themselves have a
    /// token.
    async fn lock(&self, tx: &mut ControlTx) -> sqlx::Result<Option<Registration>> {
        let found = store::lock(tx, &self.client_id).await?;
        Ok(found.filter(|found| found.token_hash == self.token.hash()))
    }

    fn registered<'a>(&'a self, found: &'a Registration) -> Registered<'a> {
        Registered { client: &found.client, issued_at: found.issued_at, token: &self.token }
    }
}

async fn replace(
    server: &Server,
    origin: &Origin,
    caller: &Caller,
    asked: Result<Map<String, Value>, Error>,
) -> Result<Map<String, Value>, Error> {
    let now = server.clock.now();
    let mut tx = server.db.control().await?;
    let Some(mut found) = caller.lock(&mut tx).await? else { return Err(UNKNOWN) };
    // Who is asking comes before what is wrong with it.
    let asked = asked?;
    // RFC 7592 §2.2: so that a client does not describe itself to the wrong address.
    if text(&asked, "client_id")? != Some(&caller.client_id) {
        return Err(invalid("client_id must be there, and be the one in the address"));
    }
    let mut client = client_metadata::read(caller.client_id.clone(), &asked)?;
    require_welcome(server, &client)?;
    let new_secret = settle_secret(&found.client, &mut client, text(&asked, "client_secret")?)?;
    let has_changed = is_another(&found.client, &client);
    client.version = found.client.version + i32::from(has_changed);
    store::update(&mut tx, &client).await?;
    if has_changed || new_secret.is_some() || is_told_otherwise(&found.client, &client) {
        let event = Event::new(Act::ClientUpdated, now)
            .client(&client.client_id)
            .from(origin)
            .with("client_name", client.client_name.as_str())
            .with("consent_ended", has_changed)
            .with("secret_rotated", new_secret.is_some());
        audit::store::append_control(&mut tx, &event).await?;
    }
    tx.commit().await?;
    found.client = client;
    if has_changed {
        let ending = Ending { client: &found.client, reason: RevokedFor::ClientChanged };
        ending.carry_out(server, origin, now).await;
    }
    Ok(caller.registered(&found).information(server, new_secret.as_ref()))
}

async fn remove(server: &Server, origin: &Origin, caller: &Caller) -> Result<(), Error> {
    let now = server.clock.now();
    let mut tx = server.db.control().await?;
    let Some(mut found) = caller.lock(&mut tx).await? else { return Err(UNKNOWN) };
    store::disable(&mut tx, &caller.client_id, now).await?;
    let event = Event::new(Act::ClientDeleted, now)
        .client(&caller.client_id)
        .from(origin)
        .with("client_name", found.client.client_name.as_str());
    audit::store::append_control(&mut tx, &event).await?;
    tx.commit().await?;
    // Grants of every version.
    found.client.version = i32::MAX;
    let ending = Ending { client: &found.client, reason: RevokedFor::Client };
    ending.carry_out(server, origin, now).await;
    Ok(())
}

/// The secret that the client has from now on: none, the one that it shows, or the one returned.
fn settle_secret(
    current: &Client,
    next: &mut Client,
    presented: Option<&str>,
) -> Result<Option<Plaintext>, Error> {
    let kept: Option<SecretHash> = match presented {
        None => None,
        Some(text) => {
            let hash = Plaintext::presented(Kind::ClientSecret, text).map(|secret| secret.hash());
            if hash.is_none() || hash != current.secret_hash {
                return Err(invalid(
                    "client_secret is not the current one: leave it out to get a new one",
                ));
            }
            hash
        }
    };
    if !next.needs_secret() {
        return Ok(None);
    }
    let new = kept.is_none().then(|| Plaintext::generate(Kind::ClientSecret));
    next.secret_hash = kept.or(new.as_ref().map(Plaintext::hash));
    Ok(new)
}

/// Whether what users consented to has become something else (spec row C-07).
fn is_another(current: &Client, next: &Client) -> bool {
    let places = |client: &Client| {
        let mut uris = client.redirect_uris.clone();
        uris.sort_unstable();
        uris.dedup();
        uris
    };
    places(current) != places(next)
        || current.client_name != next.client_name
        || current.token_endpoint_auth_methods != next.token_endpoint_auth_methods
        || current.jwks != next.jwks
        || current.jwks_uri != next.jwks_uri
}

/// Whether anything else has, of which users are not told.
fn is_told_otherwise(current: &Client, next: &Client) -> bool {
    current.grant_types != next.grant_types
        || current.dpop_bound != next.dpop_bound
        || current.metadata != next.metadata
        || current.redirect_uris != next.redirect_uris
}

/// The end of every grant of a client's that is older than its version.
struct Ending<'a> {
    client: &'a Client,
    reason: RevokedFor,
}

impl Ending<'_> {
    /// The client has changed already, and with that the grants are over: where marking them fails,
    /// that is for the log, and for the sweep.
    async fn carry_out(&self, server: &Server, origin: &Origin, now: OffsetDateTime) {
        if let Err(error) = self.mark(server, origin, now).await {
            Fault::from(error).log();
        }
    }

    async fn mark(
        &self,
        server: &Server,
        origin: &Origin,
        now: OffsetDateTime,
    ) -> sqlx::Result<()> {
        let Client { client_id, client_name, version, .. } = self.client;
        let mut tx = server.db.control().await?;
        for grant in store::end_grants(&mut tx, (client_id, *version), self.reason, now).await? {
            let event = Event::new(Act::GrantRevoked, now)
                .tenant(grant.tenant)
                .user(grant.user)
                .client(client_id)
                .grant(grant.id)
                .from(origin)
                .with("client_name", client_name.as_str())
                .with("reason", self.reason.as_str());
            audit::store::append_control(&mut tx, &event).await?;
        }
        tx.commit().await
    }
}
