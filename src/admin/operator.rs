//! `/operator`: the installation's tenants by number, its signing keys, and whether its parts are
//! well.

use std::collections::HashMap;

use askama::Template;
use axum::extract::State;

use super::{
    Admin, Notice,
    forms::After,
    problems,
    view::{self, Moment},
};
use crate::{
    config::PublicUrl,
    http::{Frame, Page, PageError, extract::Query},
    limits::Limits,
    oauth::{
        self,
        rotation::{self, SigningKey, State as KeyState},
    },
    sign_in::Operator,
    tenants,
};

#[derive(Template)]
#[template(path = "operator/overview.html")]
pub(super) struct Overview {
    frame: Frame,
    health: Vec<Check>,
    tenants: Vec<Row>,
    keys: Vec<Key>,
    problems: Vec<problems::Line>,
    may_dismiss: bool,
}

struct Check {
    name: &'static str,
    tone: &'static str,
    status: &'static str,
    detail: String,
}

struct Row {
    slug: String,
    name: String,
    suspended: bool,
    members: String,
    apps: String,
    since: Moment,
}

struct Key {
    kid: String,
    state: &'static str,
    tone: &'static str,
    published: Moment,
    signs_from: Moment,
    retired: Option<Moment>,
}

impl From<SigningKey> for Key {
    fn from(key: SigningKey) -> Self {
        let (state, tone) = match key.state {
            KeyState::Published => ("Published", "plain"),
            KeyState::Signs => ("Signs", "good"),
            KeyState::Verifies => ("Verifies", "plain"),
            KeyState::Retired => ("Retired", "warn"),
        };
        Self {
            kid: key.kid,
            state,
            tone,
            published: key.published_at.into(),
            signs_from: key.activates_at.into(),
            retired: key.retired_at.map(Moment::from),
        }
    }
}

/// `GET /operator`
pub(super) async fn index(
    operator: Operator,
    State(state): State<Admin>,
    Query(after): Query<After>,
) -> Result<Page<Overview>, PageError> {
    let Admin { db, clock, public_url, limits, .. } = state;
    let mut tx = db.control().await?;
    let tenants = tenants::store::list(&mut tx).await?;
    let mut apps = HashMap::new();
    for tenant in &tenants {
        let count = oauth::apps::count(&mut tx, tenant.id, None, clock.now()).await?;
        apps.insert(tenant.id, count);
    }
    let problems = problems::lines(&mut tx, clock.now()).await?;
    let keys = rotation::list(&mut tx, clock.now()).await?;
    drop(tx);
    let row = |tenant: tenants::TenantOverview| Row {
        members: view::number(tenant.members),
        apps: view::number(apps.get(&tenant.id).copied().unwrap_or(0)),
        since: tenant.created_at.into(),
        suspended: tenant.is_suspended,
        slug: tenant.slug,
        name: tenant.name,
    };
    Ok(Page(Overview {
        health: health(&public_url, &limits),
        tenants: tenants.into_iter().map(row).collect(),
        keys: keys.into_iter().map(Key::from).collect(),
        problems,
        may_dismiss: true,
        frame: Frame {
            active: "operator",
            notice: Notice::named(after.notice.as_deref()),
            ..operator.frame
        },
    }))
}

/// This page is answered only when the database is well; the rest can be off.
fn health(public_url: &PublicUrl, limits: &Limits) -> Vec<Check> {
    let address = public_url.as_str().to_owned();
    let mut checks = vec![
        Check { name: "Database", tone: "good", status: "Well", detail: "It answers.".to_owned() },
        if public_url.is_https() {
            Check { name: "Address", tone: "good", status: "Public", detail: address }
        } else {
            Check { name: "Address", tone: "warn", status: "This machine only", detail: address }
        },
    ];
    let name = "Shared limits";
    checks.extend(limits.are_shared().map(|shared| match shared {
        true => Check { name, tone: "good", status: "Well", detail: "Valkey answers.".to_owned() },
        false => {
            let detail = "Valkey does not answer: each node lets its share through.".to_owned();
            Check { name, tone: "warn", status: "Lost", detail }
        }
    }));
    checks
}
