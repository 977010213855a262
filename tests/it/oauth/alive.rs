//! Every way in which a token dies, and every place that asks whether it lives.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use callslip::{oauth::rotation::Urgency, tenants::Role};
use serde_json::{Value, json};
use sqlx::PgPool;
use time::Duration;

use crate::support::{Answer, Assistant, Browser, TestApp};

/// A tenant with a user, a client that they let in, its tokens, and a resource server that asks.
struct Scene {
    app: TestApp,
    slug: String,
    browser: Browser,
    guard: Assistant,
    assistant: Assistant,
    access: String,
    refresh: String,
}

/// What is said of the two tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Verdict {
    access: bool,
    refresh: bool,
}

const BOTH: Verdict = Verdict { access: true, refresh: true };
const NEITHER: Verdict = Verdict { access: false, refresh: false };
const REFRESH_ALONE: Verdict = Verdict { access: false, refresh: true };

fn text(tokens: &Value, name: &str) -> String {
    tokens[name].as_str().unwrap().to_owned()
}

fn says_active(answer: &Answer) -> bool {
    answer.status == 200 && answer.json()["active"] == true
}

impl Scene {
    async fn set(app: &TestApp, slug: &str) -> Self {
        let ada = app.member(slug, "ada", Role::Reader).await;
        app.store(slug, "Library").await;
        let guard = app.back_end(slug, &format!("Guard {slug}"), &[("may", "introspect")]).await;
        let assistant = app.assistant().await;
        let mut browser = ada.sign_in().await;
        let tokens = assistant.tokens(&mut browser, &[]).await;
        let (access, refresh) = (text(&tokens, "access_token"), text(&tokens, "refresh_token"));
        let (app, slug) = (app.clone(), slug.to_owned());
        Self { app, slug, browser, guard, assistant, access, refresh }
    }

    /// By introspection.
    async fn introspected(&self) -> Verdict {
        Verdict {
            access: says_active(&self.guard.introspect(&self.access).await),
            refresh: says_active(&self.guard.introspect(&self.refresh).await),
        }
    }

    /// By using them. The refresh token is spent.
    async fn used(&mut self) -> Verdict {
        let pinged = self.app.ping("/mcp", &format!("Bearer {}", self.access), &[]).await;
        assert!(matches!(pinged.status.as_u16(), 200 | 401), "{}", pinged.text());
        let refreshed = self.assistant.refresh(&self.refresh, &[]).await;
        if refreshed.status != 200 {
            let error = refreshed.json()["error"].clone();
            assert!(error == "invalid_grant" || error == "invalid_client", "{error}");
        } else {
            self.refresh = text(&refreshed.json(), "refresh_token");
        }
        Verdict { access: pinged.status == 200, refresh: refreshed.status == 200 }
    }

    /// A statement about this scene's client `$1`, tenant `$2` and the time `$3`.
    async fn run(&self, sql: &'static str) {
        let everything =
            " and $1::text is not null and $2::uuid is not null and $3::timestamptz is not null";
        sqlx::query(sqlx::AssertSqlSafe(format!("{sql}{everything}")))
            .bind(&self.assistant.client_id)
            .bind(self.app.pool_tenant(&self.slug).await)
            .bind(self.app.clock.now())
            .execute(&self.app.pool)
            .await
            .unwrap();
    }
}

impl TestApp {
    async fn pool_tenant(&self, slug: &str) -> uuid::Uuid {
        let sql = "select id from tenants where slug = $1";
        sqlx::query_scalar(sql).bind(slug).fetch_one(&self.pool).await.unwrap()
    }
}

/// What an admin, the operator or the user does, and what is left.
const LEVELS: &[(&str, &str, Verdict)] = &[
    (
        "the grant, by its user or an admin",
        "update oauth_grants set revoked_at = $3, revoked_for = 'admin' where client_id = $1",
        NEITHER,
    ),
    ("the grant's end", "update oauth_grants set expires_at = $3 where client_id = $1", NEITHER),
    (
        "the client, disabled",
        "update oauth_clients set disabled_at = $3 where client_id = $1",
        NEITHER,
    ),
    (
        "the client, changed",
        "update oauth_clients set version = version + 1 where client_id = $1",
        NEITHER,
    ),
    (
        "the user, disabled",
        "update users set disabled_at = $3
          where id in (select user_id from oauth_grants where client_id = $1)",
        NEITHER,
    ),
    (
        "the membership",
        "delete from memberships where tenant_id = $2
            and user_id in (select user_id from oauth_grants where client_id = $1)",
        NEITHER,
    ),
    ("the tenant, suspended", "update tenants set suspended_at = $3 where id = $2", NEITHER),
    (
        "the refresh token's idle limit",
        "update oauth_refresh_tokens set expires_at = $3
          where grant_id in (select id from oauth_grants where client_id = $1)",
        Verdict { access: true, refresh: false },
    ),
];

/// Token, grant, client and its version, user, membership, tenant, signing key and time: at
/// each level the resource, the token endpoint and introspection say the same, at once, on any node.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn every_level_of_revocation_holds_everywhere(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    for (number, (name, sql, expected)) in LEVELS.iter().enumerate() {
        let mut scene = Scene::set(&app, &format!("level-{number}")).await;
        assert_eq!(scene.introspected().await, BOTH, "before {name}");
        scene.run(sql).await;
        assert_eq!(scene.introspected().await, *expected, "{name}, introspected");
        assert_eq!(scene.used().await, *expected, "{name}, used");
        scene.app = app.twin().await;
        assert_eq!(scene.used().await, *expected, "{name}, used at another node");
    }
}

/// The levels that a client, the operator's keys and the clock reach.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn giving_back_and_expiry_hold_everywhere(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut scene = Scene::set(&app, "acme").await;
    assert_eq!(scene.used().await, BOTH);
    assert_eq!(scene.assistant.revoke(&scene.access).await.status, 200);
    assert_eq!(scene.introspected().await, REFRESH_ALONE, "the access token alone");
    assert_eq!(scene.used().await, REFRESH_ALONE);

    let mut scene = Scene::set(&app, "beta").await;
    assert_eq!(scene.assistant.revoke(&scene.refresh).await.status, 200);
    assert_eq!(scene.introspected().await, NEITHER, "the refresh token and all with it");
    assert_eq!(scene.used().await, NEITHER);

    // Which key signed says the token; the refresh token is signed by none.
    let mut scene = Scene::set(&app, "keys").await;
    let head = URL_SAFE_NO_PAD.decode(scene.access.split('.').next().unwrap()).unwrap();
    let head: Value = serde_json::from_slice(&head).unwrap();
    let kid = head["kid"].as_str().unwrap();
    app.rotation().retire(kid, Urgency::Emergency).await.unwrap().unwrap();
    assert_eq!(scene.introspected().await, REFRESH_ALONE, "the key that signed");
    assert_eq!(scene.used().await, REFRESH_ALONE);

    let mut scene = Scene::set(&app, "gamma").await;
    app.clock.advance(Duration::minutes(31));
    assert_eq!(scene.introspected().await, REFRESH_ALONE, "half an hour, and the leeway");
    assert_eq!(scene.used().await, REFRESH_ALONE);
    app.clock.advance(Duration::days(30));
    assert_eq!(scene.introspected().await, NEITHER, "thirty idle days");
    assert_eq!(scene.used().await, NEITHER);
}

/// What was given back while its tenant was suspended stays dead when the tenant comes back.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_token_can_be_given_back_while_it_is_dead_for_now(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let scene = Scene::set(&app, "acme").await;
    scene.run("update tenants set suspended_at = $3 where id = $2").await;
    assert_eq!(scene.assistant.revoke(&scene.access).await.status, 200);
    scene.run("update tenants set suspended_at = null where id = $2").await;
    assert_eq!(scene.introspected().await, REFRESH_ALONE);
}

/// Whatever is handed in to buy a token, at whichever grant: once it is revoked or over, it
/// buys nothing. The list of grants is the published one, so that a new one has to be walked too.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn nothing_that_is_over_buys_a_token(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let metadata = app.get("/.well-known/oauth-authorization-server").await.json();
    let walked = ["authorization_code", "refresh_token", "client_credentials"];
    assert_eq!(metadata["grant_types_supported"], json!(walked));

    let refused = |what: &str, answer: &Answer, error: &str| {
        assert_eq!(answer.json()["error"], error, "{what}: {}", answer.text());
        assert!(!answer.text().contains("access_token"), "{what}");
    };
    // Codes: expired, and of a grant that was revoked.
    let mut scene = Scene::set(&app, "acme").await;
    let code = scene.assistant.code(&mut scene.browser, &[]).await;
    app.clock.advance(Duration::seconds(61));
    refused("an old code", &scene.assistant.exchange(&code, &[]).await, "invalid_grant");
    let code = scene.assistant.code(&mut scene.browser, &[]).await;
    scene
        .run("update oauth_grants set revoked_at = $3, revoked_for = 'user' where client_id = $1")
        .await;
    refused("a dead grant's code", &scene.assistant.exchange(&code, &[]).await, "invalid_grant");
    refused(
        "its refresh token",
        &scene.assistant.refresh(&scene.refresh, &[]).await,
        "invalid_grant",
    );

    // Refresh tokens: revoked, newest and retried ones alike; and over by time.
    let scene = Scene::set(&app, "beta").await;
    let next = scene.assistant.refresh(&scene.refresh, &[]).await.json();
    scene.assistant.revoke(&text(&next, "refresh_token")).await;
    for token in [&scene.refresh, &text(&next, "refresh_token")] {
        refused("a revoked one", &scene.assistant.refresh(token, &[]).await, "invalid_grant");
    }
    let scene = Scene::set(&app, "gamma").await;
    app.clock.advance(Duration::days(31));
    refused("an idle one", &scene.assistant.refresh(&scene.refresh, &[]).await, "invalid_grant");
    // An access token is no refresh token and no code.
    let scene = Scene::set(&app, "delta").await;
    refused("a token", &scene.assistant.refresh(&scene.access, &[]).await, "invalid_grant");
    refused("a token", &scene.assistant.exchange(&scene.access, &[]).await, "invalid_grant");

    // Clients' own credentials: rotated away, and deleted.
    let store = app.store("delta", "Handbook").await.to_string();
    let ticks = [("may", "search"), ("store", store.as_str())];
    let bot = app.back_end("delta", "Bot", &ticks).await;
    let mut admin = app.member("delta", "grace", Role::Admin).await.sign_in().await;
    let page = "/t/delta/service-clients";
    let at = format!("{page}/{}", bot.client_id);
    let shown = admin.submit(page, &format!("{at}/secret"), &[("revision", "1")]).await;
    let renewed = app.issued(&shown);
    refused("the old secret", &bot.own_token(&[]).await, "invalid_client");
    assert_eq!(renewed.own_token(&[]).await.status, 200);
    admin.submit(page, &format!("{at}/delete"), &[]).await;
    refused("a deleted client", &renewed.own_token(&[]).await, "invalid_client");

    // Grants that we do not have: not even with a living token.
    let tokens = scene.assistant.tokens(&mut scene.browser.clone(), &[]).await;
    let subject = text(&tokens, "access_token");
    for grant in [
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:device_code",
        "password",
        "implicit",
    ] {
        let fields = [
            ("grant_type", grant),
            ("subject_token", subject.as_str()),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("assertion", subject.as_str()),
        ];
        let answer = scene.assistant.call("/oauth/token", &fields, &[]).await;
        refused(grant, &answer, "unsupported_grant_type");
    }
}
