//! Demands as types: a handler that takes [`Member`] is not called for anybody else.

use axum::{
    extract::{FromRef, FromRequestParts, OptionalFromRequestParts, RawPathParams},
    http::{Method, request::Parts},
};

use super::{
    Gate, LocalPath,
    session::{Lifetime, Session},
    store,
};
use crate::{
    db::TenantScope,
    fault::{Fault, is_disk_full},
    http::{
        Frame, PageError,
        csrf::Bound,
        page::{Account, FrameTenant},
    },
    tenants::{self, Role, Tenant},
    users::User,
};

/// Somebody who has signed in.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Who.
    pub user: User,
    /// Their session.
    pub session: Session,
    /// The tenants that they may act in, by name.
    pub memberships: Vec<(Tenant, Role)>,
    /// What the frame around their pages shows.
    pub frame: Frame,
}

/// A member of the tenant that the path names, in any role.
#[derive(Clone, Debug)]
pub struct Member {
    /// Who.
    pub user: User,
    /// Their session.
    pub session: Session,
    /// Where.
    pub tenant: Tenant,
    /// What they may do there.
    pub role: Role,
    /// What the frame around their pages shows.
    pub frame: Frame,
    scope: TenantScope,
}

/// An admin or owner of the tenant that the path names.
#[derive(Clone, Debug)]
pub struct TenantAdmin {
    /// Who.
    pub user: User,
    /// Their session.
    pub session: Session,
    /// Where.
    pub tenant: Tenant,
    /// What they may do there.
    pub role: Role,
    /// What the frame around their pages shows.
    pub frame: Frame,
    scope: TenantScope,
}

/// Somebody who runs the installation.
#[derive(Clone, Debug)]
pub struct Operator {
    /// Who.
    pub user: User,
    /// Their session.
    pub session: Session,
    /// What the frame around their pages shows.
    pub frame: Frame,
}

impl Member {
    /// Leave to act inside the tenant.
    #[must_use]
    pub const fn scope(&self) -> TenantScope {
        self.scope
    }
}

impl TenantAdmin {
    /// Leave to act inside the tenant.
    #[must_use]
    pub const fn scope(&self) -> TenantScope {
        self.scope
    }
}

impl SignedIn {
    /// As a member of one of their tenants; `None` for any other.
    #[must_use]
    pub fn into_member(self, slug: &str) -> Option<Member> {
        let Self { user, session, memberships, mut frame } = self;
        let (tenant, role) = memberships.into_iter().find(|(tenant, _)| tenant.slug == slug)?;
        frame.tenant = Some(frame_tenant(&tenant, role));
        #[expect(clippy::disallowed_methods, reason = "membership was read for this very request")]
        let scope = TenantScope::proven(tenant.id);
        Some(Member { user, session, tenant, role, frame, scope })
    }
}

impl<S> OptionalFromRequestParts<S> for SignedIn
where
    S: Send + Sync,
    Gate: FromRef<S>,
{
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, PageError> {
        let bound = parts
            .extensions
            .get::<Bound>()
            .ok_or_else(|| Fault::new("a page is mounted outside http::csrf::guard"))?;
        find(&Gate::from_ref(state), bound).await.map_err(PageError::from)
    }
}

impl<S> FromRequestParts<S> for SignedIn
where
    S: Send + Sync,
    Gate: FromRef<S>,
{
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, PageError> {
        let found = <Self as OptionalFromRequestParts<S>>::from_request_parts(parts, state).await?;
        found.ok_or_else(|| PageError::SignIn { return_to: page_behind(parts) })
    }
}

impl<S> FromRequestParts<S> for Member
where
    S: Send + Sync,
    Gate: FromRef<S>,
{
    type Rejection = PageError;

    /// Of a tenant that does not exist and one of others, the answer tells nothing apart.
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, PageError> {
        let signed_in = <SignedIn as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| PageError::NotFound)?;
        let slug = params.iter().find(|(name, _)| *name == "tenant").map(|(_, value)| value);
        slug.and_then(|slug| signed_in.into_member(slug)).ok_or(PageError::NotFound)
    }
}

impl<S> FromRequestParts<S> for TenantAdmin
where
    S: Send + Sync,
    Gate: FromRef<S>,
{
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, PageError> {
        let member = Member::from_request_parts(parts, state).await?;
        if !member.role.is_admin() {
            return Err(PageError::Forbidden("only an admin of this tenant may do that"));
        }
        let Member { user, session, tenant, role, frame, scope } = member;
        Ok(Self { user, session, tenant, role, frame, scope })
    }
}

impl<S> FromRequestParts<S> for Operator
where
    S: Send + Sync,
    Gate: FromRef<S>,
{
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, PageError> {
        let SignedIn { user, session, frame, .. } =
            <SignedIn as FromRequestParts<S>>::from_request_parts(parts, state).await?;
        if user.is_operator { Ok(Self { user, session, frame }) } else { Err(PageError::NotFound) }
    }
}

/// Read the session that the cookie names, and everything that it stands for.
async fn find(gate: &Gate, bound: &Bound) -> Result<Option<SignedIn>, Fault> {
    let Some(secret) = &bound.session else { return Ok(None) };
    let now = gate.clock.now();
    let mut tx = gate.db.control().await?;
    let Some(found) = store::find(&mut tx, &secret.hash()).await? else { return Ok(None) };
    if !found.session.is_alive(Lifetime::of(found.is_privileged), now) {
        return Ok(None);
    }
    let mut memberships = tenants::store::memberships_of(&mut tx, found.user.id).await?;
    // A tenant chooses its provider, whose word therefore counts nowhere else.
    if let Some(only) = found.session.only_in {
        memberships.retain(|(tenant, _)| tenant.id == only);
    }
    let touched = match found.session.needs_touch(now) {
        true => store::touch(&mut tx, &found.session.hash, now).await,
        false => Ok(()),
    };
    match touched {
        Ok(()) => tx.commit().await?,
        // Who only reads goes on (spec row FX-11): the session ends a little early at worst.
        Err(error) if is_disk_full(&error) => Fault::from(error).log(),
        Err(error) => return Err(error.into()),
    }
    let frame = frame(bound, &found.user, &memberships);
    Ok(Some(SignedIn { user: found.user, session: found.session, memberships, frame }))
}

fn frame(bound: &Bound, user: &User, memberships: &[(Tenant, Role)]) -> Frame {
    Frame {
        csrf_token: bound.csrf_token(),
        account: Some(Account {
            name: user.name.clone(),
            email: user.email.clone(),
            is_operator: user.is_operator,
        }),
        tenants: memberships.iter().map(|(tenant, role)| frame_tenant(tenant, *role)).collect(),
        ..Frame::default()
    }
}

fn frame_tenant(tenant: &Tenant, role: Role) -> FrameTenant {
    FrameTenant { slug: tenant.slug.clone(), name: tenant.name.clone(), is_admin: role.is_admin() }
}

/// Where to come back to after signing in: this page; after a form, the page that it stood on,
/// since sending the form again is for the user to decide.
fn page_behind(parts: &Parts) -> String {
    // The consent form is posted to its page's own address, query included.
    let is_page = matches!(parts.method, Method::GET | Method::HEAD);
    if is_page || parts.uri.path() == "/oauth/consent" {
        let here = parts.uri.path_and_query().map_or("/", |here| here.as_str());
        return LocalPath::parse(here).to_string();
    }
    let depth = match parts.uri.path() {
        path if path.starts_with("/t/") => 4,
        path if path.starts_with("/account") || path.starts_with("/operator") => 2,
        _ => return "/".to_owned(),
    };
    let page: Vec<&str> = parts.uri.path().split('/').take(depth).collect();
    LocalPath::parse(&page.join("/")).to_string()
}
