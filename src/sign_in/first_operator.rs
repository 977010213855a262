//! `/first-operator/{link}`: there is no default account; whoever may run `callslip operator`
//! gets a link that makes one, once (spec row W-27).

use askama::Template;
use axum::{
    Extension,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::{
    SignIn,
    pages::{Through, Visit, begin_session},
    store,
};
use crate::{
    audit::{self, Event, Kind},
    http::{
        Frame, Page, PageError,
        csrf::{Bound, CsrfForm},
        extract::Path,
    },
    secret::{self, Plaintext, Secret},
    tenants::DisplayName,
    users::{
        self, Email,
        password::{Busy, Password, PasswordHash},
        store::NewUser,
    },
};

#[derive(Template, Default)]
#[template(path = "sign_in/first_operator.html")]
struct FirstOperatorPage {
    frame: Frame,
    action: String,
    email: String,
    person: String,
    email_error: Option<String>,
    name_error: Option<String>,
    password_error: Option<String>,
}

/// The link in the path; one that is malformed names nothing.
fn presented(link: &str) -> Result<Plaintext, PageError> {
    Plaintext::presented(secret::Kind::OneTimeLink, link).ok_or(PageError::NotFound)
}

/// `GET /first-operator/{link}`: shows the form and changes nothing.
pub(super) async fn show(
    State(state): State<SignIn>,
    Path(link): Path<String>,
    Extension(bound): Extension<Bound>,
) -> Result<Page<impl Template>, PageError> {
    let link = presented(&link)?;
    let mut tx = state.gate.db.control().await?;
    if !store::operator_link_works(&mut tx, &link.hash(), state.gate.clock.now()).await? {
        return Err(PageError::NotFound);
    }
    Ok(Page(page(&bound, &link)))
}

fn page(bound: &Bound, link: &Plaintext) -> FirstOperatorPage {
    FirstOperatorPage {
        frame: Frame { csrf_token: bound.csrf_token(), ..Frame::default() },
        action: format!("/first-operator/{}", link.expose()),
        ..FirstOperatorPage::default()
    }
}

#[derive(Deserialize)]
pub(super) struct FirstOperatorForm {
    email: String,
    name: String,
    password: Secret,
    password_again: Secret,
}

/// A form that can be acted on.
struct Filled {
    email: Email,
    name: DisplayName,
    password: Password,
}

impl FirstOperatorForm {
    /// Everything that is wrong with it, each message beside its field.
    fn fill(&self, page: &mut FirstOperatorPage) -> Option<Filled> {
        let email = self.email.parse::<Email>().map_err(|e| page.email_error = Some(e.to_string()));
        let name =
            self.name.parse::<DisplayName>().map_err(|e| page.name_error = Some(e.to_string()));
        let about = [self.email.as_str(), self.name.as_str()];
        let password = Password::chosen(self.password.expose(), &about)
            .map_err(|e| page.password_error = Some(e.to_string()));
        if password.is_ok() && self.password.expose() != self.password_again.expose() {
            page.password_error = Some("the two are not the same".to_owned());
            return None;
        }
        Some(Filled { email: email.ok()?, name: name.ok()?, password: password.ok()? })
    }
}

/// `POST /first-operator/{link}`
pub(super) async fn create(
    State(state): State<SignIn>,
    Path(link): Path<String>,
    visit: Visit,
    CsrfForm(form): CsrfForm<FirstOperatorForm>,
) -> Result<Response, PageError> {
    let link = presented(&link)?;
    let mut tx = state.gate.db.control().await?;
    if !store::operator_link_works(&mut tx, &link.hash(), state.gate.clock.now()).await? {
        return Err(PageError::NotFound);
    }
    drop(tx); // hashing takes a while
    let mut page = FirstOperatorPage {
        email: form.email.clone(),
        person: form.name.clone(),
        ..page(&visit.bound, &link)
    };
    let Some(Filled { email, name, password }) = form.fill(&mut page) else {
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response());
    };
    let hash = state.hashing.hash(password).await.map_err(|Busy| PageError::Busy)?;
    redeem(&state, &link, &visit, (&email, &name, &hash), page).await
}

/// Spend the link, make the account and sign in, all or nothing.
async fn redeem(
    state: &SignIn,
    link: &Plaintext,
    visit: &Visit,
    (email, name, hash): (&Email, &DisplayName, &PasswordHash),
    mut page: FirstOperatorPage,
) -> Result<Response, PageError> {
    let now = state.gate.clock.now();
    let mut tx = state.gate.db.control().await?;
    if !store::redeem_operator_link(&mut tx, &link.hash(), now).await? {
        return Err(PageError::NotFound);
    }
    let new = NewUser { email, name, password: Some(hash), is_operator: true };
    let user = match users::store::create(&mut tx, &new, now).await? {
        Ok(user) => user,
        // Rolls back: the link is not spent.
        Err(taken) => {
            page.email_error = Some(taken.to_string());
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response());
        }
    };
    let event = Event::new(Kind::OperatorCreated, now).user(user.id).from(&visit.origin);
    audit::store::append_control(&mut tx, &event).await?;
    let cookie = begin_session(state, &mut tx, visit, (&user, Through::Password))
        .await?
        .ok_or(PageError::NotFound)?;
    tx.commit().await?;
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/operator")).into_response())
}
