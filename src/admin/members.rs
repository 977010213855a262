//! `/t/{tenant}/members`: who belongs to the tenant, and what each may do.

use askama::Template;
use axum::extract::State;

use super::{
    Desk,
    view::{self, Moment},
};
use crate::{
    clock::Clock,
    db::Db,
    http::{Frame, Page, PageError},
    oauth,
    sign_in::TenantAdmin,
    tenants::{self, Role},
};

#[derive(Template)]
#[template(path = "admin/members.html")]
pub(super) struct Members {
    frame: Frame,
    tenant_slug: String,
    members: Vec<Row>,
}

struct Row {
    email: String,
    name: String,
    you: bool,
    disabled: bool,
    role: &'static str,
    tone: &'static str,
    apps: String,
    since: Moment,
}

/// `GET /t/{tenant}/members`
pub(super) async fn index(
    admin: TenantAdmin,
    State(db): State<Db>,
    State(clock): State<Clock>,
) -> Result<Page<Members>, PageError> {
    let desk = Desk::from(admin);
    let mut tx = db.control().await?;
    let members = tenants::store::members(&mut tx, desk.tenant.id).await?;
    let counts = oauth::apps::count_by_user(&mut tx, desk.tenant.id, clock.now()).await?;
    drop(tx);
    let row = |member: tenants::TenantMember| Row {
        you: member.user_id == desk.user.id,
        apps: view::number(counts.get(&member.user_id).copied().unwrap_or(0)),
        role: role(member.role),
        tone: tone(member.role),
        since: member.created_at.into(),
        disabled: member.is_disabled,
        email: member.email,
        name: member.name,
    };
    Ok(Page(Members {
        frame: desk.frame("members", None),
        members: members.into_iter().map(row).collect(),
        tenant_slug: desk.tenant.slug,
    }))
}

/// A role as a heading spells it.
pub(super) const fn role(role: Role) -> &'static str {
    match role {
        Role::Reader => "Reader",
        Role::Admin => "Admin",
        Role::Owner => "Owner",
    }
}

/// The tone of its badge.
pub(super) const fn tone(role: Role) -> &'static str {
    match role {
        Role::Reader => "plain",
        Role::Admin => "info",
        Role::Owner => "good",
    }
}
