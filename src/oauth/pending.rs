//! An authorization request that waits, in front of the user who may answer it.

use axum::response::Response;

use super::{
    Server,
    client::Client,
    not_a_member,
    redirect_uri::ReturnPath,
    refused,
    resource::Resource,
    store_clients,
    store_requests::{self, AuthorizationRequest, Found, Waiting},
    unresolved::{self, Settled},
};
use crate::{
    http::{PageError, csrf::Bound},
    secret::{Kind, Plaintext, SecretHash},
    sign_in::{Member, SignedIn},
};

/// An authorization request in front of the user who may answer it.
pub(super) struct Pending {
    /// What it is kept under.
    pub(super) secret: SecretHash,
    pub(super) request: AuthorizationRequest,
    pub(super) client: Client,
    pub(super) to: ReturnPath,
    /// Where the user may let the client in; never empty.
    pub(super) members: Vec<Member>,
}

/// What the user can do about it.
pub(super) enum Standing {
    /// Answer it.
    Open(Box<Pending>),
    /// Nothing but read why.
    Shut(Response),
}

/// Who is asked, in which browser.
pub(super) struct Asking<'a> {
    pub(super) server: &'a Server,
    pub(super) bound: &'a Bound,
    pub(super) signed_in: &'a SignedIn,
}

const UNKNOWN: PageError = PageError::BadRequest(
    "This request has expired. Go back to the app and start connecting again.",
);

pub(super) const DECIDED: PageError = PageError::BadRequest(
    "You have answered this request already, and the app has been told. Go back to the app; if it \
     is not connected, start connecting again there.",
);

pub(super) const CHANGED: PageError = PageError::BadRequest(
    "The app has changed its registration since it sent you here, so nothing was granted. Go back \
     to the app and start connecting again.",
);

/// Find the request and everything that it stands on.
pub(super) async fn find(asking: &Asking<'_>, request_id: &str) -> Result<Standing, PageError> {
    let secret = Plaintext::presented(Kind::AuthorizationRequest, request_id)
        .map(|secret| secret.hash())
        .ok_or(UNKNOWN)?;
    let mut found = look_up(asking, &secret).await?;
    if matches!(found, Found::Unknown) {
        found = match unresolved::settle(asking, &secret).await? {
            Settled::LookThere => look_up(asking, &secret).await?,
            Settled::Foreign => Found::Foreign,
            Settled::Unusable(page) => return Ok(Standing::Shut(page)),
        };
    }
    let waiting = match found {
        Found::Waiting(waiting) => waiting,
        Found::Unknown => return Err(UNKNOWN),
        Found::Decided => return Err(DECIDED),
        Found::Foreign => {
            return Err(PageError::Forbidden(
                "This request was begun in another browser. Start again from the app.",
            ));
        }
    };
    let (client_id, redirect_uri) = match &waiting {
        Waiting::Asked(request) => (&request.client_id, &request.redirect_uri),
        Waiting::Refused(refused) => (&refused.client_id, &refused.redirect_uri),
    };
    let mut tx = asking.server.db.control().await?;
    let client = store_clients::find(&mut tx, client_id).await?.ok_or(UNKNOWN)?;
    drop(tx);
    // Matched again: what the client has registered may have changed meanwhile.
    let to = ReturnPath::matching(&client.redirect_uris, Some(redirect_uri)).ok_or(CHANGED)?;
    let request = match waiting {
        Waiting::Asked(request) => request,
        Waiting::Refused(refused) => {
            return Ok(Standing::Shut(refused::page(asking, &client, to, refused)));
        }
    };
    if client.version != request.client_version {
        return Err(CHANGED);
    }
    let members = eligible(asking, &request);
    if members.is_empty() {
        let page = not_a_member::page(asking, &client, (to, request.state), request_id);
        return Ok(Standing::Shut(page));
    }
    Ok(Standing::Open(Box::new(Pending { secret, request, client, to, members })))
}

async fn look_up(asking: &Asking<'_>, secret: &SecretHash) -> Result<Found<Waiting>, PageError> {
    let Asking { server, bound, .. } = *asking;
    let mut tx = server.db.control().await?;
    Ok(store_requests::find(&mut tx, secret, &bound.browser, server.clock.now()).await?)
}

/// The user's tenants, or the one among them that the resource names.
fn eligible(asking: &Asking<'_>, request: &AuthorizationRequest) -> Vec<Member> {
    let signed_in = asking.signed_in;
    let named = match asking.server.resources.parse(&request.resource) {
        Some(Resource::TenantMcp(slug)) => Some(slug),
        Some(Resource::Mcp) => None,
        Some(Resource::TenantApi(_)) | None => return Vec::new(),
    };
    signed_in
        .memberships
        .iter()
        .map(|(tenant, _)| tenant.slug.as_str())
        .filter(|slug| named.as_deref().is_none_or(|named| named == *slug))
        .filter_map(|slug| signed_in.clone().into_member(slug))
        .collect()
}
