//! `/t/{tenant}/settings/connection`: how the tenant presents its connection, and whether what its
//! documents say goes out between marks.

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Deserialize;

use super::{Admin, Desk, Notice, back, forms::After, settings};
use crate::{
    audit::Origin,
    db::Db,
    http::{Frame, Page, PageError, csrf::CsrfForm, extract::Query},
    sign_in::TenantAdmin,
    tenants::connection::{self, Changed, Connection, DESCRIPTION_MOST, NAME_MOST, TooLong},
};

#[derive(Template)]
#[template(path = "admin/connection.html")]
struct ConnectionPage {
    frame: Frame,
    base: String,
    settings_url: String,
    form: Form,
    errors: Errors,
    /// What somebody else has saved meanwhile.
    theirs: Option<Connection>,
}

/// The fields, as they were typed.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Form {
    seen: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    description: String,
    delimits_text: Option<String>,
    holds_documents: Option<String>,
}

#[derive(Debug, Default)]
struct Errors {
    name: Option<String>,
    description: Option<String>,
}

impl Form {
    fn of(connection: Connection) -> Self {
        Self {
            seen: settings::version(connection.updated_at),
            name: connection.name,
            description: connection.description,
            delimits_text: connection.delimits_text.then(|| "on".to_owned()),
            holds_documents: connection.holds_documents.then(|| "on".to_owned()),
        }
    }
}

impl From<TooLong> for Errors {
    fn from(too_long: TooLong) -> Self {
        let says = |is: bool, most: usize| is.then(|| format!("No more than {most} characters."));
        Self {
            name: says(too_long.name, NAME_MOST),
            description: says(too_long.description, DESCRIPTION_MOST),
        }
    }
}

/// `GET /t/{tenant}/settings/connection`
pub(super) async fn index(
    admin: TenantAdmin,
    State(db): State<Db>,
    Query(after): Query<After>,
) -> Result<Page<impl Template>, PageError> {
    let desk = Desk::from(admin);
    let mut tx = db.tenant(desk.scope).await?;
    let form = Form::of(connection::find(&mut tx).await?);
    let frame = desk.frame("settings", after.notice.as_deref());
    Ok(Page(page(&desk, frame, form, Errors::default())))
}

fn page(desk: &Desk, frame: Frame, form: Form, errors: Errors) -> ConnectionPage {
    let settings_url = format!("{}/settings", desk.base());
    let base = format!("{settings_url}/connection");
    ConnectionPage { frame, base, settings_url, form, errors, theirs: None }
}

/// `POST /t/{tenant}/settings/connection`
pub(super) async fn update(
    admin: TenantAdmin,
    State(state): State<Admin>,
    origin: Origin,
    CsrfForm(form): CsrfForm<Form>,
) -> Result<Response, PageError> {
    let desk = Desk::from(admin);
    let frame = desk.frame("settings", None);
    let wanted = match Connection::parse(&form.name, &form.description) {
        Ok(wanted) => Connection {
            delimits_text: form.delimits_text.is_some(),
            holds_documents: form.holds_documents.is_some(),
            ..wanted
        },
        Err(too_long) => {
            let page = Page(page(&desk, frame, form, too_long.into()));
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
        }
    };
    let by = (desk.actor(origin), state.clock.now());
    let mut tx = state.db.tenant(desk.scope).await?;
    let seen = settings::parse_version(&form.seen);
    let (actor, now) = &by;
    match connection::change(&mut tx, desk.tenant.id, &wanted, seen, (actor, *now)).await? {
        Changed::Stale(theirs) => {
            // Saving it again is a decision over what the other admin saved.
            let form = Form { seen: settings::version(theirs.updated_at), ..form };
            let page = ConnectionPage {
                theirs: Some(theirs),
                ..page(&desk, frame, form, Errors::default())
            };
            return Ok((StatusCode::CONFLICT, Page(page)).into_response());
        }
        Changed::Saved => tx.commit().await?,
        Changed::Same => {}
    }
    let path = format!("{}/settings/connection", desk.base());
    Ok(back(&path, Notice::RulesSaved).into_response())
}
