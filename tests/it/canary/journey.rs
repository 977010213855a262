//! Everything that a person and their assistant do, and every secret that they do it with.

use callslip::{
    secret::{Kind, Plaintext},
    tenants::Role,
};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::support::{
    Answer, Assistant, Browser, PASSWORD, TestApp,
    openai_fake::{KEY, Mode, OpenAi, STORE},
};

pub(super) const QUESTION: &str = "do vermilion canaries keep to their harbour";
pub(super) const WRONG_PASSWORD: &str = "eleven lanterns by the quay";
pub(super) const OPERATOR_PASSWORD: &str = "seven umbrellas under a bridge";
pub(super) const WRONG_KEY: &str = "sk-not-the-key-0123456789";

/// What happened, and what must not have stayed.
pub(super) struct Journey {
    pub(super) app: TestApp,
    pub(super) cloud: OpenAi,
    pub(super) secrets: Vec<Secret>,
    /// What came back, by what was asked.
    pub(super) answers: Vec<(&'static str, Answer)>,
}

pub(super) struct Secret {
    pub(super) what: &'static str,
    pub(super) text: String,
    /// A form carries it, or the client says it itself: an answer may hold it.
    pub(super) may_return: bool,
}

impl Journey {
    pub(super) fn keep(&mut self, what: &'static str, text: &str) {
        assert!(text.len() > 7, "{what} is too short to look for: {text}");
        self.secrets.push(Secret { what, text: text.to_owned(), may_return: false });
    }

    pub(super) fn keep_form(&mut self, what: &'static str, text: &str) {
        self.keep(what, text);
        self.secrets.last_mut().unwrap().may_return = true;
    }

    fn note(&mut self, what: &'static str, status: u16, answer: Answer) -> Answer {
        assert_eq!(answer.status.as_u16(), status, "{what}: {}", answer.text());
        self.answers.push((what, answer.clone()));
        answer
    }

    pub(super) fn keep_cookies(&mut self, browser: &Browser) {
        for (name, value) in &browser.cookies {
            let what = if name.contains("sid") { "session cookie" } else { "browser cookie" };
            self.keep(what, value);
        }
    }

    /// The link that makes an operator, with a password that is refused and one that is not.
    pub(super) async fn first_operator(&mut self) {
        let link = self.app.accounts().create_operator_link().await.unwrap();
        self.keep_form("one-time link", link.expose());
        let path = format!("/first-operator/{}", link.expose());
        let mut browser = self.app.browser();
        for (again, status) in [(WRONG_PASSWORD, 422), (OPERATOR_PASSWORD, 303)] {
            let form = [
                ("email", "olga@example.org"),
                ("name", "Olga"),
                ("password", OPERATOR_PASSWORD),
                ("password_again", again),
            ];
            let answer = browser.submit(&path, &path, &form).await;
            self.note("the first operator", status, answer);
        }
        self.keep_cookies(&browser);
        let page = browser.get("/operator").await;
        self.note("the operator's page", 200, page);
        let spent = browser.get(&path).await;
        self.note("a spent link", 404, spent);
    }

    pub(super) async fn sign_in(&mut self) -> Browser {
        let ada = self.app.member("acme", "ada", Role::Owner).await;
        let mut browser = self.app.browser();
        for (password, status) in [(WRONG_PASSWORD, 403), (PASSWORD, 303)] {
            let answer = browser.sign_in(&ada.user.email, password, "/").await;
            self.note("signing in", status, answer);
            self.keep_cookies(&browser);
        }
        // A password where the address belongs.
        let answer = self.app.browser().sign_in(PASSWORD, PASSWORD, "/").await;
        assert_eq!(answer.status, 403);
        let token = browser.get("/account").await.csrf_token();
        self.keep_form("form token", &token);
        browser
    }

    pub(super) async fn add_store(&mut self, browser: &mut Browser) {
        let path = "/t/acme/vector-stores";
        let base_url = self.cloud.base_url.clone();
        for (key, name, status) in [
            (WRONG_KEY, "Cloud", 422),
            (KEY, "", 422),
            (KEY, "Cloud", 303),
            (WRONG_KEY, "Cloud", 422),
        ] {
            let form = [
                ("backend", "openai"),
                ("name", name),
                ("external_id", STORE),
                ("api_key", key),
                ("base_url", &base_url),
            ];
            let answer = browser.submit(path, path, &form).await;
            self.note("adding a store", status, answer);
        }
        self.app.store("acme", "Books").await;
    }

    /// From registration to tokens, with refusals at every step; the last pair of tokens.
    pub(super) async fn connect(
        &mut self,
        browser: &mut Browser,
        method: &str,
    ) -> (Assistant, Value) {
        let assistant =
            self.app.assistant_with(&json!({ "token_endpoint_auth_method": method })).await;
        let secret = assistant.client_secret.clone().unwrap();
        self.keep("client secret", &secret);
        let sent = assistant.authorize(browser, &[]).await;
        let name = sent.location().rsplit_once('=').unwrap().1.to_owned();
        self.keep_form("authorization request", &name);
        let approved = browser.consent(sent.location(), &[("decision", "approve")]).await;
        assert_eq!(approved.status, 303, "{}", approved.text());
        let code = approved.returned("code").remove(0);
        self.keep("code", &code);
        let again = browser.get(sent.location()).await;
        self.note("a decided request", 400, again);

        let mut stranger = assistant.clone();
        stranger.client_secret = Some(Plaintext::generate(Kind::Session).expose().to_owned());
        self.keep("wrong client secret", stranger.client_secret.as_ref().unwrap());
        let refused = stranger.exchange(&code, &[]).await;
        self.note("a wrong client secret", 401, refused);
        let refused = assistant.exchange(&code, &[("code_verifier", &"x".repeat(43))]).await;
        self.note("a wrong verifier", 400, refused);
        let tokens = assistant.exchange(&code, &[]).await;
        assert_eq!(tokens.status, 200, "{}", tokens.text());
        let tokens = tokens.json();
        self.keep_tokens(&tokens);
        let refresh_token = tokens["refresh_token"].as_str().unwrap();
        let refused = stranger.refresh(refresh_token, &[]).await;
        self.note("a refresh of another's", 401, refused);
        let refreshed = assistant.refresh(refresh_token, &[]).await.json();
        self.keep_tokens(&refreshed);
        (assistant, refreshed)
    }

    fn keep_tokens(&mut self, tokens: &Value) {
        let access = tokens["access_token"].as_str().unwrap();
        // The head and the claims are no secret; with the signature they are.
        self.keep("access token", access.rsplit_once('.').unwrap().1);
        self.keep("refresh token", tokens["refresh_token"].as_str().unwrap());
    }

    async fn rpc(&mut self, path: &str, token: &str, body: &str, status: u16) -> Answer {
        let request = axum::http::Request::post(path)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(body.to_owned().into())
            .unwrap();
        let answer = self.app.send(request).await;
        self.note("a call", status, answer)
    }

    /// Calls that are answered, refused and broken, the question in each.
    pub(super) async fn call(&mut self, token: &str) {
        let call = |name: &str, arguments: Value| {
            json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
                    "params": { "name": name, "arguments": arguments } })
            .to_string()
        };
        let ask = call("search", json!({ "query": QUESTION }));
        let found = self.rpc("/mcp", token, &ask, 200).await.json();
        let id = found["result"]["structuredContent"]["results"][0]["id"].clone();
        assert!(id.is_string(), "{found}");
        self.rpc("/mcp", token, &call("fetch", json!({ "id": id })), 200).await;
        self.rpc("/mcp", token, &call("fetch", json!({ "id": QUESTION })), 200).await;
        self.rpc("/mcp", token, &call("search", json!({ QUESTION: 1 })), 200).await;
        self.rpc("/mcp", token, &ask[..ask.len() - 3], 400).await;
        let query = QUESTION.replace(' ', "+");
        let path = format!("/mcp?access_token={token}&api_key={KEY}&query={query}");
        self.rpc(&path, token, &ask, 200).await;
        self.rpc(&path, &token[..token.len() - 9], &ask, 401).await;
        self.rpc("/t/acme/mcp", token, &ask, 401).await;
        self.cloud.behave(Mode::Failing(500, 9));
        self.rpc("/mcp", token, &ask, 200).await;
        self.cloud.behave(Mode::Working);
    }

    /// The database refuses, and its errors quote what was written.
    pub(super) async fn break_things(
        &mut self,
        browser: &mut Browser,
        assistant: &Assistant,
        tokens: &Value,
    ) {
        let refuse = async |app: &TestApp, act: &str| {
            for table in ["oauth_refresh_tokens", "audit_events", "sessions", "vector_stores"] {
                let sql = match act {
                    "add" => {
                        format!("alter table {table} add constraint refuse check (false) not valid")
                    }
                    _ => format!("alter table {table} drop constraint refuse"),
                };
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(&app.pool).await.unwrap();
            }
        };
        refuse(&self.app, "add").await;
        let refresh_token = tokens["refresh_token"].as_str().unwrap();
        let broken = assistant.refresh(refresh_token, &[]).await;
        self.note("a broken refresh", 500, broken);
        let broken = self.app.browser().sign_in("ada@acme.example", PASSWORD, "/").await;
        self.note("a broken sign-in", 500, broken);
        let form = [
            ("backend", "openai"),
            ("name", "Another"),
            ("external_id", STORE),
            ("api_key", KEY),
            ("base_url", &self.cloud.base_url.clone()),
        ];
        let path = "/t/acme/vector-stores";
        let broken = browser.submit(path, path, &form).await;
        self.note("a broken store", 500, broken);
        refuse(&self.app, "drop").await;
    }

    /// The end of it, and the pages that tell of it.
    pub(super) async fn leave(
        &mut self,
        browser: &mut Browser,
        assistant: &Assistant,
        tokens: &Value,
    ) {
        for page in ["", "/activity", "/apps", "/vector-stores", "/members", "/documents"] {
            let page = browser.get(&format!("/t/acme{page}")).await;
            self.note("a page", 200, page);
        }
        let refresh_token = tokens["refresh_token"].as_str().unwrap();
        assert_eq!(assistant.revoke(refresh_token).await.status, 200);
        let refused = assistant.refresh(refresh_token, &[]).await;
        self.note("a revoked refresh", 400, refused);
        let token = tokens["access_token"].as_str().unwrap();
        self.rpc("/mcp", token, "{}", 401).await;
        let token = browser.get("/account").await.csrf_token();
        assert_eq!(browser.sign_out(&token).await.status, 303);
    }
}
