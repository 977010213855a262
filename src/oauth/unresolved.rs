//! Requests of clients whose document nobody has read yet (spec row K-07).
//!
//! A stranger's browser cannot send us to fetch things: the request waits as it came, and the
//! document at its `client_id` is read once somebody has signed in. Then it is checked as any
//! other, and goes on under the same name.

use askama::Template;
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};

use super::{
    authorize::weigh,
    client_document::{self, Behalf, Unusable},
    parameters::Parameters,
    pending::Asking,
    store_requests::{self, Found},
    store_unresolved,
};
use crate::{
    http::{Frame, Page, PageError},
    secret::SecretHash,
};

/// What came of it.
pub(super) enum Settled {
    /// If it was ever here, it is where checked requests wait.
    LookThere,
    /// Another browser began it.
    Foreign,
    /// The client cannot be known: a page that says why. The request stays, for another try.
    Unusable(Response),
}

#[derive(Template)]
#[template(path = "oauth/unusable_client.html")]
struct UnusableClientPage {
    frame: Frame,
    client_id: String,
    sentence: &'static str,
}

/// Read the document and check the request that waits for it.
pub(super) async fn settle(asking: &Asking<'_>, secret: &SecretHash) -> Result<Settled, PageError> {
    let Asking { server, bound, .. } = *asking;
    let now = server.clock.now();
    let mut tx = server.db.control().await?;
    let found = store_unresolved::find(&mut tx, secret, &bound.browser, now).await?;
    drop(tx);
    let parameters = match found {
        Found::Waiting(query) => Parameters::parse(query.as_bytes()),
        Found::Foreign => return Ok(Settled::Foreign),
        Found::Decided | Found::Unknown => return Ok(Settled::LookThere),
    };
    let client_id = parameters.find("client_id").unwrap_or_default();
    let behalf = Behalf::Member(asking.signed_in.user.id);
    let client = match client_document::read(server, client_id, behalf).await? {
        Ok(client) => client,
        Err(why) => return Ok(Settled::Unusable(unusable(asking, client_id, why))),
    };
    let waiting = weigh(server, &client, &parameters)?;
    let mut tx = server.db.control().await?;
    // Two tabs may have come this far: the one that takes it moves it.
    if let Some(expires_at) = store_unresolved::take(&mut tx, secret).await? {
        let life = (now, expires_at);
        store_requests::create(&mut tx, secret, &bound.browser, &waiting, life).await?;
        tx.commit().await?;
    }
    Ok(Settled::LookThere)
}

fn unusable(asking: &Asking<'_>, client_id: &str, why: Unusable) -> Response {
    let page = UnusableClientPage {
        frame: asking.signed_in.frame.clone(),
        client_id: client_id.to_owned(),
        sentence: why.sentence(),
    };
    (StatusCode::BAD_REQUEST, Page(page)).into_response()
}
