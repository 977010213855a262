//! `/oauth/consent`: the user sees who asks for what, and answers.
//!
//! Asked on every authorization (spec row C-01): anybody can register a client under any name. All
//! that the answer goes by was stored when the request was checked; the form adds the tenant, the
//! vector stores and the decision, and each of those is checked against what the user may do.

use axum::{Extension, extract::State, response::Response};
use serde::Deserialize;
use time::Duration;

use super::{
    Server,
    authorize::Declined,
    client::Client,
    consent_page::{allow_onward, page},
    error::ErrorCode,
    redirect_uri::ReturnPath,
    resource::Resource,
    scope::Scope,
    store_clients,
    store_grants::{self, Grant},
    store_requests::{self, AuthorizationRequest, Found},
    store_tokens,
};
use crate::{
    audit::{self, Event, Kind as Act, Origin},
    http::{
        PageError,
        csrf::{Bound, CsrfForm},
        extract::{Query, ticks},
    },
    ids::{GrantId, VectorStoreId},
    secret::{Kind, Plaintext, SecretHash},
    sign_in::{Member, SignedIn},
    tenants, vector_stores,
};

/// How long a code can be redeemed.
const CODE_LIVES: Duration = Duration::seconds(60);
/// How long a grant holds, whatever is refreshed meanwhile.
const GRANT_LIVES: Duration = Duration::days(90);

#[derive(Deserialize)]
pub(super) struct Asked {
    request_id: String,
}

#[derive(Deserialize)]
pub(super) struct Answer {
    request_id: String,
    #[serde(default)]
    tenant: String,
    #[serde(default, deserialize_with = "ticks")]
    store: Vec<String>,
    decision: String,
}

/// An authorization request in front of the user who may answer it.
pub(super) struct Pending {
    pub(super) request: AuthorizationRequest,
    pub(super) client: Client,
    pub(super) to: ReturnPath,
    /// Where the user may let the client in; never empty.
    pub(super) members: Vec<Member>,
}

/// Step 5: show who asks for what.
pub(super) async fn show(
    State(server): State<Server>,
    Extension(bound): Extension<Bound>,
    Query(asked): Query<Asked>,
    signed_in: SignedIn,
) -> Result<Response, PageError> {
    let asking = Asking { server: &server, bound: &bound, signed_in: &signed_in };
    let secret = name_of_request(&asked.request_id)?;
    let pending = match pending(&asking, &secret).await? {
        Ok(pending) => pending,
        Err(declined) => return Ok(declined.answer(server.public_url.as_str())),
    };
    page(&server, &signed_in, &pending, asked.request_id, None).await
}

/// Step 6: carry out the answer.
pub(super) async fn answer(
    State(server): State<Server>,
    Extension(bound): Extension<Bound>,
    origin: Origin,
    signed_in: SignedIn,
    CsrfForm(answer): CsrfForm<Answer>,
) -> Result<Response, PageError> {
    // A browser that gives up must not leave the request half answered.
    let work = tokio::spawn(async move {
        let asking = Asking { server: &server, bound: &bound, signed_in: &signed_in };
        decide(&asking, &origin, answer).await
    });
    work.await?
}

/// Who is asked, in which browser.
struct Asking<'a> {
    server: &'a Server,
    bound: &'a Bound,
    signed_in: &'a SignedIn,
}

async fn decide(
    asking: &Asking<'_>,
    origin: &Origin,
    answer: Answer,
) -> Result<Response, PageError> {
    let Asking { server, signed_in, .. } = *asking;
    let secret = name_of_request(&answer.request_id)?;
    let pending = match pending(asking, &secret).await? {
        Ok(pending) => pending,
        Err(declined) => return Ok(declined.answer(server.public_url.as_str())),
    };
    match answer.decision.as_str() {
        "deny" => deny(asking, origin, &secret, pending).await,
        "approve" => {
            let member = pending
                .members
                .iter()
                .find(|member| member.tenant.id.to_string() == answer.tenant)
                .ok_or(PageError::Forbidden("that is not one of your tenants"))?;
            let Some(stores) = chosen_stores(server, member, &answer.store).await? else {
                let error = Some("Choose at least one collection that the app may read.");
                return page(server, signed_in, &pending, answer.request_id, error).await;
            };
            approve(asking, origin, &secret, &pending, (member, &stores)).await
        }
        _ => Err(PageError::BadRequest("Choose Allow or Deny.")),
    }
}

/// The ticked stores that the tenant really has; `None` where none is left although there are some.
async fn chosen_stores(
    server: &Server,
    member: &Member,
    ticked: &[String],
) -> Result<Option<Vec<VectorStoreId>>, PageError> {
    let mut tx = server.db.tenant(member.scope()).await?;
    let all = vector_stores::store::list(&mut tx).await?;
    let is_ticked = |id: VectorStoreId| ticked.iter().any(|ticked| *ticked == id.to_string());
    let chosen: Vec<VectorStoreId> =
        all.iter().map(|store| store.id).filter(|id| is_ticked(*id)).collect();
    Ok((all.is_empty() || !chosen.is_empty()).then_some(chosen))
}

async fn approve(
    asking: &Asking<'_>,
    origin: &Origin,
    secret: &SecretHash,
    pending: &Pending,
    (member, stores): (&Member, &[VectorStoreId]),
) -> Result<Response, PageError> {
    let Asking { server, bound, .. } = *asking;
    let Pending { request, client, to, .. } = pending;
    let now = server.clock.now();
    let mut tx = server.db.control().await?;
    // The session said so a moment ago; the transaction that writes asks again.
    if tenants::store::find_role(&mut tx, member.tenant.id, member.user.id).await?.is_none() {
        return Err(PageError::Forbidden("you are not a member of this tenant any more"));
    }
    let grant = Grant {
        id: GrantId::new(),
        tenant: member.tenant.id,
        user: member.user.id,
        client_id: client.client_id.clone(),
        redirect_uri: request.redirect_uri.clone(),
        resource: request.resource.clone(),
        scope: Scope::from_names(&request.scope),
        expires_at: now + GRANT_LIVES,
    };
    let code = Plaintext::generate(Kind::AuthorizationCode);
    let proof = (request.code_challenge.as_str(), request.redirect_uri_was_sent);
    if !store_requests::decide(&mut tx, secret, &bound.browser, now).await? {
        return Err(DECIDED);
    }
    store_grants::create(&mut tx, &grant, stores, now).await?;
    store_tokens::create_code(&mut tx, &code.hash(), &grant, proof, (now, now + CODE_LIVES))
        .await?;
    let event = Event::new(Act::ConsentGiven, now)
        .tenant(grant.tenant)
        .user(grant.user)
        .client(&grant.client_id)
        .grant(grant.id)
        .from(origin)
        .with("client_name", client.client_name.as_str())
        .with("redirect_host", to.host())
        .with("vector_stores", stores.iter().map(ToString::to_string).collect::<Vec<_>>());
    audit::store::append_control(&mut tx, &event).await?;
    tx.commit().await?;

    let mut parameters = vec![("code", code.expose())];
    parameters.extend(request.state.as_deref().map(|state| ("state", state)));
    parameters.push(("iss", server.public_url.as_str()));
    Ok(allow_onward(to, to.answer(&parameters)))
}

async fn deny(
    asking: &Asking<'_>,
    origin: &Origin,
    secret: &SecretHash,
    pending: Pending,
) -> Result<Response, PageError> {
    let Asking { server, bound, signed_in } = *asking;
    let now = server.clock.now();
    let mut tx = server.db.control().await?;
    if !store_requests::decide(&mut tx, secret, &bound.browser, now).await? {
        return Err(DECIDED);
    }
    let mut event = Event::new(Act::ConsentDenied, now)
        .user(signed_in.user.id)
        .client(&pending.client.client_id)
        .from(origin)
        .with("client_name", pending.client.client_name.as_str());
    // With several tenants to choose from, it was denied in none of them.
    if let [only] = pending.members.as_slice() {
        event = event.tenant(only.tenant.id);
    }
    audit::store::append_control(&mut tx, &event).await?;
    tx.commit().await?;
    let declined = Declined {
        to: pending.to.clone(),
        error: ErrorCode::AccessDenied,
        description: "the user denied the request",
        state: pending.request.state,
    };
    Ok(allow_onward(&pending.to, declined.answer(server.public_url.as_str())))
}

fn name_of_request(text: &str) -> Result<SecretHash, PageError> {
    Plaintext::presented(Kind::AuthorizationRequest, text)
        .map(|secret| secret.hash())
        .ok_or(UNKNOWN)
}

const UNKNOWN: PageError = PageError::BadRequest(
    "This request has expired. Go back to the app and start connecting again.",
);

const DECIDED: PageError = PageError::BadRequest(
    "You have answered this request already. Go back to the app; if it is not connected, start \
     again there.",
);

/// Find the request and everything that it stands on; `Err` inside for what the client hears.
async fn pending(
    asking: &Asking<'_>,
    secret: &SecretHash,
) -> Result<Result<Pending, Declined>, PageError> {
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
        // Of a tenant that does not exist and one of others, the answer tells nothing apart.
        return Ok(Err(Declined {
            to,
            error: ErrorCode::InvalidTarget,
            description: "the user is not a member of any tenant that the resource names",
            state: request.state,
        }));
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
