//! The pages over everything above: one file a page, its template beside it in `templates/`.
//!
//! A handler's extractor states its demand: [`crate::sign_in`] proves it and hands over the scope.
//! What a reader may not see is left out of their page; what they may not do is not routed to them.

mod account;
mod activity;
mod approvals;
mod apps;
mod builtin;
mod connection;
mod document;
mod documents;
mod forms;
mod history;
mod home;
mod ingest;
mod limits;
mod meaning;
mod members;
mod notice;
mod operator;
mod original;
mod overview;
mod problems;
mod quality;
mod questions;
mod readable;
mod routes;
mod services;
mod settings;
mod sign_in;
mod tenant_deletion;
mod upload;
mod upload_form;
mod usage;
mod vector_stores;
mod view;
mod watch;
mod words;

pub use routes::routes;

use std::sync::Arc;

use axum::extract::FromRef;

use crate::{
    audit::{Actor, Origin},
    clock::Clock,
    config::PublicUrl,
    db::{Db, TenantScope},
    documents::Importer,
    golden::Golden,
    http::{Frame, PageError},
    limits::{Limits, Uploads},
    oauth,
    questions::Questions,
    search::Search,
    sign_in::{Gate, Member, TenantAdmin, sso::Sso},
    tenants::Tenant,
    users::User,
    vector_stores as stores, watch as watched,
};

use notice::{Notice, back};

/// What the pages need.
#[derive(Clone, Debug, FromRef)]
pub struct Admin {
    gate: Gate,
    db: Db,
    clock: Clock,
    public_url: PublicUrl,
    search: Search,
    golden: Golden,
    stores: stores::Context,
    importer: Arc<Importer>,
    limits: Limits,
    uploads: Uploads,
    watch: watched::Context,
    sso: Sso,
    questions: Questions,
}

/// Where documents come from.
#[derive(Clone, Debug)]
pub struct Sources {
    /// What reads files.
    pub importer: Importer,
    /// How much may be sent.
    pub uploads: Uploads,
    /// What it takes to look at watched places.
    pub watch: watched::Context,
}

impl Admin {
    /// Over what the slices below offer.
    #[must_use]
    pub fn new(
        gate: Gate,
        (search, golden): (Search, Golden),
        stores: stores::Context,
        (sources, limits): (Sources, &Limits),
        sso: Sso,
    ) -> Self {
        let (db, clock) = (gate.db.clone(), gate.clock.clone());
        Self {
            questions: Questions::new(db, clock, stores.master_key.clone()),
            db: gate.db.clone(),
            clock: gate.clock.clone(),
            public_url: gate.public_url.clone(),
            gate,
            search,
            golden,
            stores,
            importer: Arc::new(sources.importer),
            uploads: sources.uploads,
            watch: sources.watch,
            limits: limits.clone(),
            sso,
        }
    }
}

/// A tenant's page under construction: where it is, and what its visitor may do.
#[derive(Debug)]
struct Desk {
    scope: TenantScope,
    tenant: Tenant,
    user: User,
    may_manage: bool,
    frame: Frame,
}

impl Desk {
    /// Where the tenant's pages begin.
    fn base(&self) -> String {
        format!("/t/{}", self.tenant.slug)
    }

    /// Its visitor, for the audit.
    fn actor(&self, origin: Origin) -> Actor {
        Actor { user: Some(self.user.id), origin: Some(origin) }
    }

    /// Its visitor, as who takes something back or decides on an app.
    fn by(&self, origin: Origin, clock: &Clock) -> oauth::apps::By {
        let at = clock.now();
        oauth::apps::By { user: self.user.id, only_own: !self.may_manage, origin, at }
    }

    /// The frame with its entry marked, and a word on the act before.
    fn frame(&self, active: &'static str, notice: Option<&str>) -> Frame {
        Frame { active, notice: Notice::named(notice), ..self.frame.clone() }
    }
}

impl From<Member> for Desk {
    fn from(member: Member) -> Self {
        Self {
            scope: member.scope(),
            tenant: member.tenant,
            user: member.user,
            may_manage: member.role.is_admin(),
            frame: member.frame,
        }
    }
}

impl From<TenantAdmin> for Desk {
    fn from(admin: TenantAdmin) -> Self {
        Self {
            scope: admin.scope(),
            tenant: admin.tenant,
            user: admin.user,
            may_manage: true,
            frame: admin.frame,
        }
    }
}

/// Carry out what must not stay half done when the browser gives up: in a task that goes on.
async fn outlive<T: Send + 'static>(
    work: impl Future<Output = Result<T, PageError>> + Send + 'static,
) -> Result<T, PageError> {
    tokio::spawn(work).await?
}
