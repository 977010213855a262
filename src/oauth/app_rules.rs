//! What a tenant's rules say to an app, on the consent page and when the member approves.

use axum::response::{IntoResponse, Redirect, Response};

use super::{
    approvals::{self, Asked, Known},
    apps::By,
    client::Client,
    pending::{Asking, CHANGED, Pending},
    place, store_approvals,
    tenant_policy::{self, AppsRule, TenantPolicy},
};
use crate::{
    audit::Origin,
    db::ControlTx,
    http::PageError,
    sign_in::Member,
    tenants::{self, Role},
};

pub(super) const SHUT_OUT: PageError = PageError::Forbidden(
    "the tenant does not let its members connect this app; go back and reload the page to see why",
);

/// Apps that fewer other members have connected are pointed out (spec row C-12).
const KNOWN_FROM: i64 = 2;

/// A tenant's rules for one app, in words for one of its members.
#[derive(Default)]
pub(super) struct Ruling {
    /// Whether the member may let the app in.
    pub(super) admits: bool,
    /// Why not.
    pub(super) reason: Option<String>,
    /// The label of the button that asks for it, where that helps.
    pub(super) ask: Option<String>,
    /// Worth knowing before letting it in.
    pub(super) remark: Option<String>,
}

impl Ruling {
    /// Step 5: for the page.
    pub(super) async fn find(
        tx: &mut ControlTx,
        pending: &Pending,
        member: &Member,
    ) -> sqlx::Result<Self> {
        let policy = tenant_policy::find(tx, member.tenant.id).await?;
        let known = known(tx, pending, member).await?;
        let place = place_of(pending);
        let mut ruling = match known {
            Some(known) if policy.admits(&place, known.approved == Some(true)) => Self {
                admits: true,
                remark: remark(&member.tenant.name, known.others),
                ..Self::default()
            },
            known => Self {
                remark: (policy.apps == AppsRule::Approval).then(|| reach(pending)).flatten(),
                ..refusal(&policy, &place, known.as_ref(), member)
            },
        };
        let is_bound = pending.request.dpop_jkt.is_some() || pending.client.dpop_bound;
        if ruling.admits && policy.require_dpop && !is_bound {
            ruling.remark = Some(format!(
                "{} lets in only apps that bind their tokens to a key of their own (DPoP). Most \
                 assistants cannot, and then connecting fails after this page.",
                member.tenant.name,
            ));
        }
        Ok(ruling)
    }
}

/// Step 6: whether the tenant lets this app in, asked in the transaction that does. Nobody changes
/// the tenant's rules before it ends.
pub(super) async fn admits(
    tx: &mut ControlTx,
    pending: &Pending,
    member: &Member,
) -> sqlx::Result<bool> {
    tenant_policy::hold(tx, member.tenant.id).await?;
    let policy = tenant_policy::find(tx, member.tenant.id).await?;
    let known = known(tx, pending, member).await?;
    Ok(known.is_some_and(|known| policy.admits(&place_of(pending), known.approved == Some(true))))
}

fn place_of(pending: &Pending) -> String {
    let Client { source, client_id, .. } = &pending.client;
    place::of(*source, client_id, &pending.request.redirect_uri)
}

fn places_of(pending: &Pending) -> String {
    let Client { source, client_id, redirect_uris, .. } = &pending.client;
    place::all_of(*source, client_id, redirect_uris)
}

/// An approval covers every place of the app, so that nobody asks for, or gives, more than they saw.
fn reach(pending: &Pending) -> Option<String> {
    let places = places_of(pending);
    places.contains(", ").then(|| {
        format!("An approval covers every place that this app may send its answers to: {places}.")
    })
}

async fn known(
    tx: &mut ControlTx,
    pending: &Pending,
    member: &Member,
) -> sqlx::Result<Option<Known>> {
    // What the user saw: the client may have become another app since.
    let client = (pending.client.client_id.as_str(), pending.request.client_version);
    store_approvals::find(tx, member.tenant.id, member.user.id, client).await
}

fn remark(tenant: &str, others: i64) -> Option<String> {
    match others {
        0 => Some(format!("Nobody else at {tenant} has connected this app before.")),
        others if others < KNOWN_FROM => {
            Some(format!("Only one other person at {tenant} has connected this app before."))
        }
        _ => None,
    }
}

fn refusal(policy: &TenantPolicy, place: &str, known: Option<&Known>, member: &Member) -> Ruling {
    let tenant = member.tenant.name.as_str();
    let is_admin = member.role.is_admin();
    let (reason, ask) = match policy.apps {
        AppsRule::Off => (format!("{tenant} does not let members connect apps."), None),
        AppsRule::AllowList => (
            format!(
                "{tenant} lets members connect apps of certain hosts only. {place} is not among them."
            ),
            None,
        ),
        AppsRule::Open | AppsRule::Approval => {
            let reason = match known {
                Some(Known { approved: Some(false), .. }) => {
                    format!("An admin of {tenant} has decided against this app.")
                }
                Some(Known { requested_at: Some(_), .. }) if !is_admin => format!(
                    "An admin of {tenant} has been asked to approve this app. Once that has \
                     happened, connect it again.",
                ),
                _ => format!("At {tenant}, an admin approves each app before members connect it."),
            };
            let ask = match known {
                _ if is_admin => Some(format!("Approve it for {tenant}")),
                Some(Known { requested_at: None, .. }) => Some(format!("Ask an admin of {tenant}")),
                _ => None,
            };
            (reason, ask)
        }
    };
    Ruling { admits: false, reason: Some(reason), ask, remark: None }
}

/// Ask an admin for the app, then back to the page, which says so.
pub(super) async fn ask(
    asking: &Asking<'_>,
    origin: &Origin,
    pending: &Pending,
    (tenant, request_id): (&str, &str),
) -> Result<Response, PageError> {
    let member = pending
        .members
        .iter()
        .find(|member| member.tenant.id.to_string() == tenant)
        .ok_or(PageError::Forbidden("that is not one of your tenants"))?;
    let mut tx = asking.server.db.control().await?;
    // The session said so a moment ago; the transaction that writes asks again.
    let role = tenants::store::find_role(&mut tx, member.tenant.id, member.user.id).await?;
    let Some(role) = role else {
        return Err(PageError::Forbidden("you are not a member of this tenant any more"));
    };
    let known = known(&mut tx, pending, member).await?.ok_or(CHANGED)?;
    let asked = Asked {
        tenant: member.tenant.id,
        user: member.user.id,
        app: known.identity,
        client_name: &pending.client.client_name,
        place: &places_of(pending),
    };
    let by = By {
        user: member.user.id,
        only_own: false,
        origin: origin.clone(),
        at: asking.server.clock.now(),
    };
    approvals::ask(&mut tx, &asked, Role::is_admin(role), &by).await?;
    tx.commit().await?;
    let back = format!("/oauth/consent?request_id={request_id}");
    Ok(Redirect::to(&back).into_response())
}
