//! Every page and form, with who may open it.

use axum::{extract::DefaultBodyLimit, middleware};

use super::{
    Admin, account, activity, approvals, apps, connection, document, documents, history, home,
    ingest, limits, meaning, members, operator, original, overview, problems, quality, questions,
    services, settings, sign_in, tenant_deletion, upload, usage, vector_stores, watch,
};
use crate::http::{
    Access::{Member, Operator, Public, SignedIn, TenantAdmin, TenantOwner},
    Mounted, PageError, Routes, csrf, deadline,
};

/// Every page of an account, a tenant and the operator.
#[must_use]
pub fn routes(state: Admin) -> Mounted {
    let guard = middleware::from_fn_with_state(state.public_url.clone(), csrf::guard);
    let upload = Routes::new()
        .post("/t/{tenant}/documents", TenantAdmin, upload::create)
        .route_layer(DefaultBodyLimit::max(upload::REQUEST_BYTES));
    outside_tenants()
        .merge(of_documents())
        .merge(of_vector_stores())
        .merge(of_apps())
        .merge(of_back_ends())
        .merge(of_search_quality())
        .merge(of_the_tenant())
        .route_layer(middleware::from_fn(deadline::enforce::<PageError>))
        // Files may come slowly, and reading one has a limit of its own.
        .merge(upload)
        .route_layer(guard)
        .mount(state)
}

fn outside_tenants() -> Routes<Admin> {
    Routes::new()
        .get("/", Public, home::index)
        .get("/account", SignedIn, account::index)
        .post("/account/apps/{grant}/revoke", SignedIn, account::revoke)
        .get("/operator", Operator, operator::index)
        .post("/operator/problems/{kind}/dismiss", Operator, problems::dismiss)
        .get("/operator/tenants/{tenant}/limits", Operator, limits::show)
        .post("/operator/tenants/{tenant}/limits", Operator, limits::update)
}

/// The list, what is on its way to it, and where a citation leads.
fn of_documents() -> Routes<Admin> {
    Routes::new()
        .get("/d/{document}", SignedIn, document::show)
        .get("/d/{document}/original", SignedIn, original::download)
        .post("/d/{document}/restore", SignedIn, history::restore)
        .get("/t/{tenant}/documents", Member, documents::index)
        .post("/t/{tenant}/documents/{document}/delete", TenantAdmin, documents::delete)
        .post("/t/{tenant}/documents/{document}/release", TenantAdmin, documents::release)
        .get("/t/{tenant}/documents/ingest", TenantAdmin, ingest::index)
        .post("/t/{tenant}/documents/ingest/{job}/retry", TenantAdmin, ingest::retry)
        .post("/t/{tenant}/documents/ingest/{job}/cancel", TenantAdmin, ingest::cancel)
}

/// The stores, the models that embed what is in them, and the places that they follow.
fn of_vector_stores() -> Routes<Admin> {
    Routes::new()
        .get("/t/{tenant}/vector-stores", TenantAdmin, vector_stores::index)
        .post("/t/{tenant}/vector-stores", TenantAdmin, vector_stores::create)
        .get("/t/{tenant}/vector-stores/{store}", TenantAdmin, meaning::show)
        .post("/t/{tenant}/vector-stores/{store}/delete", TenantAdmin, vector_stores::delete)
        .post("/t/{tenant}/vector-stores/{store}/model", TenantAdmin, meaning::choose)
        .post("/t/{tenant}/vector-stores/{store}/model/cancel", TenantAdmin, meaning::cancel)
        .get("/t/{tenant}/vector-stores/{store}/watch", TenantAdmin, watch::show)
        .post("/t/{tenant}/vector-stores/{store}/watch", TenantAdmin, watch::save)
        .post("/t/{tenant}/vector-stores/{store}/watch/check", TenantAdmin, watch::look)
        .post("/t/{tenant}/vector-stores/{store}/watch/remove", TenantAdmin, watch::remove)
}

fn of_apps() -> Routes<Admin> {
    Routes::new()
        .get("/t/{tenant}/apps", Member, apps::index)
        .get("/t/{tenant}/apps/{id}", TenantAdmin, apps::show)
        .post("/t/{tenant}/apps/{id}/revoke", Member, apps::revoke)
        .post("/t/{tenant}/apps/{id}/revoke-all", TenantAdmin, apps::revoke_all)
        .post("/t/{tenant}/apps/{id}/decide", TenantAdmin, approvals::decide)
}

fn of_back_ends() -> Routes<Admin> {
    Routes::new()
        .get("/t/{tenant}/service-clients", TenantAdmin, services::index)
        .post("/t/{tenant}/service-clients", TenantAdmin, services::acts::create)
        .post(
            "/t/{tenant}/service-clients/{client}/secret",
            TenantAdmin,
            services::acts::rotate_secret,
        )
        .post(
            "/t/{tenant}/service-clients/{client}/vector-stores",
            TenantAdmin,
            services::acts::choose_stores,
        )
        .post("/t/{tenant}/service-clients/{client}/delete", TenantAdmin, services::acts::delete)
}

/// Golden questions, and what was asked in vain.
fn of_search_quality() -> Routes<Admin> {
    Routes::new()
        .get("/t/{tenant}/quality", TenantAdmin, quality::index)
        .post("/t/{tenant}/quality", TenantAdmin, quality::choose::add)
        .post("/t/{tenant}/quality/try", TenantAdmin, quality::choose::show)
        .post("/t/{tenant}/quality/run", TenantAdmin, quality::acts::run)
        .post("/t/{tenant}/quality/import", TenantAdmin, quality::acts::import)
        .post("/t/{tenant}/quality/dismiss", TenantAdmin, quality::acts::dismiss)
        .post("/t/{tenant}/quality/{question}/delete", TenantAdmin, quality::acts::delete)
}

/// What there is, what happened, and what holds here.
fn of_the_tenant() -> Routes<Admin> {
    Routes::new()
        .get("/t/{tenant}", Member, overview::index)
        .get("/t/{tenant}/activity", TenantAdmin, activity::index)
        .get("/t/{tenant}/usage", TenantAdmin, usage::index)
        .post("/t/{tenant}/usage", TenantAdmin, usage::update)
        .get("/t/{tenant}/members", TenantAdmin, members::index)
        .get("/t/{tenant}/settings", TenantAdmin, settings::index)
        .post("/t/{tenant}/settings", TenantAdmin, settings::update)
        .post("/t/{tenant}/settings/questions", TenantAdmin, questions::decide)
        .get("/t/{tenant}/settings/connection", TenantAdmin, connection::index)
        .post("/t/{tenant}/settings/connection", TenantAdmin, connection::update)
        .get("/t/{tenant}/settings/delete", TenantOwner, tenant_deletion::index)
        .post("/t/{tenant}/settings/delete", TenantOwner, tenant_deletion::delete)
        .get("/t/{tenant}/sign-in", TenantAdmin, sign_in::index)
        .post("/t/{tenant}/sign-in", TenantAdmin, sign_in::save)
        .post("/t/{tenant}/sign-in/remove", TenantAdmin, sign_in::remove)
        .post("/t/{tenant}/sign-in/members/{member}/remove", TenantAdmin, sign_in::remove_link)
        .post("/t/{tenant}/sign-in/members/{member}/allow", TenantAdmin, sign_in::allow_link)
}
