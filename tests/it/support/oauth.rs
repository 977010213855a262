//! An assistant that connects: registers, sends the browser, redeems, refreshes.

use axum::{
    body::Body,
    extract::Request,
    http::{Method, header},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use callslip::{
    audit::Actor,
    db::TenantScope,
    ids::{TenantId, VectorStoreId},
    vector_stores,
};
use serde_json::{Value, json};
use time::Duration;

use super::{Answer, Browser, ORIGIN, TestApp};

/// The pair of RFC 7636 appendix B.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
/// Where ChatGPT describes itself.
pub const CHATGPT: &str = "https://chatgpt.com/oauth/client.json";
/// Where assistants have their answers sent.
pub const REDIRECT_URI: &str = "https://assistant.example/cb";

/// Parameters to put in the place of the usual ones; an empty value leaves one out.
pub type Changes<'a> = &'a [(&'a str, &'a str)];

/// A registered client.
#[derive(Clone)]
pub struct Assistant {
    pub app: TestApp,
    pub client_id: String,
    pub client_secret: Option<String>,
    pub method: String,
    pub redirect_uri: String,
}

impl TestApp {
    /// `POST /oauth/register`
    pub async fn register(&self, metadata: &Value) -> Answer {
        let request = Request::post("/oauth/register")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(metadata.to_string()))
            .unwrap();
        self.send(request).await
    }

    /// A registered client with these metadata besides the usual ones.
    pub async fn assistant_with(&self, metadata: &Value) -> Assistant {
        let mut all = json!({
            "client_name": "Assistant",
            "redirect_uris": [REDIRECT_URI],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        });
        for (name, value) in metadata.as_object().unwrap() {
            all[name] = value.clone();
        }
        let answer = self.register(&all).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let answer = answer.json();
        let text = |name: &str| answer[name].as_str().map(str::to_owned);
        Assistant {
            app: self.clone(),
            client_id: text("client_id").unwrap(),
            client_secret: text("client_secret"),
            method: text("token_endpoint_auth_method").unwrap(),
            redirect_uri: answer["redirect_uris"][0].as_str().unwrap().to_owned(),
        }
    }

    /// A public client.
    pub async fn assistant(&self) -> Assistant {
        self.assistant_with(&json!({})).await
    }

    /// A public client whose document was read, and need not be read again for `fresh`.
    #[expect(clippy::disallowed_methods, reason = "tests look behind the application's back")]
    pub async fn described(&self, client_id: &str, name: &str, fresh: Duration) -> Assistant {
        let now = self.clock.now();
        sqlx::query(
            "insert into oauth_clients
                    (client_id, client_name, source, redirect_uris, grant_types,
                     token_endpoint_auth_methods, created_at, fetched_at, fresh_until)
             values ($1, $2, 'document', $3, '{authorization_code,refresh_token}', '{none}',
                     $4, $4, $5)",
        )
        .bind(client_id)
        .bind(name)
        .bind(vec![REDIRECT_URI])
        .bind(now)
        .bind(now + fresh)
        .execute(&self.pool)
        .await
        .unwrap();
        Assistant {
            app: self.clone(),
            client_id: client_id.to_owned(),
            client_secret: None,
            method: "none".to_owned(),
            redirect_uri: REDIRECT_URI.to_owned(),
        }
    }

    /// A vector store of a tenant's.
    pub async fn store(&self, tenant: &str, name: &str) -> VectorStoreId {
        let tenant = self.tenant(tenant).await.id;
        let mut tx = self.db().tenant(scope(tenant)).await.unwrap();
        let created = vector_stores::create_builtin(&mut tx, &self.clock, &Actor::default(), name)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        created.unwrap().id
    }

    /// `POST` a url-encoded body.
    pub async fn post_form(
        &self,
        path: &str,
        authorization: Option<&str>,
        fields: &[(&str, &str)],
    ) -> Answer {
        let body =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    /// Whether the protected resource would accept an access token now.
    pub async fn accepts(&self, access_token: &str) -> bool {
        let oauth = &self.app.oauth;
        let Some(claims) = oauth.verifier().verify(access_token).await else { return false };
        oauth.liveness().check(&claims).await.unwrap().is_some()
    }

    /// How many rows a table has.
    #[expect(clippy::disallowed_methods, reason = "tests look behind the application's back")]
    pub async fn count(&self, table: &str) -> i64 {
        let sql = sqlx::AssertSqlSafe(format!("select count(*) from {table}"));
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "a test proves nothing about membership")]
fn scope(tenant: TenantId) -> TenantScope {
    TenantScope::proven(tenant)
}

/// The usual parameters with changes: a name in `changes` takes the place of its namesake, and of
/// nothing when its value is empty.
pub fn changed<'a>(usual: &[(&'a str, &'a str)], changes: Changes<'a>) -> Vec<(&'a str, &'a str)> {
    let mut all: Vec<(&str, &str)> = usual
        .iter()
        .copied()
        .filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name))
        .collect();
    all.extend(changes.iter().copied().filter(|(_, value)| !value.is_empty()));
    all
}

impl Assistant {
    /// The same client, calling another process.
    pub fn at(&self, app: &TestApp) -> Self {
        Self { app: app.clone(), ..self.clone() }
    }

    /// The URL that the browser is sent to.
    pub fn authorization_url(&self, changes: Changes<'_>) -> String {
        let resource = format!("{ORIGIN}/mcp");
        let usual = [
            ("response_type", "code"),
            ("client_id", self.client_id.as_str()),
            ("redirect_uri", self.redirect_uri.as_str()),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("state", "af0ifjsldkj"),
            ("scope", "search:read"),
            ("resource", resource.as_str()),
        ];
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(changed(&usual, changes))
            .finish();
        format!("/oauth/authorize?{query}")
    }

    /// Send a signed-in browser; ends at the consent page's path, or at the refusal.
    pub async fn authorize(&self, browser: &mut Browser, changes: Changes<'_>) -> Answer {
        browser.get(&self.authorization_url(changes)).await
    }

    /// Send a signed-in browser with what cannot be granted: the page that says so.
    pub async fn refused(&self, browser: &mut Browser, changes: Changes<'_>) -> Answer {
        let sent = self.authorize(browser, changes).await;
        assert!(sent.location().starts_with("/oauth/consent?"), "{changes:?} {}", sent.text());
        let page = browser.get(sent.location()).await;
        assert_eq!((page.status.as_u16(), page.location()), (400, ""), "{changes:?}");
        page
    }

    /// Send a signed-in browser, and approve.
    pub async fn approved(&self, browser: &mut Browser, changes: Changes<'_>) -> Answer {
        let sent = self.authorize(browser, changes).await;
        assert_eq!(sent.status, 303, "{}", sent.text());
        browser.consent(sent.location(), &[("decision", "approve")]).await
    }

    /// A code, fresh from consent.
    pub async fn code(&self, browser: &mut Browser, changes: Changes<'_>) -> String {
        let answer = self.approved(browser, changes).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        answer.returned("code").pop().unwrap_or_else(|| panic!("{}", answer.location()))
    }

    /// Redeem a code.
    pub async fn exchange(&self, code: &str, changes: Changes<'_>) -> Answer {
        let resource = format!("{ORIGIN}/mcp");
        let usual = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", self.redirect_uri.as_str()),
            ("code_verifier", VERIFIER),
            ("resource", resource.as_str()),
        ];
        self.call("/oauth/token", &usual, changes).await
    }

    /// Refresh.
    pub async fn refresh(&self, refresh_token: &str, changes: Changes<'_>) -> Answer {
        let usual = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        self.call("/oauth/token", &usual, changes).await
    }

    /// Give a token back.
    pub async fn revoke(&self, token: &str) -> Answer {
        self.call("/oauth/revoke", &[("token", token)], &[]).await
    }

    /// The whole flow: what the token endpoint said.
    pub async fn tokens(&self, browser: &mut Browser, changes: Changes<'_>) -> Value {
        let code = self.code(browser, changes).await;
        let answer = self.exchange(&code, &[("resource", "")]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// Call an endpoint, authenticating as registered.
    pub async fn call(&self, path: &str, usual: &[(&str, &str)], changes: Changes<'_>) -> Answer {
        let secret = self.client_secret.as_deref().unwrap_or_default();
        let basic = format!("Basic {}", STANDARD.encode(format!("{}:{secret}", self.client_id)));
        let mut all = usual.to_vec();
        let mut authorization = None;
        match self.method.as_str() {
            "client_secret_basic" => authorization = Some(basic.as_str()),
            "client_secret_post" => {
                all.extend([("client_id", self.client_id.as_str()), ("client_secret", secret)]);
            }
            _ => all.push(("client_id", self.client_id.as_str())),
        }
        self.app.post_form(path, authorization, &changed(&all, changes)).await
    }
}

impl Browser {
    /// Open a consent page and send its form as it stands, with changes: every store that is
    /// ticked, and the tenant that is chosen.
    pub async fn consent(&mut self, path: &str, changes: Changes<'_>) -> Answer {
        let page = self.get(path).await;
        assert_eq!(page.status, 200, "{} {}", page.location(), page.text());
        let fields = page.form_fields();
        let fields: Vec<(&str, &str)> =
            fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.post("/oauth/consent", &changed(&fields, changes)).await
    }
}

impl Answer {
    /// The fields that the page's form would send without another click.
    pub fn form_fields(&self) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        for selector in
            ["input[type=hidden]", "input[type=radio][checked]", "input[type=checkbox][checked]"]
        {
            let selector = format!("form[action^='/oauth/consent?'] {selector}");
            let names = self.attribute(&selector, "name");
            fields.extend(names.into_iter().zip(self.attribute(&selector, "value")));
        }
        fields
    }

    /// The page's one way back to the client.
    pub fn link_back(&self) -> String {
        let links = self.attribute("main a[rel=noreferrer]", "href");
        assert_eq!(links.len(), 1, "{}", self.text());
        links.concat()
    }

    /// Every value of a parameter in the page's way back to the client.
    pub fn told(&self, name: &str) -> Vec<String> {
        let link = url::Url::parse(&self.link_back()).unwrap();
        let pairs = link.query_pairs();
        pairs.filter(|(key, _)| key == name).map(|(_, value)| value.into_owned()).collect()
    }

    /// Every value of a parameter in the address that this redirects to.
    pub fn returned(&self, name: &str) -> Vec<String> {
        let location = url::Url::parse(self.location())
            .unwrap_or_else(|_| panic!("{} {:?} {}", self.status, self.location(), self.text()));
        let pairs = location.query_pairs();
        pairs.filter(|(key, _)| key == name).map(|(_, value)| value.into_owned()).collect()
    }
}
