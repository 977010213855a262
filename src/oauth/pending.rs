//! An authorization request that waits, in front of the user who may answer it.

use super::{
    Server,
    client::Client,
    not_a_member::NotAMember,
    redirect_uri::ReturnPath,
    resource::Resource,
    store_clients,
    store_requests::{self, AuthorizationRequest, Found},
};
use crate::{
    http::{PageError, csrf::Bound},
    secret::{Kind, Plaintext, SecretHash},
    sign_in::{Member, SignedIn},
};

/// An authorization request in front of the user who may answer it.
pub(super) struct Pending {
    pub(super) request: AuthorizationRequest,
    pub(super) client: Client,
    pub(super) to: ReturnPath,
    /// Where the user may let the client in; never empty.
    pub(super) members: Vec<Member>,
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

/// What the request is kept under.
pub(super) fn name_of_request(text: &str) -> Result<SecretHash, PageError> {
    Plaintext::presented(Kind::AuthorizationRequest, text)
        .map(|secret| secret.hash())
        .ok_or(UNKNOWN)
}

/// Find the request and everything that it stands on; `Err` inside where the user has no say in it.
pub(super) async fn find(
    asking: &Asking<'_>,
    secret: &SecretHash,
) -> Result<Result<Pending, NotAMember>, PageError> {
    let Asking { server, bound, signed_in } = *asking;
    let mut tx = server.db.control().await?;
    let found = store_requests::find(&mut tx, secret, &bound.browser, server.clock.now()).await?;
    let request = match found {
        Found::Waiting(request) => request,
        Found::Unknown => return Err(UNKNOWN),
        Found::Decided => return Err(DECIDED),
        Found::Foreign => {
            return Err(PageError::Forbidden(
                "This request was begun in another browser. Start again from the app.",
            ));
        }
    };
    // Matched again: what the client has registered may have changed meanwhile.
    let client = store_clients::find(&mut tx, &request.client_id).await?.ok_or(UNKNOWN)?;
    let to =
        ReturnPath::matching(&client.redirect_uris, Some(&request.redirect_uri)).ok_or(UNKNOWN)?;
    let members = eligible(server, &request, signed_in);
    if members.is_empty() {
        return Ok(Err(NotAMember { client, to, state: request.state }));
    }
    Ok(Ok(Pending { request, client, to, members }))
}

/// The user's tenants, or the one among them that the resource names.
fn eligible(server: &Server, request: &AuthorizationRequest, signed_in: &SignedIn) -> Vec<Member> {
    let named = match server.resources.parse(&request.resource) {
        Some(Resource::TenantMcp(slug)) => Some(slug),
        Some(Resource::Mcp) => None,
        None => return Vec::new(),
    };
    signed_in
        .memberships
        .iter()
        .map(|(tenant, _)| tenant.slug.as_str())
        .filter(|slug| named.as_deref().is_none_or(|named| named == *slug))
        .filter_map(|slug| signed_in.clone().into_member(slug))
        .collect()
}
