//! The pages over everything above: one file a page, its template beside it in `templates/`.
//!
//! A handler's extractor states its demand: [`crate::sign_in`] proves it and hands over the scope.
//! What a reader may not see is left out of their page; what they may not do is not routed to them.

mod account;
mod activity;
mod approvals;
mod apps;
mod connection;
mod document;
mod documents;
mod history;
mod home;
mod ingest;
mod limits;
mod meaning;
mod meaning_models;
mod members;
mod operator;
mod original;
mod overview;
mod problems;
mod quality;
mod quality_try;
mod questions;
mod readable;
mod reranker;
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

use std::sync::Arc;

use axum::{
    extract::{DefaultBodyLimit, FromRef},
    middleware,
    response::Redirect,
};

use crate::{
    audit::{Actor, Origin},
    clock::Clock,
    config::PublicUrl,
    db::{Db, TenantScope},
    documents::Importer,
    golden::Golden,
    http::{Access, Frame, Mounted, PageError, Routes, csrf, deadline},
    limits::{Limits, Uploads},
    oauth,
    questions::Questions,
    search::Search,
    sign_in::{Gate, Member, TenantAdmin, sso::Sso},
    tenants::Tenant,
    users::User,
    vector_stores as stores, watch as watched,
};

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

/// Vector stores, and the models that embed what is in them.
fn stores() -> Routes<Admin> {
    Routes::new()
        .get("/t/{tenant}/vector-stores", Access::TenantAdmin, vector_stores::index)
        .post("/t/{tenant}/vector-stores", Access::TenantAdmin, vector_stores::create)
        .post(
            "/t/{tenant}/vector-stores/{store}/delete",
            Access::TenantAdmin,
            vector_stores::delete,
        )
        .get("/t/{tenant}/vector-stores/{store}", Access::TenantAdmin, meaning::show)
        .post("/t/{tenant}/vector-stores/{store}/model", Access::TenantAdmin, meaning::choose)
        .post(
            "/t/{tenant}/vector-stores/{store}/model/cancel",
            Access::TenantAdmin,
            meaning::cancel,
        )
        .post("/t/{tenant}/vector-stores/{store}/reranker", Access::TenantAdmin, reranker::choose)
        .post(
            "/t/{tenant}/vector-stores/{store}/reranker/remove",
            Access::TenantAdmin,
            reranker::remove,
        )
}

/// Every page of an account, a tenant and the operator.
#[must_use]
pub fn routes(state: Admin) -> Mounted {
    let guard = middleware::from_fn_with_state(state.public_url.clone(), csrf::guard);
    let upload = Routes::new()
        .post("/t/{tenant}/documents", Access::TenantAdmin, upload::create)
        .route_layer(DefaultBodyLimit::max(upload::REQUEST_BYTES));
    outside_tenants()
        .merge(service_clients())
        .merge(search_quality())
        .get("/d/{document}", Access::SignedIn, document::show)
        .get("/d/{document}/original", Access::SignedIn, original::download)
        .post("/d/{document}/restore", Access::SignedIn, history::restore)
        .merge(stores())
        .merge(watched_places())
        .get("/t/{tenant}", Access::Member, overview::index)
        .get("/t/{tenant}/documents", Access::Member, documents::index)
        .get("/t/{tenant}/documents/ingest", Access::TenantAdmin, ingest::index)
        .post("/t/{tenant}/documents/ingest/{job}/retry", Access::TenantAdmin, ingest::retry)
        .post("/t/{tenant}/documents/ingest/{job}/cancel", Access::TenantAdmin, ingest::cancel)
        .post("/t/{tenant}/documents/{document}/delete", Access::TenantAdmin, documents::delete)
        .post("/t/{tenant}/documents/{document}/release", Access::TenantAdmin, documents::release)
        .get("/t/{tenant}/apps", Access::Member, apps::index)
        .get("/t/{tenant}/apps/{id}", Access::TenantAdmin, apps::show)
        .post("/t/{tenant}/apps/{id}/revoke", Access::Member, apps::revoke)
        .post("/t/{tenant}/apps/{id}/revoke-all", Access::TenantAdmin, apps::revoke_all)
        .post("/t/{tenant}/apps/{id}/decide", Access::TenantAdmin, approvals::decide)
        .get("/t/{tenant}/settings", Access::TenantAdmin, settings::index)
        .post("/t/{tenant}/settings", Access::TenantAdmin, settings::update)
        .post("/t/{tenant}/settings/questions", Access::TenantAdmin, questions::decide)
        .get("/t/{tenant}/settings/connection", Access::TenantAdmin, connection::index)
        .post("/t/{tenant}/settings/connection", Access::TenantAdmin, connection::update)
        .get("/t/{tenant}/settings/delete", Access::TenantOwner, tenant_deletion::index)
        .post("/t/{tenant}/settings/delete", Access::TenantOwner, tenant_deletion::delete)
        .get("/t/{tenant}/sign-in", Access::TenantAdmin, sign_in::index)
        .post("/t/{tenant}/sign-in", Access::TenantAdmin, sign_in::save)
        .post("/t/{tenant}/sign-in/remove", Access::TenantAdmin, sign_in::remove)
        .post(
            "/t/{tenant}/sign-in/members/{member}/remove",
            Access::TenantAdmin,
            sign_in::remove_link,
        )
        .post(
            "/t/{tenant}/sign-in/members/{member}/allow",
            Access::TenantAdmin,
            sign_in::allow_link,
        )
        .get("/t/{tenant}/activity", Access::TenantAdmin, activity::index)
        .get("/t/{tenant}/usage", Access::TenantAdmin, usage::index)
        .post("/t/{tenant}/usage", Access::TenantAdmin, usage::update)
        .get("/t/{tenant}/members", Access::TenantAdmin, members::index)
        .route_layer(middleware::from_fn(deadline::enforce::<PageError>))
        // Files may come slowly, and reading one has a limit of its own.
        .merge(upload)
        .route_layer(guard)
        .mount(state)
}

/// The pages of what stores follow.
fn watched_places() -> Routes<Admin> {
    const PAGE: &str = "/t/{tenant}/vector-stores/{store}/watch";
    Routes::new()
        .get(PAGE, Access::TenantAdmin, watch::show)
        .post(PAGE, Access::TenantAdmin, watch::save)
        .post("/t/{tenant}/vector-stores/{store}/watch/check", Access::TenantAdmin, watch::look)
        .post("/t/{tenant}/vector-stores/{store}/watch/remove", Access::TenantAdmin, watch::remove)
}

/// The page of golden questions and its forms.
fn search_quality() -> Routes<Admin> {
    Routes::new()
        .get("/t/{tenant}/quality", Access::TenantAdmin, quality::index)
        .post("/t/{tenant}/quality", Access::TenantAdmin, quality_try::add)
        .post("/t/{tenant}/quality/try", Access::TenantAdmin, quality_try::show)
        .post("/t/{tenant}/quality/run", Access::TenantAdmin, quality::run)
        .post("/t/{tenant}/quality/import", Access::TenantAdmin, quality::import)
        .post("/t/{tenant}/quality/dismiss", Access::TenantAdmin, quality::dismiss)
        .post("/t/{tenant}/quality/{question}/delete", Access::TenantAdmin, quality::delete)
}

/// The pages of a tenant's back ends.
fn service_clients() -> Routes<Admin> {
    Routes::new()
        .get("/t/{tenant}/service-clients", Access::TenantAdmin, services::index)
        .post("/t/{tenant}/service-clients", Access::TenantAdmin, services::create)
        .post(
            "/t/{tenant}/service-clients/{client}/secret",
            Access::TenantAdmin,
            services::rotate_secret,
        )
        .post(
            "/t/{tenant}/service-clients/{client}/vector-stores",
            Access::TenantAdmin,
            services::choose_stores,
        )
        .post("/t/{tenant}/service-clients/{client}/delete", Access::TenantAdmin, services::delete)
}

/// The pages of an account and of the installation.
fn outside_tenants() -> Routes<Admin> {
    Routes::new()
        .get("/", Access::Public, home::index)
        .get("/account", Access::SignedIn, account::index)
        .post("/account/apps/{grant}/revoke", Access::SignedIn, account::revoke)
        .get("/operator", Access::Operator, operator::index)
        .post("/operator/problems/{kind}/dismiss", Access::Operator, problems::dismiss)
        .get("/operator/tenants/{tenant}/limits", Access::Operator, limits::show)
        .post("/operator/tenants/{tenant}/limits", Access::Operator, limits::update)
}

/// Carry out what must not stay half done when the browser gives up: in a task that goes on.
async fn outlive<T: Send + 'static>(
    work: impl Future<Output = Result<T, PageError>> + Send + 'static,
) -> Result<T, PageError> {
    tokio::spawn(work).await?
}

/// Back to a page after an act, with a word on it.
fn back(path: &str, notice: Notice) -> Redirect {
    Redirect::to(&format!("{path}?notice={}", notice.name()))
}

/// What a page says about the act before. The URL carries its name and never its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Notice {
    Uploaded,
    Received,
    IngestRetried,
    IngestCancelled,
    DocumentDeleted,
    WatchAsked,
    WatchRemoved,
    WatchSaved,
    VersionRestored,
    DocumentReleased,
    StoreAdded,
    StoreRemoved,
    ModelChosen,
    ModelRenewed,
    ModelGivenUp,
    RerankerChosen,
    RerankerRemoved,
    Revoked,
    BackEndChanged,
    BackEndRemoved,
    ProblemDismissed,
    RulesSaved,
    AppApproved,
    AppRefused,
    AppWithdrawn,
    DecidedBefore,
    ProviderSaved,
    ProviderRemoved,
    LinkRemoved,
    LinkAllowed,
    LimitsSaved,
    QuestionAdded,
    QuestionRemoved,
    QuestionDismissed,
    RunAsked,
}

impl Notice {
    const ALL: [Self; 35] = [
        Self::Uploaded,
        Self::Received,
        Self::IngestRetried,
        Self::IngestCancelled,
        Self::DocumentDeleted,
        Self::WatchAsked,
        Self::WatchRemoved,
        Self::WatchSaved,
        Self::VersionRestored,
        Self::DocumentReleased,
        Self::StoreAdded,
        Self::StoreRemoved,
        Self::ModelChosen,
        Self::ModelRenewed,
        Self::ModelGivenUp,
        Self::RerankerChosen,
        Self::RerankerRemoved,
        Self::Revoked,
        Self::BackEndChanged,
        Self::BackEndRemoved,
        Self::ProblemDismissed,
        Self::RulesSaved,
        Self::AppApproved,
        Self::AppRefused,
        Self::AppWithdrawn,
        Self::DecidedBefore,
        Self::ProviderSaved,
        Self::ProviderRemoved,
        Self::LinkRemoved,
        Self::LinkAllowed,
        Self::LimitsSaved,
        Self::QuestionAdded,
        Self::QuestionRemoved,
        Self::QuestionDismissed,
        Self::RunAsked,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Uploaded => "uploaded",
            Self::Received => "received",
            Self::IngestRetried => "ingest-retried",
            Self::IngestCancelled => "ingest-cancelled",
            Self::DocumentDeleted => "document-deleted",
            Self::WatchAsked => "watch-asked",
            Self::WatchRemoved => "watch-removed",
            Self::WatchSaved => "watch-saved",
            Self::VersionRestored => "version-restored",
            Self::DocumentReleased => "document-released",
            Self::StoreAdded => "store-added",
            Self::StoreRemoved => "store-removed",
            Self::ModelChosen => "model-chosen",
            Self::ModelRenewed => "model-renewed",
            Self::ModelGivenUp => "model-given-up",
            Self::RerankerChosen => "reranker-chosen",
            Self::RerankerRemoved => "reranker-removed",
            Self::Revoked => "revoked",
            Self::BackEndChanged => "back-end-changed",
            Self::BackEndRemoved => "back-end-removed",
            Self::ProblemDismissed => "problem-dismissed",
            Self::RulesSaved => "rules-saved",
            Self::AppApproved => "app-approved",
            Self::AppRefused => "app-refused",
            Self::AppWithdrawn => "app-withdrawn",
            Self::DecidedBefore => "decided-before",
            Self::ProviderSaved => "provider-saved",
            Self::ProviderRemoved => "provider-removed",
            Self::LinkRemoved => "link-removed",
            Self::LinkAllowed => "link-allowed",
            Self::LimitsSaved => "limits-saved",
            Self::QuestionAdded => "question-added",
            Self::QuestionRemoved => "question-removed",
            Self::QuestionDismissed => "question-dismissed",
            Self::RunAsked => "run-asked",
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Uploaded => "Every file was added.",
            Self::Received => "Every file was received. What is not in the list yet is being read.",
            Self::IngestRetried => "The file waits to be read again.",
            Self::IngestCancelled => "The file was removed.",
            Self::DocumentDeleted => "The document was deleted.",
            Self::WatchAsked => "The place is looked at now.",
            Self::WatchRemoved => "The store follows nothing any more. Its documents stay.",
            Self::WatchSaved => "The store follows the place from now on.",
            Self::VersionRestored => {
                "The version is read again. It is the current one in a moment."
            }
            Self::DocumentReleased => "Assistants can find the document now.",
            Self::StoreAdded => "The vector store was added.",
            Self::StoreRemoved => "The vector store was removed.",
            Self::ModelChosen => {
                "The model works. Search goes by it once it has embedded everything."
            }
            Self::ModelRenewed => "The model has the key and the budget that you gave.",
            Self::ModelGivenUp => "The change was given up. Search goes on as before.",
            Self::RerankerChosen => "The reranker works. The next question goes by it.",
            Self::RerankerRemoved => "The reranker and its key were removed.",
            Self::BackEndChanged => "The choice holds from the back end’s next call on.",
            Self::BackEndRemoved => "The back end was removed. Its next call is refused.",
            Self::Revoked => "Access was revoked. The app’s next call is refused.",
            Self::ProblemDismissed => "Dismissed. It comes back if it is seen again.",
            Self::RulesSaved => "The settings were saved.",
            Self::AppApproved => "The app is approved. Members can connect it now.",
            Self::AppRefused => "The app is refused. Members who try to connect it read that.",
            Self::AppWithdrawn => "The approval is taken back. The app’s next call is refused.",
            Self::ProviderSaved => "The sign-in provider was saved.",
            Self::ProviderRemoved => {
                "The sign-in provider was removed. Members sign in with their passwords."
            }
            Self::LinkRemoved => "The member cannot come in through the provider any more.",
            Self::LinkAllowed => "The member’s next sign-in through the provider links them anew.",
            Self::LimitsSaved => "The limits were saved.",
            Self::QuestionAdded => "The question was added. It is asked within a minute.",
            Self::QuestionRemoved => "The question was removed.",
            Self::QuestionDismissed => "The question was put away.",
            Self::RunAsked => "The questions are being asked.",
            Self::DecidedBefore => "Nothing was changed: somebody else decided on this app before.",
        }
    }

    /// The text for a name that a URL carries; nothing for any other.
    fn named(name: Option<&str>) -> Option<String> {
        let name = name?;
        Self::ALL.iter().find(|notice| notice.name() == name).map(|notice| notice.text().to_owned())
    }
}
