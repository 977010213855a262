//! `/t/{tenant}/usage`: what assistants asked lately, what limits turned away, and the limits.

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use time::OffsetDateTime;

use super::{
    Admin, Desk, Notice, back,
    forms::After,
    limits::{Field, Form},
    outlive, view,
};
use crate::{
    audit::{self, Event, Kind, Origin},
    clock::Clock,
    db::Db,
    http::{Frame, Page, PageError, csrf::CsrfForm, extract::Query},
    limits,
    sign_in::TenantAdmin,
};

#[derive(Template)]
#[template(path = "admin/usage.html")]
struct Usage {
    frame: Frame,
    base: String,
    calls: Vec<Called>,
    refused: Vec<Refused>,
    fields: Vec<Field>,
}

struct Called {
    name: &'static str,
    minute: String,
    today: String,
    week: String,
}

struct Refused {
    limit: &'static str,
    today: String,
    week: String,
}

/// `GET /t/{tenant}/usage`
pub(super) async fn index(
    admin: TenantAdmin,
    State(db): State<Db>,
    State(clock): State<Clock>,
    Query(after): Query<After>,
) -> Result<Page<impl Template>, PageError> {
    let desk = Desk::from(admin);
    let frame = desk.frame("usage", after.notice.as_deref());
    let mut tx = db.control().await?;
    let own = limits::store::find(&mut tx, desk.tenant.id).await?;
    drop(tx);
    Ok(Page(page(&desk, &db, (frame, clock.now()), Field::chosen(&own)).await?))
}

async fn page(
    desk: &Desk,
    db: &Db,
    (frame, now): (Frame, OffsetDateTime),
    fields: Vec<Field>,
) -> Result<Usage, PageError> {
    let mut tx = db.tenant(desk.scope).await?;
    let called = audit::store::calls(&mut tx, now).await?;
    let refused = limits::store::refusals(&mut tx, now.date()).await?;
    drop(tx);
    let calls = TOOLS.into_iter().map(|(kind, name)| {
        let row = called.iter().find(|row| row.kind == kind.as_str());
        let number = |count: fn(&audit::store::Calls) -> i64| view::number(row.map_or(0, count));
        Called {
            name,
            minute: number(|row| row.minute),
            today: number(|row| row.today),
            week: number(|row| row.week),
        }
    });
    let refused = refused.into_iter().map(|row| Refused {
        limit: label(&row.limit_name),
        today: view::number(row.today),
        week: view::number(row.week),
    });
    Ok(Usage {
        frame,
        base: format!("{}/usage", desk.base()),
        calls: calls.collect(),
        refused: refused.collect(),
        fields,
    })
}

const TOOLS: [(Kind, &str); 3] = [
    (Kind::Search, "Searches"),
    (Kind::Fetch, "Documents read"),
    (Kind::UnknownTool, "Tools that do not exist"),
];

/// A limit, as an admin knows it.
fn label(name: &str) -> &'static str {
    match name {
        "token" => "One connection",
        "user" => "One member",
        "client" => "One app",
        "tenant" => "Everybody together",
        "at_once" => "At the same time",
        _ => "Another limit",
    }
}

/// `POST /t/{tenant}/usage`
pub(super) async fn update(
    admin: TenantAdmin,
    State(state): State<Admin>,
    origin: Origin,
    CsrfForm(form): CsrfForm<Form>,
) -> Result<Response, PageError> {
    let desk = Desk::from(admin);
    let mut tx = state.db.control().await?;
    let before = limits::store::find(&mut tx, desk.tenant.id).await?;
    drop(tx);
    let chosen = match form.parse(before.bounds()) {
        Ok(chosen) => chosen,
        Err(errors) => {
            let frame = (desk.frame("usage", None), state.clock.now());
            let fields = form.again(Field::chosen(&before), errors);
            let page = Page(page(&desk, &state.db, frame, fields).await?);
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
        }
    };
    let (tenant, by) = (desk.tenant.id, desk.by(origin, &state.clock));
    outlive(async move {
        if chosen == before.chosen {
            return Ok(());
        }
        let mut tx = state.db.control().await?;
        limits::store::choose(&mut tx, tenant, chosen).await?;
        let after = limits::TenantLimits { chosen, ..before };
        let event = Event::new(Kind::LimitsChanged, by.at)
            .tenant(tenant)
            .user(by.user)
            .from(&by.origin)
            .with("before", before.in_force().to_vec())
            .with("after", after.in_force().to_vec());
        audit::store::append_control(&mut tx, &event).await?;
        Ok(tx.commit().await?)
    })
    .await?;
    Ok(back(&format!("{}/usage", desk.base()), Notice::LimitsSaved).into_response())
}
