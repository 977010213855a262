//! A tenant's back end, made on its page; and what there is to find for it.

use axum::{
    body::Body,
    extract::Request,
    http::{Method, header},
};
use callslip::{db::TenantScope, ids::VectorStoreId, tenants::Role};
use serde_json::{Value, json};

use super::{
    Answer, Assistant, Browser, ORIGIN, TestApp, file,
    oauth::{Changes, changed},
};

impl TestApp {
    /// A back end of the tenant's that may do these: `("may", "search")`, `("store", id)`, …
    pub async fn back_end(&self, slug: &str, name: &str, fields: Changes<'_>) -> Assistant {
        let admin = format!("{}-admin", name.to_lowercase().replace(' ', "-"));
        let mut browser = self.member(slug, &admin, Role::Admin).await.sign_in().await;
        let page = browser.add_back_end(slug, name, fields).await;
        assert_eq!(page.status, 200, "{}", page.text());
        self.issued(&page)
    }

    /// The credentials that a page shows.
    pub fn issued(&self, page: &Answer) -> Assistant {
        let secret = page.select("#issued-secret").pop();
        Assistant {
            app: self.clone(),
            client_id: page.select("#issued-id").pop().unwrap(),
            method: if secret.is_some() { "client_secret_basic" } else { "private_key_jwt" }
                .to_owned(),
            client_secret: secret,
            redirect_uri: String::new(),
        }
    }

    /// Put a text into a store.
    pub async fn document(&self, slug: &str, store: VectorStoreId, name: &str, text: &str) {
        #[expect(clippy::disallowed_methods, reason = "a test proves nothing about membership")]
        let scope = TenantScope::proven(self.tenant(slug).await.id);
        let report = self.ingest(scope, store, file(name, text.as_bytes())).await;
        assert!(report.failed.is_empty(), "{report:?}");
    }

    /// `tools/call` with a bearer token, at a path.
    pub async fn call_tool(&self, path: &str, token: &str, tool: &str, arguments: Value) -> Answer {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
                           "params": { "name": tool, "arguments": arguments } });
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        self.send(request).await
    }
}

impl Browser {
    /// Fill in the form that makes a back end.
    pub async fn add_back_end(&mut self, slug: &str, name: &str, fields: Changes<'_>) -> Answer {
        let path = format!("/t/{slug}/service-clients");
        let usual = [("name", name), ("proof", "secret"), ("life", "730")];
        let all = changed(&usual, fields);
        self.submit(&path, &path, &all).await
    }
}

impl Assistant {
    /// A token in the client's own name.
    pub async fn own_token(&self, changes: Changes<'_>) -> Answer {
        self.call("/oauth/token", &[("grant_type", "client_credentials")], changes).await
    }

    /// The same, where it must come.
    pub async fn own_access_token(&self, changes: Changes<'_>) -> String {
        let answer = self.own_token(changes).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// Ask what a token is good for.
    pub async fn introspect(&self, token: &str) -> Answer {
        self.call("/oauth/introspect", &[("token", token)], &[]).await
    }
}

/// A tenant's own resource.
pub fn resource_of(slug: &str) -> String {
    format!("{ORIGIN}/t/{slug}/mcp")
}
