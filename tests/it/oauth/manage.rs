//! Clients that manage their own registration: RFC 7592.

use axum::{
    body::Body,
    extract::Request,
    http::{Method, header},
};
use callslip::tenants::Role;
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::support::{Answer, Assistant, ORIGIN, TestApp};

/// A registration in the hands of its owner.
#[derive(Clone)]
struct Owner {
    app: TestApp,
    client_id: String,
    path: String,
    token: String,
    /// What was answered at registration.
    registered: Value,
}

impl Owner {
    async fn new(app: &TestApp, metadata: &Value) -> Self {
        let answer = app.register(metadata).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let registered = answer.json();
        let text = |name: &str| registered[name].as_str().unwrap().to_owned();
        Self {
            app: app.clone(),
            client_id: text("client_id"),
            path: text("registration_client_uri").strip_prefix(ORIGIN).unwrap().to_owned(),
            token: text("registration_access_token"),
            registered,
        }
    }

    async fn send(&self, method: Method, body: Option<&Value>) -> Answer {
        call(&self.app, method, &self.path, Some(&self.token), body).await
    }

    async fn read(&self) -> Answer {
        self.send(Method::GET, None).await
    }

    /// Put these metadata, with the `client_id` that the RFC demands.
    async fn put(&self, metadata: &Value) -> Answer {
        let mut all = metadata.clone();
        all["client_id"] = json!(self.client_id);
        self.send(Method::PUT, Some(&all)).await
    }

    fn assistant(&self) -> Assistant {
        let text = |name: &str| self.registered[name].as_str().map(str::to_owned);
        Assistant {
            app: self.app.clone(),
            client_id: self.client_id.clone(),
            client_secret: text("client_secret"),
            method: text("token_endpoint_auth_method").unwrap(),
            redirect_uri: self.registered["redirect_uris"][0].as_str().unwrap().to_owned(),
        }
    }
}

async fn call(
    app: &TestApp,
    method: Method,
    path: &str,
    token: Option<&str>,
    body: Option<&Value>,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    app.send(request.body(body).unwrap()).await
}

fn public() -> Value {
    json!({"client_name": "Reader", "redirect_uris": ["https://reader.example/cb"],
           "token_endpoint_auth_method": "none"})
}

fn confidential() -> Value {
    json!({"client_name": "Reader", "redirect_uris": ["https://reader.example/cb"],
           "token_endpoint_auth_method": "client_secret_post"})
}

async fn events(app: &TestApp, kind: &str) -> i64 {
    sqlx::query_scalar("select count(*) from installation_events where kind = $1")
        .bind(kind)
        .fetch_one(&app.pool)
        .await
        .unwrap()
}

async fn ends(app: &TestApp) -> Vec<Option<String>> {
    sqlx::query_scalar("select revoked_for from oauth_grants order by id")
        .fetch_all(&app.pool)
        .await
        .unwrap()
}

/// The owner reads what is registered; the secret is told once and never again.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_owner_reads_what_is_registered(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let owner = Owner::new(&app, &confidential()).await;
    let answer = owner.read().await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, "no-store"));
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    let mut registered = owner.registered.clone();
    let secret = registered["client_secret"].as_str().unwrap().to_owned();
    registered.as_object_mut().unwrap().remove("client_secret");
    registered.as_object_mut().unwrap().remove("client_secret_expires_at");
    assert_eq!(answer.json(), registered);
    assert!(!answer.text().contains(&secret));
    // Nor is either kept in clear.
    let rows: Value = sqlx::query_scalar("select to_jsonb(c) from oauth_clients c")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert!(!rows.to_string().contains("csl_"), "{rows}");
}

/// [D-10] Nobody manages what is not theirs, and every stranger hears the same: whose token it is,
/// whether there is such a client, and of what kind it is cannot be told.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn anothers_token_opens_nothing(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let (alice, bob) = (Owner::new(&app, &public()).await, Owner::new(&app, &public()).await);
    let gone = Owner::new(&app, &public()).await;
    assert_eq!(gone.send(Method::DELETE, None).await.status, 204);
    let nobody = "/oauth/register/11111111-2222-4333-8444-555555555555";
    let mut heard = Vec::new();
    for (path, token) in [
        (&*bob.path, Some(&*alice.token)),
        (&*bob.path, None),
        (&*bob.path, Some("csl_ra_guess")),
        (&*bob.path, Some("")),
        (nobody, Some(&*alice.token)),
        (nobody, None),
        (&*gone.path, Some(&*gone.token)),
        ("/oauth/register/https%3A%2F%2Fa.example%2Fclient.json", Some(&*alice.token)),
        ("/oauth/register/%00", Some(&*alice.token)),
    ] {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let answer = call(&app, method.clone(), path, token, Some(&json!({}))).await;
            assert_eq!(answer.status, 401, "{method} {path} {token:?}");
            assert_eq!(
                answer.header("www-authenticate"),
                "Bearer realm=\"callslip\", error=\"invalid_token\""
            );
            heard.push(answer.text());
        }
    }
    heard.dedup();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!(bob.read().await.status, 200);
    assert_eq!(events(&app, "client.deleted").await, 1);
}

/// [D-10] A client without the token of a registration, whoever made it, is nobody's to manage.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn clients_of_other_sources_cannot_be_managed(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let owner = Owner::new(&app, &confidential()).await;
    sqlx::query!("update oauth_clients set source = 'tenant'").execute(&pool).await.unwrap();
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let body = json!({"client_id": owner.client_id, "redirect_uris": ["https://a.example/x"]});
        assert_eq!(owner.send(method, Some(&body)).await.status, 401);
    }
    sqlx::query!("update oauth_clients set source = 'registration'").execute(&pool).await.unwrap();
    assert_eq!(owner.read().await.status, 200);
}

/// An update replaces everything, with the rules of registration, and says what holds now.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_update_replaces_what_is_registered(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut before = public();
    before["client_uri"] = json!("https://reader.example");
    before["scope"] = json!("search:read");
    let owner = Owner::new(&app, &before).await;
    let mut after = public();
    after["client_name"] = json!("Better Reader");
    after["tos_uri"] = json!("https://reader.example/terms");
    let answer = owner.put(&after).await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, "no-store"));
    let now = answer.json();
    assert_eq!(now["client_name"], "Better Reader");
    assert_eq!(now["tos_uri"], "https://reader.example/terms");
    for gone in ["client_uri", "scope", "client_secret"] {
        assert!(now.get(gone).is_none(), "{gone} in {now}");
    }
    for kept in ["client_id_issued_at", "registration_access_token", "registration_client_uri"] {
        assert_eq!(now[kept], owner.registered[kept], "{kept}");
    }
    assert!(now.as_object().unwrap().values().all(|value| !value.is_null()));
    assert_eq!(owner.read().await.json(), now);

    for (wrong, error) in [
        (json!({"redirect_uris": ["javascript:x"]}), "invalid_redirect_uri"),
        (json!({"redirect_uris": []}), "invalid_redirect_uri"),
        (json!({"grant_types": ["implicit"]}), "invalid_client_metadata"),
        (json!({"token_endpoint_auth_method": "x"}), "invalid_client_metadata"),
        (json!({"client_uri": "http://reader.example"}), "invalid_client_metadata"),
        (json!({"client_secret": "csl_cs_guess"}), "invalid_client_metadata"),
    ] {
        let mut metadata = public();
        for (name, value) in wrong.as_object().unwrap() {
            metadata[name] = value.clone();
        }
        let answer = owner.put(&metadata).await;
        assert_eq!(answer.status, 400, "{wrong}");
        assert_eq!(answer.json()["error"], error, "{wrong}");
    }
    // RFC 7592 §2.2: to describe another client, or nobody, is a mistake.
    for client_id in [json!("another"), json!(null)] {
        let mut metadata = public();
        metadata["client_id"] = client_id;
        assert_eq!(owner.send(Method::PUT, Some(&metadata)).await.status, 400);
    }
    assert_eq!(call(&app, Method::PUT, &owner.path, Some(&owner.token), None).await.status, 400);
    assert_eq!(owner.read().await.json(), now, "nothing of it was kept");
    assert_eq!(events(&app, "client.updated").await, 1);
}

/// [C-07] What users consented to ends their consent when it becomes something else, code, access
/// and refresh token at once; what they were not told of does not.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn consent_ends_when_the_client_becomes_another(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let key = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": "1",
                               "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]});
    for (change, ends_consent) in [
        (json!({"tos_uri": "https://reader.example/terms"}), false),
        (
            json!({"redirect_uris": ["https://reader.example/cb", "https://reader.example/cb"]}),
            false,
        ),
        (json!({"client_name": "Another"}), true),
        (json!({"redirect_uris": ["https://reader.example/cb", "https://evil.example/"]}), true),
        (json!({"token_endpoint_auth_method": "client_secret_basic"}), true),
        (json!({"jwks": key}), true),
        (json!({"jwks_uri": "https://reader.example/keys"}), true),
    ] {
        let owner = Owner::new(&app, &public()).await;
        let mut assistant = owner.assistant();
        let tokens = assistant.tokens(&mut browser, &[]).await;
        let code = assistant.code(&mut browser, &[]).await;
        let access = tokens["access_token"].as_str().unwrap();
        assert!(app.accepts(access).await);
        let mut metadata = public();
        for (name, value) in change.as_object().unwrap() {
            metadata[name] = value.clone();
        }
        let answer = owner.put(&metadata).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let now = answer.json();
        assistant.method = now["token_endpoint_auth_method"].as_str().unwrap().to_owned();
        assistant.client_secret = now["client_secret"].as_str().map(str::to_owned);

        assert_eq!(app.accepts(access).await, !ends_consent, "{change}");
        let refreshed = assistant.refresh(tokens["refresh_token"].as_str().unwrap(), &[]).await;
        let redeemed = assistant.exchange(&code, &[]).await;
        if ends_consent {
            assert_eq!(refreshed.json()["error"], "invalid_grant", "{change}");
            assert_eq!(redeemed.json()["error"], "invalid_grant", "{change}");
            let all = ends(&app).await;
            assert!(all.iter().rev().take(2).all(|end| end.as_deref() == Some("client_changed")));
            // A fresh consent is good again.
            let tokens = assistant.tokens(&mut browser, &[]).await;
            assert!(app.accepts(tokens["access_token"].as_str().unwrap()).await, "{change}");
        } else {
            assert_eq!((refreshed.status.as_u16(), redeemed.status.as_u16()), (200, 200));
        }
    }
}

/// A request that waits for consent is void once the client is another: nobody consents to what
/// they were not shown.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_waiting_request_does_not_outlive_the_change(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let owner = Owner::new(&app, &public()).await;
    let sent = owner.assistant().authorize(&mut browser, &[]).await;
    let page = browser.get(sent.location()).await;
    let mut metadata = public();
    metadata["client_name"] = json!("Another");
    assert_eq!(owner.put(&metadata).await.status, 200);
    let mut fields = page.form_fields();
    fields.push(("decision".to_owned(), "approve".to_owned()));
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    browser.post("/oauth/consent", &fields).await;
    let living: i64 = sqlx::query_scalar!(
        r#"select count(*) as "count!" from oauth_grants g
             join oauth_clients c on c.client_id = g.client_id and c.version = g.client_version"#
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(living, 0);
}

/// [D-10] Secrets rotate: left out, a new one comes at once and the old one dies; the current one
/// shown, it stays; a wrong one changes nothing.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn secrets_rotate(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let owner = Owner::new(&app, &confidential()).await;
    let old = owner.assistant();
    let tokens = old.tokens(&mut browser, &[]).await;
    let refresh_token = tokens["refresh_token"].as_str().unwrap();

    let rotated = owner.put(&confidential()).await.json();
    let mut new = owner.assistant();
    new.client_secret = rotated["client_secret"].as_str().map(str::to_owned);
    assert!(new.client_secret.is_some() && new.client_secret != old.client_secret);
    assert_eq!(rotated["client_secret_expires_at"], 0);
    assert_eq!(old.refresh(refresh_token, &[]).await.status, 401);
    let refreshed = new.refresh(refresh_token, &[]).await;
    assert_eq!(refreshed.status, 200, "a new secret is no new client: {}", refreshed.text());

    let mut metadata = confidential();
    metadata["client_secret"] = json!(new.client_secret);
    let kept = owner.put(&metadata).await;
    assert_eq!(kept.status, 200, "{}", kept.text());
    assert!(!kept.text().contains("csl_cs_"), "{}", kept.text());
    metadata["client_secret"] = json!(old.client_secret);
    assert_eq!(owner.put(&metadata).await.status, 400, "the old one is not the current one");
    let again = refreshed.json()["refresh_token"].as_str().unwrap().to_owned();
    assert_eq!(new.refresh(&again, &[]).await.status, 200);
    // A public client has none, and a client that becomes one loses it.
    let public = owner.put(&public()).await;
    assert!(!public.text().contains("client_secret"), "{}", public.text());
    let secret = "select secret_hash is null from oauth_clients";
    assert!(sqlx::query_scalar::<_, bool>(secret).fetch_one(&pool).await.unwrap());
}

/// [D-10] A client that is removed takes every grant with it, at once.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_removed_client_takes_its_grants_along(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let (owner, other) = (Owner::new(&app, &public()).await, Owner::new(&app, &public()).await);
    let assistant = owner.assistant();
    let tokens = assistant.tokens(&mut browser, &[]).await;
    let others = other.assistant().tokens(&mut browser, &[]).await;
    let access = tokens["access_token"].as_str().unwrap();
    assert!(app.accepts(access).await);
    let answer = owner.send(Method::DELETE, None).await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (204, ""));
    assert!(!app.accepts(access).await);
    let refreshed = assistant.refresh(tokens["refresh_token"].as_str().unwrap(), &[]).await;
    assert_eq!(refreshed.json()["error"], "invalid_client", "so that clients register anew");
    let sent = assistant.authorize(&mut browser, &[]).await;
    assert_eq!(sent.status, 400);
    assert_eq!(ends(&app).await, [Some("client".to_owned()), None]);
    assert!(app.accepts(others["access_token"].as_str().unwrap()).await);
    // The user does not see it among the connected apps any more, and sees why.
    assert_eq!(browser.get("/t/acme/apps").await.select("tbody tr").len(), 1);
    let told = "select count(*) from audit_events where kind = 'grant.revoked'";
    assert_eq!(sqlx::query_scalar::<_, i64>(told).fetch_one(&pool).await.unwrap(), 1);
    assert_eq!(events(&app, "client.deleted").await, 1);
}

/// Updates at the same moment come one after the other, and after a removal none comes.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn racing_owners_leave_one_truth(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let node = TestApp::new(&pool).await;
    let owner = Owner::new(&app, &confidential()).await;
    let mut tasks = Vec::new();
    for n in 0..16 {
        let mut owner = owner.clone();
        owner.app = if n % 2 == 0 { app.clone() } else { node.clone() };
        let mut metadata = confidential();
        metadata["client_name"] = json!(format!("Reader {n}"));
        tasks.push(tokio::spawn(async move { owner.put(&metadata).await }));
    }
    let mut secrets = Vec::new();
    for task in tasks {
        let answer = task.await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer = answer.json();
        secrets.push((answer["client_name"].clone(), answer["client_secret"].clone()));
    }
    let now = owner.read().await.json();
    let version: i32 =
        sqlx::query_scalar!("select version from oauth_clients").fetch_one(&pool).await.unwrap();
    assert_eq!(version, 17, "every change moved it");
    // The secret that was told with the name that holds, and no other, is the client's.
    for (name, secret) in secrets {
        let mut metadata = confidential();
        metadata["client_name"] = now["client_name"].clone();
        metadata["client_secret"] = secret;
        let expected = if name == now["client_name"] { 200 } else { 400 };
        assert_eq!(owner.put(&metadata).await.status, expected, "{name}");
    }

    let mut tasks = Vec::new();
    for n in 0..16 {
        let mut owner = owner.clone();
        owner.app = if n % 2 == 0 { app.clone() } else { node.clone() };
        tasks.push(tokio::spawn(async move {
            if n == 7 {
                owner.send(Method::DELETE, None).await.status.as_u16()
            } else {
                owner.put(&public()).await.status.as_u16()
            }
        }));
    }
    let mut statuses = Vec::new();
    for task in tasks {
        statuses.push(task.await.unwrap());
    }
    assert_eq!(statuses.iter().filter(|status| **status == 204).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 204, 401].contains(status)), "{statuses:?}");
    assert_eq!(owner.read().await.status, 401);
    assert_eq!(owner.put(&public()).await.status, 401);
    let gone = "select disabled_at is not null from oauth_clients";
    assert!(sqlx::query_scalar::<_, bool>(gone).fetch_one(&pool).await.unwrap());
}

/// Saying the same again changes nothing, and nothing is recorded.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_changes_nothing_is_no_event(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let owner = Owner::new(&app, &public()).await;
    for _ in 0..3 {
        assert_eq!(owner.put(&public()).await.status, 200);
    }
    assert_eq!(events(&app, "client.updated").await, 0);
    let mut metadata = public();
    metadata["tos_uri"] = json!("https://reader.example/terms");
    assert_eq!(owner.put(&metadata).await.status, 200);
    assert_eq!(events(&app, "client.updated").await, 1);
}

/// Once the client has changed, its grants are over: that they could not be marked is no reason to
/// say that nothing was changed.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_change_that_holds_is_answered_as_one(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let owner = Owner::new(&app, &public()).await;
    let tokens = owner.assistant().tokens(&mut browser, &[]).await;
    for sql in [
        "create function fail() returns trigger language plpgsql as
             'begin raise exception ''out of order''; end'",
        "create trigger fail before update on oauth_grants execute function fail()",
    ] {
        sqlx::query(sql).execute(&pool).await.unwrap();
    }
    let mut metadata = public();
    metadata["client_name"] = json!("Another");
    let answer = owner.put(&metadata).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["client_name"]), (200, &json!("Another")));
    assert!(!app.accepts(tokens["access_token"].as_str().unwrap()).await);
    assert_eq!(owner.send(Method::DELETE, None).await.status, 204);
    assert_eq!(owner.read().await.status, 401);
}
