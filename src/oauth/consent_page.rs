//! The consent page: who asks, for what, where, and for how long.

use askama::Template;
use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};

use super::{
    Server, app_rules::Ruling, asker::Asker, pending::Pending, redirect_uri::ReturnPath,
    scope::Scope,
};
use crate::{
    http::{Frame, Page, PageError, headers},
    sign_in::{Member, SignedIn},
    tenants::connection::{self, Connection},
    vector_stores::{self, Backend},
};

#[derive(Template)]
#[template(path = "oauth/consent.html")]
struct ConsentPage {
    frame: Frame,
    request_id: String,
    asker: Asker,
    redirect_host: String,
    way: Way,
    email: String,
    tenants: Vec<TenantChoice>,
    scopes: Vec<ScopeLine>,
    lifetime: &'static str,
    may_approve: bool,
    error: Option<&'static str>,
}

/// How the answer travels, for the warning that goes with it.
enum Way {
    /// To a host.
    Web,
    /// To whatever listens on a port of the user's own device.
    Loopback,
    /// To whichever app on the device opens links of a scheme.
    PrivateUse,
}

impl Way {
    fn of(to: &ReturnPath) -> Self {
        match to.scheme() {
            "https" => Self::Web,
            "http" => Self::Loopback,
            _ => Self::PrivateUse,
        }
    }
}

struct TenantChoice {
    id: String,
    name: String,
    connection: Connection,
    chosen: bool,
    ruling: Ruling,
    stores: Vec<StoreChoice>,
}

struct StoreChoice {
    id: String,
    name: String,
    about: &'static str,
    chosen: bool,
}

struct ScopeLine {
    words: &'static str,
}

/// A form that could not be carried out: it comes back as it was sent, so that nothing is granted
/// that the user had not ticked.
#[derive(Clone, Copy)]
pub(super) struct Again<'a> {
    pub(super) tenant: &'a str,
    pub(super) stores: &'a [String],
    pub(super) error: &'static str,
}

/// The page, filled in: the first time with every store ticked.
pub(super) async fn page(
    server: &Server,
    signed_in: &SignedIn,
    pending: &Pending,
    request_id: String,
    again: Option<Again<'_>>,
) -> Result<Response, PageError> {
    let Pending { request, client, to, members, .. } = pending;
    let mut choices = Vec::with_capacity(members.len());
    for member in members {
        let id = member.tenant.id.to_string();
        // Given back before the next connection is asked for, or two pages could wait for each other.
        let mut tx = server.db.control().await?;
        let ruling = Ruling::find(&mut tx, pending, member).await?;
        drop(tx);
        let mut tx = server.db.tenant(member.scope()).await?;
        let connection = connection::find(&mut tx).await?;
        drop(tx);
        choices.push(TenantChoice {
            chosen: again.is_some_and(|again| again.tenant == id),
            id,
            name: member.tenant.name.clone(),
            connection,
            ruling,
            stores: store_choices(server, member, again).await?,
        });
    }
    if again.is_none() {
        // The first one that lets the app in.
        let first = choices.iter().position(|choice| choice.ruling.admits).unwrap_or(0);
        choices[first].chosen = true;
    }
    let scope = Scope::from_names(&request.scope);
    let page = ConsentPage {
        frame: signed_in.frame.clone(),
        request_id,
        asker: Asker::of(client, to),
        redirect_host: to.host(),
        way: Way::of(to),
        email: signed_in.user.email.clone(),
        may_approve: choices.iter().any(|choice| choice.ruling.admits),
        tenants: choices,
        scopes: scope.words().into_iter().map(|words| ScopeLine { words }).collect(),
        lifetime: "For 90 days at most. It ends before that when you or an admin revoke it, or \
                   when it is not used for 30 days.",
        error: again.map(|again| again.error),
    };
    Ok(allow_onward(to, Page(page).into_response()))
}

/// Every store, with its tick.
async fn store_choices(
    server: &Server,
    member: &Member,
    again: Option<Again<'_>>,
) -> Result<Vec<StoreChoice>, PageError> {
    let mut tx = server.db.tenant(member.scope()).await?;
    let stores = vector_stores::store::list(&mut tx).await?;
    Ok(stores
        .into_iter()
        .map(|store| (store.id.to_string(), store))
        .map(|(id, store)| StoreChoice {
            chosen: again.is_none_or(|again| again.stores.contains(&id)),
            id,
            name: store.name,
            about: match store.backend {
                Backend::Builtin => "documents kept here",
                Backend::OpenAi { .. } => "OpenAI vector store",
            },
        })
        .collect())
}

/// Chromium applies a page's `form-action` to every redirect that follows its form, so this page,
/// and no other, lets the way to the client be open (design decision 13). The scheme holds nothing
/// but letters, digits and `+-.`.
pub(super) fn allow_onward(to: &ReturnPath, mut response: Response) -> Response {
    let mut sources = "'self' https: http://127.0.0.1:* http://localhost:*".to_owned();
    // A source cannot name an IPv6 address: a client at [::1] needs the scheme as a whole.
    if to.scheme() != "https" && !["127.0.0.1", "localhost"].contains(&to.host().as_str()) {
        sources.push(' ');
        sources.push_str(to.scheme());
        sources.push(':');
    }
    let policy = headers::CSP.replace("form-action 'self'", &format!("form-action {sources}"));
    let value = HeaderValue::from_str(&policy).expect("ASCII");
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, value);
    response
}
