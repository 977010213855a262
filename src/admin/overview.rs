//! `/t/{tenant}`: the URL to paste, and what there is.

use askama::Template;
use axum::extract::State;
use time::{Duration, OffsetDateTime};

use super::{Desk, activity, problems, view};
use crate::{
    audit::{self, Kind, store::Row},
    clock::Clock,
    config::PublicUrl,
    db::{Db, TenantTx},
    documents,
    http::{Frame, Page, PageError},
    oauth,
    sign_in::Member,
    tenants::{
        self,
        connection::{self, Connection},
    },
    vector_stores,
};

/// How many events the page shows.
const RECENT: i64 = 6;
/// How long the page tells of somebody who read far more than usual.
const TOLD: Duration = Duration::days(1);

#[derive(Template)]
#[template(path = "admin/overview.html")]
pub(super) struct Overview {
    frame: Frame,
    tenant_name: String,
    connection: Connection,
    mcp_url: String,
    connector_name: String,
    local: bool,
    may_manage: bool,
    counts: Vec<Count>,
    recent: Vec<activity::Line>,
    activity_url: String,
    apps_url: String,
    waiting: Option<String>,
    unusual: Option<activity::Line>,
    setup: Option<Setup>,
    problems: Vec<problems::Line>,
    may_dismiss: bool,
}

struct Count {
    label: &'static str,
    value: String,
    /// `None` where the visitor may not go.
    url: Option<String>,
}

/// What to do before an assistant can find anything.
struct Setup {
    text: &'static str,
    url: String,
    link: &'static str,
}

/// What there is, with the way to it for those who may go there.
fn counts(
    desk: &Desk,
    (documents, stores): (i64, usize),
    (apps, members): (i64, usize),
) -> Vec<Count> {
    let base = desk.base();
    let may = |path: &str| desk.may_manage.then(|| format!("{base}/{path}"));
    let count = |label, value: i64, url| Count { label, value: view::number(value), url };
    let counted = |length: usize| i64::try_from(length).unwrap_or(i64::MAX);
    let mut counts = vec![
        count("Documents", documents, Some(format!("{base}/documents"))),
        count("Vector stores", counted(stores), may("vector-stores")),
        count("Connected apps", apps, Some(format!("{base}/apps"))),
    ];
    if desk.may_manage {
        counts.push(count("Members", counted(members), may("members")));
    }
    counts
}

/// `GET /t/{tenant}`
pub(super) async fn index(
    member: Member,
    State(db): State<Db>,
    State(clock): State<Clock>,
    State(public_url): State<PublicUrl>,
) -> Result<Page<Overview>, PageError> {
    let desk = Desk::from(member);
    let mut tx = db.tenant(desk.scope).await?;
    let (documents, _) = documents::store::usage(&mut tx).await?;
    let stores = vector_stores::store::list(&mut tx).await?;
    let connection = connection::find(&mut tx).await?;
    let (recent, unusual) = match desk.may_manage {
        true => happened(&mut tx, clock.now()).await?,
        false => (Vec::new(), Vec::new()),
    };
    drop(tx);
    let only = (!desk.may_manage).then_some(desk.user.id);
    let mut tx = db.control().await?;
    let waiting = if desk.may_manage {
        oauth::approvals::count_waiting(&mut tx, desk.tenant.id).await?
    } else {
        0
    };
    let apps = oauth::apps::count(&mut tx, desk.tenant.id, only, clock.now()).await?;
    let members = tenants::store::members(&mut tx, desk.tenant.id).await?.len();
    let recent = activity::lines(&mut tx, recent).await?;
    let unusual = activity::lines(&mut tx, unusual).await?.pop();
    let problems =
        if desk.may_manage { problems::lines(&mut tx, clock.now()).await? } else { Vec::new() };
    drop(tx);

    let base = desk.base();
    let counts = counts(&desk, (documents, stores.len()), (apps, members));
    let builtin_only = stores.iter().all(|store| store.backend.name() == "builtin");
    Ok(Page(Overview {
        setup: desk
            .may_manage
            .then(|| setup(stores.is_empty(), builtin_only && documents == 0, &base))
            .flatten(),
        apps_url: format!("{base}/apps"),
        waiting: (waiting > 0).then(|| {
            let (one, many) = ("app waits for your approval.", "apps wait for your approval.");
            view::count(waiting, one, many)
        }),
        unusual,
        activity_url: format!("{base}/activity"),
        mcp_url: format!("{}{base}/mcp", public_url.as_str()),
        local: !public_url.is_https(),
        frame: desk.frame("overview", None),
        may_manage: desk.may_manage,
        connector_name: desk.tenant.slug,
        tenant_name: desk.tenant.name,
        connection,
        counts,
        recent,
        problems,
        may_dismiss: false,
    }))
}

/// The newest events, and whether somebody has just read far more than usual.
async fn happened(tx: &mut TenantTx, now: OffsetDateTime) -> sqlx::Result<(Vec<Row>, Vec<Row>)> {
    let recent = audit::store::list(tx, None, None, RECENT).await?;
    let unusual = Some(Kind::UnusualReading.as_str());
    let mut unusual = audit::store::list(tx, unusual, None, 1).await?;
    unusual.retain(|row| now - row.at < TOLD);
    Ok((recent, unusual))
}

fn setup(no_store: bool, no_document: bool, base: &str) -> Option<Setup> {
    if no_store {
        Some(Setup {
            text: "There is nothing to search yet.",
            url: format!("{base}/vector-stores"),
            link: "Add a vector store",
        })
    } else if no_document {
        Some(Setup {
            text: "The vector store is empty.",
            url: format!("{base}/documents"),
            link: "Add documents",
        })
    } else {
        None
    }
}
