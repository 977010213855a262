//! A tenant with a user, a client that it let in, and tokens made to order.
//!
//! Tokens are signed here with the installation's own key, by a second hand: what the endpoint
//! accepts does not depend on what our token endpoint would have issued.

use axum::{body::Body, extract::Request, http::header};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use callslip::{
    audit::Origin,
    db::TenantScope,
    documents::Upload,
    ids::{GrantId, TenantId, UserId, VectorStoreId},
};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use sqlx::PgPool;
use time::Duration;
use uuid::Uuid;

use super::tools::same_twice;
use crate::support::{Answer, ORIGIN, TestApp, unique};

/// An application with one connected assistant.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) app: TestApp,
    pub(crate) tenant: TenantId,
    pub(crate) slug: String,
    pub(crate) user: UserId,
    pub(crate) client_id: String,
    pub(crate) grant: GrantId,
    pub(crate) store: VectorStoreId,
}

impl Stage {
    pub(crate) async fn new(pool: &PgPool) -> Self {
        Self::with(pool, &[]).await
    }

    pub(crate) async fn with(pool: &PgPool, variables: &[(&str, &str)]) -> Self {
        let app = TestApp::with(pool, variables).await;
        Self::on(app).await
    }

    /// Another tenant, user and client beside those that are there.
    pub(crate) async fn on(app: TestApp) -> Self {
        let number = unique();
        let stage = Self {
            tenant: TenantId::new(),
            slug: format!("acme-{number}"),
            user: UserId::new(),
            client_id: format!("client-{number}-of-the-test"),
            grant: GrantId::new(),
            store: VectorStoreId::new(),
            app,
        };
        stage.seed().await;
        stage
    }

    async fn seed(&self) {
        let pool = &self.app.pool;
        let now = self.app.clock.now();
        sqlx::query!(
            "insert into tenants (id, slug, name, created_at) values ($1, $2, 'Acme', $3)",
            self.tenant.uuid(),
            self.slug,
            now,
        )
        .execute(pool)
        .await
        .unwrap();
        sqlx::query!(
            "insert into users (id, email, name, created_at) values ($1, $2, 'Ada', $3)",
            self.user.uuid(),
            format!("ada@{}.example", self.slug),
            now,
        )
        .execute(pool)
        .await
        .unwrap();
        sqlx::query!(
            "insert into memberships (tenant_id, user_id, role, created_at)
             values ($1, $2, 'reader', $3)",
            self.tenant.uuid(),
            self.user.uuid(),
            now,
        )
        .execute(pool)
        .await
        .unwrap();
        sqlx::query!(
            "insert into oauth_clients (client_id, client_name, redirect_uris, grant_types,
                                        token_endpoint_auth_methods, created_at)
             values ($1, 'Assistant', '{https://assistant.example/callback}',
                     '{authorization_code}', '{none}', $2)",
            self.client_id,
            now,
        )
        .execute(pool)
        .await
        .unwrap();
        self.seed_grant().await;
    }

    async fn seed_grant(&self) {
        let pool = &self.app.pool;
        let now = self.app.clock.now();
        sqlx::query!(
            "insert into vector_stores (tenant_id, id, name, backend, created_at)
             values ($1, $2, 'Documents', 'builtin', $3)",
            self.tenant.uuid(),
            self.store.uuid(),
            now,
        )
        .execute(pool)
        .await
        .unwrap();
        sqlx::query!(
            "insert into oauth_grants (tenant_id, id, user_id, client_id, redirect_uri, resource,
                                       scope, created_at, expires_at)
             values ($1, $2, $3, $4, 'https://assistant.example/callback', $5, '{search:read}',
                     $6, $7)",
            self.tenant.uuid(),
            self.grant.uuid(),
            self.user.uuid(),
            self.client_id,
            format!("{ORIGIN}/mcp"),
            now,
            now + Duration::days(90),
        )
        .execute(pool)
        .await
        .unwrap();
        sqlx::query!(
            "insert into oauth_grant_vector_stores (tenant_id, grant_id, vector_store_id)
             values ($1, $2, $3)",
            self.tenant.uuid(),
            self.grant.uuid(),
            self.store.uuid(),
        )
        .execute(pool)
        .await
        .unwrap();
    }

    /// Another tenant's user as a member of this one, with a grant of the same client.
    pub(crate) async fn colleague(&self, other: &Self) -> Self {
        let colleague = Self { user: other.user, grant: GrantId::new(), ..self.clone() };
        for sql in [
            "insert into memberships (tenant_id, user_id, role, created_at)
             select $1, $2, 'reader', now() where $3::uuid is not null and $4::uuid is not null",
            "insert into oauth_grants (tenant_id, id, user_id, client_id, redirect_uri, resource,
                                       scope, created_at, expires_at)
             select tenant_id, $3, $2, client_id, redirect_uri, resource, scope, created_at,
                    expires_at
               from oauth_grants where tenant_id = $1 and id = $4",
            "insert into oauth_grant_vector_stores (tenant_id, grant_id, vector_store_id)
             select tenant_id, $3, vector_store_id from oauth_grant_vector_stores
              where tenant_id = $1 and grant_id = $4 and $2::uuid is not null",
        ] {
            sqlx::query(sql)
                .bind(self.tenant.uuid())
                .bind(colleague.user.uuid())
                .bind(colleague.grant.uuid())
                .bind(self.grant.uuid())
                .execute(&self.app.pool)
                .await
                .unwrap();
        }
        colleague
    }

    /// What a good token for `/mcp` says.
    pub(crate) fn claims(&self) -> Value {
        let now = self.app.clock.now().unix_timestamp();
        let origin = self.app.parts.config.public_url.as_str();
        json!({
            "iss": origin,
            "aud": format!("{origin}/mcp"),
            "sub": self.user,
            "client_id": self.client_id,
            "tenant": self.tenant,
            "grant": self.grant,
            "scope": "search:read",
            "jti": Uuid::now_v7(),
            "iat": now,
            "exp": now + 1800,
        })
    }

    /// A good token for `/mcp`.
    pub(crate) async fn token(&self) -> String {
        self.sign(&self.claims()).await
    }

    /// A good token but for these members.
    pub(crate) async fn token_but(&self, members: Value) -> String {
        let mut claims = self.claims();
        for (name, value) in members.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.sign(&claims).await
    }

    pub(crate) async fn sign(&self, claims: &Value) -> String {
        self.sign_as("at+jwt", claims).await
    }

    /// Signed by our key, under any `typ`.
    pub(crate) async fn sign_as(&self, typ: &str, claims: &Value) -> String {
        let head = json!({ "typ": typ, "alg": "EdDSA", "kid": self.kid().await });
        self.sign_text(&head.to_string(), &claims.to_string()).await
    }

    /// The name of our key.
    pub(crate) async fn kid(&self) -> String {
        sqlx::query_scalar!("select kid from signing_keys").fetch_one(&self.app.pool).await.unwrap()
    }

    /// These very texts, signed by our key.
    pub(crate) async fn sign_text(&self, head: &str, claims: &str) -> String {
        let row = sqlx::query!("select kid, sealed_key from signing_keys")
            .fetch_one(&self.app.pool)
            .await
            .unwrap();
        let context = format!("signing_keys/{}", row.kid);
        let key = self.app.parts.master_key.open(&row.sealed_key, &context).unwrap();
        let message =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(claims));
        let key = EncodingKey::from_ed_der(&key);
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::EdDSA).unwrap();
        format!("{message}.{signature}")
    }

    /// `POST` a message to `/mcp` with a good token.
    pub(crate) async fn post(&self, body: &Value) -> Answer {
        self.send(self.request("/mcp").await, body).await
    }

    /// The same in the modern era, with everything that it demands.
    pub(crate) async fn post_modern(&self, body: Value) -> Answer {
        let (request, body) = self.modern(body).await;
        self.send(request, &body).await
    }

    /// A modern request, to be spoiled before it is sent.
    pub(crate) async fn modern(&self, mut body: Value) -> (axum::http::request::Builder, Value) {
        body["params"]["_meta"] = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        });
        let mut request = self
            .request("/mcp")
            .await
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", body["method"].as_str().unwrap());
        if let Some(name) = body["params"]["name"].as_str() {
            request = request.header("mcp-name", name);
        }
        (request, body)
    }

    /// A request with a good token.
    pub(crate) async fn request(&self, path: &str) -> axum::http::request::Builder {
        self.request_with(path, &self.token().await)
    }

    pub(crate) fn request_with(&self, path: &str, token: &str) -> axum::http::request::Builder {
        Request::post(path).header(header::AUTHORIZATION, format!("Bearer {token}"))
    }

    pub(crate) async fn send(&self, request: axum::http::request::Builder, body: &Value) -> Answer {
        self.send_raw(request, &body.to_string()).await
    }

    pub(crate) async fn send_raw(
        &self,
        request: axum::http::request::Builder,
        body: &str,
    ) -> Answer {
        let request = request.header(header::CONTENT_TYPE, "application/json");
        self.app.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    /// `tools/call`.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Answer {
        self.post(&call(tool, arguments)).await
    }

    /// Bring a file into the store.
    pub(crate) async fn upload(&self, name: &str, text: &str) {
        #[expect(clippy::disallowed_methods, reason = "the test made the tenant")]
        let scope = TenantScope::proven(self.tenant);
        let upload = Upload {
            file_name: name.to_owned(),
            content: text.as_bytes().to_vec().into(),
            uploaded_by: Some(self.user),
            origin: Origin::default(),
        };
        let report = self.app.ingest(scope, self.store, upload).await;
        assert!(report.failed.is_empty() && report.added + report.updated > 0, "{report:?}");
    }

    /// What a tool answers, structured.
    pub(crate) async fn answer(&self, tool: &str, arguments: Value) -> Value {
        same_twice(&self.call(tool, arguments).await.json()["result"])
    }

    /// The audit's events of this tenant, oldest first.
    pub(crate) async fn events(&self) -> Vec<(String, Value)> {
        sqlx::query!(
            "select kind, detail from audit_events where tenant_id = $1 order by id",
            self.tenant.uuid(),
        )
        .fetch_all(&self.app.pool)
        .await
        .unwrap()
        .into_iter()
        .map(|row| (row.kind, row.detail))
        .collect()
    }
}

/// A legacy `tools/call`.
#[expect(clippy::needless_pass_by_value, reason = "callers write json!({…}) in place")]
pub(crate) fn call(tool: &str, arguments: Value) -> Value {
    json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": tool, "arguments": arguments },
    })
}

/// The cheapest question.
pub(crate) fn ping() -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" })
}
