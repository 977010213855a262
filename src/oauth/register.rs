//! `POST /oauth/register`: dynamic client registration, RFC 7591.
//!
//! A registration gives no rights, and the name in it is shown as unverified, so it is open to
//! everybody unless the operator says otherwise (`policy`).

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    middleware::Next,
    response::Response,
};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Server,
    client::Client,
    client_metadata::{self, invalid},
    error::{Error, ErrorCode, refuse},
    json, parameters, store_clients, store_registrations,
};
use crate::{
    audit::{self, Event, Kind as Act, Origin},
    secret::{Kind, Plaintext},
};

/// Middleware: only those whom the operator lets register.
pub(super) async fn admit(
    State(server): State<Server>,
    request: Request,
    next: Next,
) -> Result<Response, Error> {
    server.policy.check_registrant(request.headers())?;
    Ok(next.run(request).await)
}

pub(super) async fn register(
    State(server): State<Server>,
    origin: Origin,
    request: Request,
) -> Result<Response, Error> {
    let asked = read_object(request).await?;
    let mut client = client_metadata::read(Uuid::new_v4().to_string(), &asked)?;
    require_welcome(&server, &client)?;
    let secret = client.needs_secret().then(|| Plaintext::generate(Kind::ClientSecret));
    client.secret_hash = secret.as_ref().map(Plaintext::hash);
    let token = Plaintext::generate(Kind::RegistrationAccessToken);
    let now = server.clock.now();

    let mut tx = server.db.control().await?;
    store_clients::create(&mut tx, &client, now).await?;
    store_registrations::keep_token(&mut tx, &client.client_id, &token.hash()).await?;
    let event = Event::new(Act::ClientRegistered, now)
        .client(&client.client_id)
        .from(&origin)
        .with("client_name", client.client_name.as_str());
    audit::store::append_control(&mut tx, &event).await?;
    tx.commit().await?;

    let registered = Registered { client: &client, issued_at: now, token: &token };
    let answer = registered.information(&server, secret.as_ref());
    Ok(json::answer(StatusCode::CREATED, HeaderMap::new(), &answer))
}

/// The body: one JSON object, of a modest size.
pub(super) async fn read_object(request: Request) -> Result<Map<String, Value>, Error> {
    let body = parameters::read_body(request).await?;
    match serde_json::from_slice(&body) {
        Ok(Value::Object(asked)) => Ok(asked),
        _ => Err(invalid("the body must be a JSON object")),
    }
}

/// The operator may not want clients at these hosts.
pub(super) fn require_welcome(server: &Server, client: &Client) -> Result<(), Error> {
    server
        .policy
        .check(client)
        .map_err(|unwelcome| refuse(ErrorCode::InvalidRedirectUri, unwelcome.description()))
}

/// A client in front of whoever registered it.
pub(super) struct Registered<'a> {
    pub(super) client: &'a Client,
    pub(super) issued_at: OffsetDateTime,
    /// What the caller manages it with; theirs already, unless this is the first answer.
    pub(super) token: &'a Plaintext,
}

impl Registered<'_> {
    /// The client information response, RFC 7591 §3.2.1 and RFC 7592 §3; with the secret only where
    /// it is new.
    pub(super) fn information(
        &self,
        server: &Server,
        new_secret: Option<&Plaintext>,
    ) -> Map<String, Value> {
        let mut members = client_metadata::information(self.client);
        let client_id = &self.client.client_id;
        let uri = format!("{}/oauth/register/{client_id}", server.public_url.as_str());
        members.extend([
            ("client_id_issued_at".to_owned(), self.issued_at.unix_timestamp().into()),
            ("registration_client_uri".to_owned(), uri.into()),
            ("registration_access_token".to_owned(), self.token.expose().into()),
        ]);
        if let Some(secret) = new_secret {
            members.insert("client_secret".to_owned(), secret.expose().into());
            members.insert("client_secret_expires_at".to_owned(), 0.into());
        }
        members
    }
}
