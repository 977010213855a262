//! Sign-in through a tenant's own provider.

mod attacks;
mod flow;
mod links;
mod settings;
mod tokens;

use callslip::tenants::Role;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{
    Answer, Browser, TestApp,
    provider::{CLIENT, CLIENT_SECRET, Provider},
};

/// An installation whose tenant `acme` has a provider.
pub(super) struct Scene {
    pub(super) app: TestApp,
    pub(super) provider: Provider,
    /// Of acme's owner.
    pub(super) owner: Browser,
}

/// An app that may call loopback.
pub(super) async fn app(pool: &PgPool) -> TestApp {
    TestApp::with(pool, &[("CALLSLIP_OUTBOUND_ALLOW", "127.0.0.1")]).await
}

/// Fill in a tenant's sign-in page, with changes.
pub(super) async fn save(
    owner: &mut Browser,
    slug: &str,
    issuer: &str,
    changes: &[(&str, &str)],
) -> Answer {
    let usual = [
        ("issuer", issuer),
        ("client_id", CLIENT),
        ("client_secret", CLIENT_SECRET),
        ("enabled", "on"),
    ];
    let path = format!("/t/{slug}/sign-in");
    owner.submit(&path, &path, &crate::support::changed(&usual, changes)).await
}

/// An owner's browser, and the provider that they have chosen for a tenant.
pub(super) async fn provide(app: &TestApp, slug: &str) -> (Browser, Provider) {
    let provider = Provider::start().await;
    let name = format!("{slug}-owner");
    let mut owner = app.member(slug, &name, Role::Owner).await.sign_in().await;
    let saved = save(&mut owner, slug, &provider.issuer, &[]).await;
    let notice = format!("/t/{slug}/sign-in?notice=provider-saved");
    assert_eq!(saved.location(), notice, "{}", saved.text());
    (owner, provider)
}

impl Scene {
    pub(super) async fn set(pool: &PgPool) -> Self {
        let app = app(pool).await;
        let (owner, provider) = provide(&app, "acme").await;
        Self { app, provider, owner }
    }

    /// A browser that has been sent to the provider, and where.
    pub(super) async fn begun(&self) -> (Browser, String) {
        let mut browser = self.app.browser();
        let url = browser.begin("acme", "/t/acme").await;
        (browser, url)
    }

    /// Somebody signs in with these claims, in a new browser.
    pub(super) async fn enter(&self, claims: Value) -> (Browser, Answer) {
        let (mut browser, url) = self.begun().await;
        let back = self.provider.authorize(&self.app, &url, claims);
        let answer = browser.get(&back).await;
        (browser, answer)
    }
}

impl Browser {
    /// Press the button of a tenant's provider; where that leads.
    pub(super) async fn begin(&mut self, slug: &str, return_to: &str) -> String {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("tenant", slug)
            .append_pair("return_to", return_to)
            .finish();
        let page = self.get(&format!("/sign-in?{query}")).await;
        let form = "form[action='/sign-in/sso'] input[type=hidden]";
        let names = page.attribute(form, "name");
        let values = page.attribute(form, "value");
        assert_eq!(names, ["csrf_token", "return_to", "tenant"], "{}", page.text());
        let fields: Vec<(&str, &str)> =
            names.iter().map(String::as_str).zip(values.iter().map(String::as_str)).collect();
        let sent = self.post("/sign-in/sso", &fields).await;
        assert_eq!(sent.status, 303, "{}", sent.text());
        sent.location().to_owned()
    }
}

/// Ada at the provider, with a verified address.
pub(super) fn ada() -> Value {
    json!({ "sub": "ada-there", "email": "ada@acme.example", "email_verified": true })
}
