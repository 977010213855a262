//! `GET /oauth/authorize`: OAuth 2.1 §4.1.1, RFC 9126 §4.
//!
//! Until the client and its redirect URI are known to belong together, what is wrong is told on a
//! page. After that, the request is stored, also where it cannot be granted, and the browser goes
//! on with nothing but its name: nobody is redirected to a client's address who has not acted here
//! first, since anybody can register any address (OAuth 2.1 §7.13).

use axum::{
    Extension,
    extract::State,
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use time::Duration;

use super::{
    Server,
    authorization_request::{LONGEST, examine, return_path},
    client::Client,
    client_document, par,
    parameters::Parameters,
    store_clients,
    store_requests::{self, Waiting},
    store_unresolved,
};
use crate::{
    db::ControlTx,
    http::{
        PageError,
        csrf::{Bound, Renew},
    },
    secret::{Kind, Plaintext},
};

/// How long a request waits for sign-in and consent.
const WAITS: Duration = Duration::hours(1);

const UNKNOWN: PageError = PageError::BadRequest(
    "The app that sent you here is not registered. Remove the connection in the app and add it \
     again.",
);

/// Steps 3 and 4: check the request, store it, and go on to sign-in and consent.
pub(super) async fn authorize(
    State(server): State<Server>,
    Extension(bound): Extension<Bound>,
    uri: Uri,
) -> Result<Response, PageError> {
    let query = uri.query().unwrap_or_default();
    if query.len() > LONGEST {
        return Err(PageError::UriTooLong(
            "The app asked for more than the 8 KiB that fit into one address. Its makers can send \
             a shorter state, or push the request first (RFC 9126).",
        ));
    }
    let parameters = Parameters::parse(query.as_bytes());
    let secret = Plaintext::generate(Kind::AuthorizationRequest);
    let now = server.clock.now();
    let life = (now, now + WAITS);
    let mut tx = server.db.control().await?;
    let (name, browser) = (secret.hash(), &bound.browser);
    match begin(&server, &mut tx, &parameters).await? {
        Begun::Known(waiting) => {
            store_requests::create(&mut tx, &name, browser, &waiting, life).await?;
        }
        Begun::Unread => store_unresolved::create(&mut tx, &name, browser, query, life).await?,
    }
    tx.commit().await?;
    // Consent sends the browser to sign in first, where that is needed.
    let location = format!("/oauth/consent?request_id={}", secret.expose());
    let headers = [(header::LOCATION, location)];
    Ok((StatusCode::SEE_OTHER, headers, Extension(Renew)).into_response())
}

/// What becomes of a request, as far as can be told before anybody has signed in.
enum Begun {
    Known(Waiting),
    /// Its client is described by a document that is not at hand.
    Unread,
}

async fn begin(
    server: &Server,
    tx: &mut ControlTx,
    parameters: &Parameters,
) -> Result<Begun, PageError> {
    let client_id = parameters.find("client_id").ok_or(UNKNOWN)?;
    if let Some(name) = par::named(parameters) {
        // RFC 9126 §4: of what else the browser brought, nothing counts.
        let client = store_clients::find(tx, client_id).await?.ok_or(UNKNOWN)?;
        let pushed = par::take(server, tx, &client, name).await?;
        return weigh(server, &client, &pushed).map(Begun::Known);
    }
    let client = if client_document::is_url(client_id) {
        if let Err(unwelcome) = server.policy.check_document(client_id) {
            return Err(PageError::BadRequest(unwelcome.sentence()));
        }
        match client_document::find(tx, client_id, server.clock.now()).await? {
            Some(client) => client,
            None => return Ok(Begun::Unread),
        }
    } else {
        store_clients::find(tx, client_id).await?.ok_or(UNKNOWN)?
    };
    weigh(server, &client, parameters).map(Begun::Known)
}

/// What is kept of a request from this client.
pub(super) fn weigh(
    server: &Server,
    client: &Client,
    parameters: &Parameters,
) -> Result<Waiting, PageError> {
    if let Err(unwelcome) = server.policy.check(client) {
        return Err(PageError::BadRequest(unwelcome.sentence()));
    }
    let to = return_path(client, parameters).ok_or(PageError::BadRequest(
        "The app that sent you here wants the answer at an address that it has not registered. \
         Nothing was sent there.",
    ))?;
    Ok(examine(server, client, &to, parameters))
}
