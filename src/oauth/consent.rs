//! `/oauth/consent`: the user sees who asks for what, and answers.
//!
//! Asked on every authorization (spec row C-01): anybody can register a client under any name. All
//! that the answer goes by was stored when the request was checked; the form adds the tenant, the
//! vector stores and the decision, and each of those is checked against what the user may do.

use axum::{Extension, extract::State, response::Response};
use serde::Deserialize;
use time::Duration;

use super::{
    Server, app_rules,
    consent_page::{Again, allow_onward, page},
    declined::Declined,
    error::ErrorCode,
    pending::{self, Asking, CHANGED, DECIDED, Pending, Standing},
    scope::Scope,
    store_clients,
    store_grants::{self, Grant},
    store_requests, store_tokens,
};
use crate::{
    audit::{self, Event, Kind as Act, Origin},
    http::{
        PageError,
        csrf::{Bound, CsrfForm},
        extract::{Query, ticks},
    },
    ids::{GrantId, VectorStoreId},
    secret::{Kind, Plaintext},
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
    #[serde(default)]
    decision: String,
    /// In the place of a decision: the tenant whose admin is asked for the app.
    ask: Option<String>,
}

/// Step 5: show who asks for what.
pub(super) async fn show(
    State(server): State<Server>,
    Extension(bound): Extension<Bound>,
    Query(asked): Query<Asked>,
    signed_in: SignedIn,
) -> Result<Response, PageError> {
    let asking = Asking { server: &server, bound: &bound, signed_in: &signed_in };
    let pending = match pending::find(&asking, &asked.request_id).await? {
        Standing::Open(pending) => pending,
        Standing::Shut(page) => return Ok(page),
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

async fn decide(
    asking: &Asking<'_>,
    origin: &Origin,
    answer: Answer,
) -> Result<Response, PageError> {
    let Asking { server, signed_in, .. } = *asking;
    let pending = match pending::find(asking, &answer.request_id).await? {
        Standing::Open(pending) => pending,
        Standing::Shut(page) => return Ok(page),
    };
    if let Some(tenant) = &answer.ask {
        return app_rules::ask(asking, origin, &pending, (tenant, &answer.request_id)).await;
    }
    match answer.decision.as_str() {
        "deny" => deny(asking, origin, *pending).await,
        "approve" => {
            let member = pending
                .members
                .iter()
                .find(|member| member.tenant.id.to_string() == answer.tenant)
                .ok_or(PageError::Forbidden("that is not one of your tenants"))?;
            let Some(stores) = chosen_stores(server, member, &answer.store).await? else {
                let again = Again {
                    tenant: &answer.tenant,
                    stores: &answer.store,
                    error: "Choose at least one collection that the app may read.",
                };
                return page(server, signed_in, &pending, answer.request_id, Some(again)).await;
            };
            approve(asking, origin, &pending, (member, &stores)).await
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
    pending: &Pending,
    (member, stores): (&Member, &[VectorStoreId]),
) -> Result<Response, PageError> {
    let Asking { server, bound, signed_in } = *asking;
    let Pending { secret, request, client, to, .. } = pending;
    let now = server.clock.now();
    let mut tx = server.db.control().await?;
    // The page said so a moment ago; the transaction that writes asks again.
    let current = store_clients::find(&mut tx, &client.client_id).await?;
    if current.is_none_or(|current| current.version != request.client_version) {
        return Err(CHANGED);
    }
    if tenants::store::find_role(&mut tx, member.tenant.id, member.user.id).await?.is_none() {
        return Err(PageError::Forbidden("you are not a member of this tenant any more"));
    }
    if !app_rules::admits(&mut tx, pending, member).await? {
        return Err(app_rules::SHUT_OUT);
    }
    let grant = Grant {
        id: GrantId::new(),
        tenant: member.tenant.id,
        user: Some(member.user.id),
        client_id: client.client_id.clone(),
        client_version: request.client_version,
        redirect_uri: request.redirect_uri.clone(),
        resource: request.resource.clone(),
        resource_was_sent: request.resource_was_sent,
        scope: Scope::from_names(&request.scope),
        dpop_jkt: request.dpop_jkt.clone(),
        expires_at: now + GRANT_LIVES,
    };
    let code = Plaintext::generate(Kind::AuthorizationCode);
    let bound_to = (request.code_challenge.as_str(), &signed_in.session.hash);
    if !store_requests::decide(&mut tx, secret, &bound.browser, now).await? {
        return Err(DECIDED);
    }
    store_grants::create(&mut tx, &grant, stores, now).await?;
    store_tokens::create_code(&mut tx, &code.hash(), &grant, bound_to, (now, now + CODE_LIVES))
        .await?;
    let event = grant
        .event(Act::ConsentGiven, (now, origin))
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
    pending: Pending,
) -> Result<Response, PageError> {
    let Asking { server, bound, signed_in } = *asking;
    let now = server.clock.now();
    let mut tx = server.db.control().await?;
    if !store_requests::decide(&mut tx, &pending.secret, &bound.browser, now).await? {
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
    let wrong = (ErrorCode::AccessDenied, "the user denied the request");
    let declined = Declined::new(pending.to, wrong, pending.request.state);
    let answer = declined.answer(server.public_url.as_str());
    Ok(allow_onward(&declined.to, answer))
}
