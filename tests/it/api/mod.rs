//! The API of a tenant's documents, called by its back ends.
#![expect(clippy::disallowed_methods, reason = "looks behind the application's back")]

mod documents;
mod gate;
mod isolation;
mod search;
mod upload;

use axum::{body::Body, extract::Request, http::header};
use callslip::ids::{DocumentId, VectorStoreId};
use serde_json::Value;
use sqlx::PgPool;

use crate::support::{Answer, Assistant, ORIGIN, TestApp};

/// A tenant's API, its resource.
fn resource(slug: &str) -> String {
    format!("{ORIGIN}/t/{slug}/api")
}

/// A back end that may do everything in one store.
pub(crate) struct Bench {
    pub(crate) app: TestApp,
    bot: Assistant,
    pub(crate) store: VectorStoreId,
    /// Another store of the tenant, which the back end may not use.
    closed: VectorStoreId,
    pub(crate) token: String,
}

const EVERYTHING: [(&str, &str); 3] =
    [("may", "search"), ("may", "documents_read"), ("may", "documents_write")];

impl Bench {
    async fn set(pool: &PgPool) -> Self {
        Self::with(pool, &[]).await
    }

    pub(crate) async fn with(pool: &PgPool, variables: &[(&str, &str)]) -> Self {
        let app = TestApp::with(pool, variables).await;
        let store = app.store("acme", "Handbook").await;
        let closed = app.store("acme", "Payroll").await;
        let (bot, token) = back_end(&app, "acme", "Filing bot", &EVERYTHING, store).await;
        Self { app, bot, store, closed, token }
    }

    /// The same before another node.
    pub(crate) fn again(&self, app: TestApp) -> Self {
        Self { app, bot: self.bot.clone(), token: self.token.clone(), ..*self }
    }

    async fn call(&self, method: &str, path: &str) -> Answer {
        call(&self.app, &self.token, method, &format!("/t/acme/api/v1{path}")).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(&self.token, path, body).await
    }

    async fn post_with(&self, token: &str, path: &str, body: &Value) -> Answer {
        let request = Request::post(format!("/t/acme/api/v1{path}"))
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        self.app.send(request).await
    }

    /// Put a text into a store, and say what it is called.
    async fn document(&self, store: VectorStoreId, name: &str, text: &str) -> DocumentId {
        self.app.document("acme", store, name, text).await;
        let id = sqlx::query_scalar::<_, uuid::Uuid>(
            "select id from documents where vector_store_id = $1 order by id desc limit 1",
        );
        id.bind(store.uuid()).fetch_one(&self.app.pool).await.unwrap().into()
    }
}

/// A back end of a tenant's, and a token of its for the API.
async fn back_end(
    app: &TestApp,
    slug: &str,
    name: &str,
    may: &[(&str, &str)],
    store: VectorStoreId,
) -> (Assistant, String) {
    let store = store.to_string();
    let fields = [may, &[("store", store.as_str())]].concat();
    let bot = app.back_end(slug, name, &fields).await;
    let token = bot.own_access_token(&[("resource", &resource(slug))]).await;
    (bot, token)
}

async fn call(app: &TestApp, token: &str, method: &str, path: &str) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Body::empty())
        .unwrap();
    app.send(request).await
}

/// A refusal in the form of RFC 9457.
fn assert_problem(answer: &Answer, status: u16, kind: &str) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.header("cache-control"), "no-store");
    let said = answer.json();
    assert_eq!(said["type"], format!("urn:callslip:problem:{kind}"));
    assert_eq!(said["status"], status);
    assert!(said["title"].is_string() && said["detail"].is_string(), "{said}");
}
