//! The route table: every path with its method and its demand, recorded as the router is built.
//!
//! `tests/it/access.rs` walks it and turns every kind of caller away from what is above them.

use std::convert::Infallible;

use axum::{
    Router,
    extract::Request,
    handler::Handler,
    response::IntoResponse,
    routing::{MethodFilter, Route, any, on},
};
use tower::{Layer, Service};

use super::{Share, Shared};

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Access {
    /// Anybody: no sign-in, no client.
    Public,
    /// An OAuth client; the endpoint authenticates it by itself.
    Client,
    /// A browser that is in the middle of an authorization request or a one-time link.
    Flow,
    /// A valid access token.
    Bearer,
    /// A signed-in user.
    SignedIn,
    /// A member of the tenant in the path, in any role.
    Member,
    /// An admin or owner of the tenant in the path.
    TenantAdmin,
    /// The owner of the tenant in the path.
    TenantOwner,
    /// An operator of the installation.
    Operator,
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `GET`, `POST`, …
    pub method: &'static str,
    /// As axum matches it: `/t/{tenant}/documents`.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
}

/// A router under construction, with its table.
#[derive(Debug)]
pub struct Routes<S = ()> {
    router: Router<S>,
    table: Vec<Entry>,
}

/// A finished slice: state applied, ready to merge.
#[derive(Debug)]
pub struct Mounted {
    /// What answers.
    pub router: Router,
    /// What it answers to.
    pub table: Vec<Entry>,
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self { router: Router::new(), table: Vec::new() }
    }
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// No routes yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Answer `GET` (and so `HEAD`).
    #[must_use]
    pub fn get<H, T>(self, path: &'static str, access: Access, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.on(MethodFilter::GET, "GET", path, access, handler)
    }

    /// Answer `POST`.
    #[must_use]
    pub fn post<H, T>(self, path: &'static str, access: Access, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.on(MethodFilter::POST, "POST", path, access, handler)
    }

    /// Answer `PUT`.
    #[must_use]
    pub fn put<H, T>(self, path: &'static str, access: Access, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.on(MethodFilter::PUT, "PUT", path, access, handler)
    }

    /// Answer `DELETE`.
    #[must_use]
    pub fn delete<H, T>(self, path: &'static str, access: Access, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.on(MethodFilter::DELETE, "DELETE", path, access, handler)
    }

    /// Answer `OPTIONS`.
    #[must_use]
    pub fn options<H, T>(self, path: &'static str, access: Access, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.on(MethodFilter::OPTIONS, "OPTIONS", path, access, handler)
    }

    /// Answer every method that has no route of its own at `path`, to turn it away: it is in no
    /// table, since it gives nothing to anybody.
    #[must_use]
    pub fn refuse_others<H, T>(mut self, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.router = self.router.route(path, any(handler));
        self
    }

    fn on<H, T>(
        mut self,
        filter: MethodFilter,
        method: &'static str,
        path: &'static str,
        access: Access,
        handler: H,
    ) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.table.push(Entry { method, path, access });
        self.router = self.router.route(path, on(filter, handler));
        self
    }

    /// Wrap every route so far, and only those: the last layer added runs first.
    #[must_use]
    pub fn route_layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<Shared<Route>> + Clone + Send + Sync + 'static,
        L::Service: Service<Request> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Response: IntoResponse + 'static,
        <L::Service as Service<Request>>::Error: Into<Infallible> + 'static,
        <L::Service as Service<Request>>::Future: Send + 'static,
    {
        self.router = self.router.route_layer((layer, Share));
        self
    }

    /// Take over another set of routes.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.table.extend(other.table);
        self
    }

    /// Apply the state.
    #[must_use]
    pub fn mount(self, state: S) -> Mounted {
        Mounted { router: self.router.with_state(state), table: self.table }
    }
}

impl Mounted {
    /// Put two slices side by side.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.table.extend(other.table);
        self
    }
}
