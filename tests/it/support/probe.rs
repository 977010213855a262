//! One page for each demand, which says who came through.

use axum::middleware::from_fn_with_state;
use callslip::{
    http::{Access, Routes, csrf},
    sign_in::{Gate, Member, Operator, SignedIn, TenantAdmin},
};

use super::TestApp;

impl TestApp {
    /// This application with `/probe/…` and `/t/{tenant}/probe/…` added.
    pub fn with_probes(mut self) -> Self {
        let gate = Gate {
            db: self.parts.db.clone(),
            clock: self.clock.clone(),
            public_url: self.parts.config.public_url.clone(),
        };
        let guard = from_fn_with_state(gate.public_url.clone(), csrf::guard);
        let probes = Routes::new()
            .get("/probe/token", Access::SignedIn, async |user: SignedIn| user.frame.csrf_token)
            .get("/probe/signed-in", Access::SignedIn, async |user: SignedIn| user.user.email)
            .post("/account/probe", Access::SignedIn, async |user: SignedIn| user.user.email)
            .get("/probe/operator", Access::Operator, async |user: Operator| user.user.email)
            .get("/t/{tenant}/probe/member", Access::Member, async |member: Member| {
                format!("{} {} {}", member.user.email, member.tenant.slug, member.role)
            })
            .post("/t/{tenant}/probe/member/deep", Access::Member, async |member: Member| {
                format!("{} {}", member.user.email, member.tenant.slug)
            })
            .get("/t/{tenant}/probe/admin", Access::TenantAdmin, async |admin: TenantAdmin| {
                format!("{} {} {}", admin.user.email, admin.tenant.slug, admin.role)
            })
            .route_layer(guard)
            .mount(gate);
        self.app.router = self.app.router.merge(probes.router);
        self
    }
}
