//! `/t/{tenant}/sign-in`: the tenant's own sign-in, through an OpenID provider of its choice.
//!
//! Admins see it. Only owners change it: whoever chooses the provider decides who every member is,
//! owners included.

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::{
    Admin, Desk, Notice, back,
    forms::{After, Nothing},
    outlive,
    view::Moment,
};
use crate::{
    audit::Origin,
    http::{
        Frame, Page, PageError,
        csrf::CsrfForm,
        extract::{Path, Query},
    },
    ids::UserId,
    secret::Secret,
    sign_in::{
        TenantAdmin,
        sso::{
            Sso,
            settings::{By, Linked, Shown, Wanted, Wrong},
        },
    },
    tenants::Role,
};

#[derive(Template)]
#[template(path = "admin/sign_in.html")]
struct SignInPage {
    frame: Frame,
    base: String,
    remove_url: String,
    redirect_uri: String,
    /// Where members find the button.
    link: String,
    may_change: bool,
    kept: Option<Kept>,
    form: Form,
    errors: Errors,
    members: Vec<Row>,
}

struct Kept {
    enabled: bool,
    issuer: String,
    since: Moment,
}

struct Row {
    name: String,
    email: String,
    used: Moment,
    is_removed: bool,
    url: String,
    id: String,
}

/// The fields, as they were typed; the secret is not among what is printed back.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Form {
    issuer: String,
    client_id: String,
    client_secret: Option<Secret>,
    enabled: Option<String>,
}

#[derive(Debug, Default)]
struct Errors {
    issuer: Option<&'static str>,
    client_id: Option<&'static str>,
    client_secret: Option<&'static str>,
}

/// `GET /t/{tenant}/sign-in`
pub(super) async fn index(
    admin: TenantAdmin,
    State(sso): State<Sso>,
    Query(after): Query<After>,
) -> Result<Page<impl Template>, PageError> {
    let may_change = admin.role == Role::Owner;
    let desk = Desk::from(admin);
    let (shown, linked) = sso.show(desk.scope).await?;
    let form = shown.as_ref().map_or_else(Form::new, Form::of);
    let frame = desk.frame("settings", after.notice.as_deref());
    let page = page((&desk, &sso, may_change), frame, (shown, linked), form);
    Ok(Page(page))
}

fn page(
    (desk, sso, may_change): (&Desk, &Sso, bool),
    frame: Frame,
    (shown, linked): (Option<Shown>, Vec<Linked>),
    form: Form,
) -> SignInPage {
    let base = format!("{}/sign-in", desk.base());
    let members = linked.into_iter().map(|link| Row {
        url: format!("{base}/members/{}", link.user),
        id: link.user.to_string(),
        name: link.name,
        email: link.email,
        used: Moment::from(link.used_at),
        is_removed: link.is_removed,
    });
    SignInPage {
        frame,
        redirect_uri: sso.redirect_uri(&desk.tenant.slug),
        link: sso.link(&desk.tenant.slug),
        may_change,
        kept: shown.map(|shown| Kept {
            enabled: shown.enabled,
            issuer: shown.issuer,
            since: Moment::from(shown.updated_at),
        }),
        form,
        errors: Errors::default(),
        members: members.collect(),
        remove_url: format!("{base}/remove"),
        base,
    }
}

impl Form {
    fn new() -> Self {
        Self { enabled: Some("on".to_owned()), ..Self::default() }
    }

    fn of(shown: &Shown) -> Self {
        Self {
            issuer: shown.issuer.clone(),
            client_id: shown.client_id.clone(),
            client_secret: None,
            enabled: shown.enabled.then(|| "on".to_owned()),
        }
    }
}

const OWNERS_ONLY: PageError = PageError::Forbidden(
    "only an owner of this tenant may do that: a sign-in provider decides who every member is",
);

/// Leave to change it.
fn owner(admin: &TenantAdmin, origin: Origin) -> Result<By, PageError> {
    if admin.role != Role::Owner {
        return Err(OWNERS_ONLY);
    }
    let actor = crate::audit::Actor { user: Some(admin.user.id), origin: Some(origin) };
    Ok(By { scope: admin.scope(), actor })
}

/// `POST /t/{tenant}/sign-in`
pub(super) async fn save(
    admin: TenantAdmin,
    State(sso): State<Sso>,
    origin: Origin,
    CsrfForm(form): CsrfForm<Form>,
) -> Result<Response, PageError> {
    let by = owner(&admin, origin)?;
    let desk = Desk::from(admin);
    let wanted = Wanted {
        issuer: form.issuer.trim().to_owned(),
        client_id: form.client_id.trim().to_owned(),
        client_secret: form.client_secret.clone().filter(|secret| !secret.expose().is_empty()),
        enabled: form.enabled.is_some(),
    };
    let acting = sso.clone();
    let saved = outlive(async move { Ok(acting.save(&by, wanted).await?) });
    let Err(wrong) = saved.await? else {
        return Ok(back(&format!("{}/sign-in", desk.base()), Notice::ProviderSaved).into_response());
    };
    let shown = sso.show(desk.scope).await?;
    let mut page = page((&desk, &sso, true), desk.frame("settings", None), shown, form);
    match wrong {
        Wrong::Issuer(sentence) => page.errors.issuer = Some(sentence),
        Wrong::ClientId(sentence) => page.errors.client_id = Some(sentence),
        Wrong::ClientSecret(sentence) => page.errors.client_secret = Some(sentence),
    }
    Ok((StatusCode::UNPROCESSABLE_ENTITY, Page(page)).into_response())
}

/// `POST /t/{tenant}/sign-in/remove`
pub(super) async fn remove(
    admin: TenantAdmin,
    State(sso): State<Sso>,
    origin: Origin,
    CsrfForm(Nothing {}): CsrfForm<Nothing>,
) -> Result<Redirect, PageError> {
    let by = owner(&admin, origin)?;
    outlive(async move { Ok(sso.remove(&by).await?) }).await?;
    done_or_gone(true, &Desk::from(admin), Notice::ProviderRemoved)
}

/// `POST /t/{tenant}/sign-in/members/{member}/remove`
pub(super) async fn remove_link(
    admin: TenantAdmin,
    State(state): State<Admin>,
    Path((_, member)): Path<(String, UserId)>,
    origin: Origin,
    CsrfForm(Nothing {}): CsrfForm<Nothing>,
) -> Result<Redirect, PageError> {
    let by = owner(&admin, origin)?;
    let done = outlive(async move { Ok(state.sso.remove_link(&by, member).await?) });
    done_or_gone(done.await?, &Desk::from(admin), Notice::LinkRemoved)
}

/// `POST /t/{tenant}/sign-in/members/{member}/allow`
pub(super) async fn allow_link(
    admin: TenantAdmin,
    State(state): State<Admin>,
    Path((_, member)): Path<(String, UserId)>,
    origin: Origin,
    CsrfForm(Nothing {}): CsrfForm<Nothing>,
) -> Result<Redirect, PageError> {
    let by = owner(&admin, origin)?;
    let done = outlive(async move { Ok(state.sso.forget_link(&by, member).await?) });
    done_or_gone(done.await?, &Desk::from(admin), Notice::LinkAllowed)
}

fn done_or_gone(done: bool, desk: &Desk, notice: Notice) -> Result<Redirect, PageError> {
    if done {
        Ok(back(&format!("{}/sign-in", desk.base()), notice))
    } else {
        Err(PageError::NotFound)
    }
}
