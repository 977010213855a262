//! Apps that need an admin's approval: asked for once, decided once, taken back.

use callslip::tenants::Role;
use serde_json::json;
use sqlx::PgPool;
use tokio::task::JoinSet;

use crate::support::{Answer, Assistant, Browser, Person, TestApp};

struct Scene {
    app: TestApp,
    ada: Person,
    rob: Person,
    assistant: Assistant,
}

/// Acme approves each app.
async fn scene(pool: &PgPool) -> Scene {
    let app = TestApp::new(pool).await;
    let ada = app.member("acme", "ada", Role::Admin).await;
    let rob = app.member("acme", "rob", Role::Reader).await;
    let assistant = app.assistant().await;
    sqlx::query(
        "insert into tenant_oauth_policies (tenant_id, apps, updated_at)
         select id, 'approval', now() from tenants",
    )
    .execute(pool)
    .await
    .unwrap();
    Scene { app, ada, rob, assistant }
}

impl Scene {
    /// Press the button that asks.
    async fn ask(&self, browser: &mut Browser, assistant: &Assistant) -> Answer {
        let sent = assistant.authorize(browser, &[]).await;
        let tenant = self.app.tenant("acme").await.id.to_string();
        let asked = browser.consent(sent.location(), &[("ask", &tenant)]).await;
        assert_eq!(asked.status, 303, "{}", asked.text());
        browser.get(asked.location()).await
    }

    async fn decide(&self, admin: &mut Browser, decision: &str) -> Answer {
        let key: String =
            sqlx::query_scalar("select encode(app_identity, 'hex') from oauth_app_approvals")
                .fetch_one(&self.app.pool)
                .await
                .unwrap();
        let path = format!("/t/acme/apps/{key}/decide");
        admin.submit("/account", &path, &[("decision", decision)]).await
    }

    async fn events(&self) -> Vec<String> {
        sqlx::query_scalar("select kind from audit_events where kind like 'app.%' order by id")
            .fetch_all(&self.app.pool)
            .await
            .unwrap()
    }
}

fn can_allow(page: &Answer) -> bool {
    !page.select("button[value=approve]").is_empty()
}

/// [C-12] [D-11] A member asks, an admin approves, the member connects; every registration of the
/// same app is approved with it, and no other app is.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_member_asks_and_an_admin_approves(pool: PgPool) {
    let scene = scene(&pool).await;
    let mut rob = scene.rob.sign_in().await;
    let sent = scene.assistant.authorize(&mut rob, &[]).await;
    let page = rob.get(sent.location()).await;
    assert!(!can_allow(&page));
    assert_eq!(page.select("button[name=ask]"), ["Ask an admin of The acme company"]);
    assert_eq!(rob.consent(sent.location(), &[("decision", "approve")]).await.status, 403);

    let page = scene.ask(&mut rob, &scene.assistant).await;
    assert!(page.select(".ruling p")[0].contains("has been asked"));
    assert!(page.select("button[name=ask]").is_empty() && !can_allow(&page));
    // Again, and for another registration of the same app: nothing more to decide.
    scene.ask(&mut rob, &scene.assistant).await;
    scene.ask(&mut rob, &scene.app.assistant().await).await;
    assert_eq!(scene.app.count("oauth_app_approvals").await, 1);

    let mut ada = scene.ada.sign_in().await;
    assert_eq!(
        ada.get("/t/acme").await.select(".notice-info p"),
        ["1 app waits for your approval. Decide"]
    );
    let list = ada.get("/t/acme/apps").await;
    assert_eq!(list.select("#waiting-title ~ .table-wrap th bdi"), ["Assistant"]);
    assert_eq!(list.select("td[data-label='Asked for by']"), ["rob@acme.example"]);
    let done = scene.decide(&mut ada, "approve").await;
    assert_eq!(done.location(), "/t/acme/apps?notice=app-approved");
    scene.app.assistant().await.tokens(&mut rob, &[]).await;
    let renamed = scene.app.assistant_with(&json!({ "client_name": "Assistant 2" })).await;
    let sent = renamed.authorize(&mut rob, &[]).await;
    assert!(!can_allow(&rob.get(sent.location()).await));
    let moved = json!({ "redirect_uris": ["https://evil.example/cb"] });
    let moved = scene.app.assistant_with(&moved).await;
    let sent = moved.authorize(&mut rob, &[]).await;
    assert!(!can_allow(&rob.get(sent.location()).await));
    assert_eq!(scene.events().await, ["app.requested", "app.approved"]);
}

/// [C-12] [D-11] An approval covers every place that the app may send its answers to, so member and
/// admin see them all, and no name makes one app look like another.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn whoever_approves_sees_every_place(pool: PgPool) {
    let scene = scene(&pool).await;
    let uris = ["https://good.example/cb", "https://evil.example/cb", "http://127.0.0.1/cb"];
    let assistant = scene.app.assistant_with(&json!({ "redirect_uris": uris })).await;
    let mut rob = scene.rob.sign_in().await;
    let sent = assistant.authorize(&mut rob, &[]).await;
    let page = rob.get(sent.location()).await;
    let places = "evil.example, good.example, localhost";
    assert!(page.select(".ruling").join(" ").contains(places), "{:?}", page.select(".ruling"));
    scene.ask(&mut rob, &assistant).await;
    let mut ada = scene.ada.sign_in().await;
    assert!(ada.get("/t/acme/apps").await.text().contains(places));
    scene.decide(&mut ada, "approve").await;
    assistant.tokens(&mut rob, &[]).await;
    // As the identities are put together, blanks divide nothing.
    let posing = json!({
        "client_name": "Assistant http://127.0.0.1/cb https://evil.example/cb",
        "redirect_uris": ["https://good.example/cb"],
    });
    let posing = scene.app.assistant_with(&posing).await;
    let sent = posing.authorize(&mut rob, &[]).await;
    assert!(!can_allow(&rob.get(sent.location()).await));
}

/// Whoever asks for an app asks for the one that the page showed, not for what it is by now.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_app_that_changes_meanwhile_is_not_asked_for(pool: PgPool) {
    let scene = scene(&pool).await;
    let mut ada = scene.ada.sign_in().await;
    let sent = scene.assistant.authorize(&mut ada, &[]).await;
    let tenant = scene.app.tenant("acme").await.id.to_string();
    let page = ada.get(sent.location()).await;
    sqlx::query("update oauth_clients set client_name = 'Other', version = version + 1")
        .execute(&pool)
        .await
        .unwrap();
    let fields = [
        ("csrf_token", page.csrf_token()),
        ("request_id", page.attribute("input[name=request_id]", "value").concat()),
        ("ask", tenant),
    ];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let refused = ada.post("/oauth/consent", &fields).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert_eq!(scene.app.count("oauth_app_approvals").await, 0);
}

/// Of any number of members and tabs that ask at once, over two processes, one asks.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn of_racing_questions_one_is_asked(pool: PgPool) {
    let scene = scene(&pool).await;
    let other = TestApp::new(&pool).await;
    let tenant = scene.app.tenant("acme").await.id.to_string();
    let mut race = JoinSet::new();
    for place in 0..12 {
        let app = if place % 2 == 0 { &scene.app } else { &other };
        let assistant = scene.assistant.at(app);
        let mut browser = scene.rob.sign_in().await;
        browser.app = app.clone();
        let tenant = tenant.clone();
        race.spawn(async move {
            let sent = assistant.authorize(&mut browser, &[]).await;
            browser.consent(sent.location(), &[("ask", &tenant)]).await.status
        });
    }
    for status in race.join_all().await {
        assert_eq!(status, 303);
    }
    assert_eq!(scene.app.count("oauth_app_approvals").await, 1);
    assert_eq!(scene.events().await, ["app.requested"]);
}

/// Of two admins who decide at once, one does; the other is told.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn of_racing_decisions_one_holds(pool: PgPool) {
    let scene = scene(&pool).await;
    scene.ask(&mut scene.rob.sign_in().await, &scene.assistant).await;
    let (mut one, mut two) = (scene.ada.sign_in().await, scene.ada.sign_in().await);
    let (one, two) =
        tokio::join!(scene.decide(&mut one, "approve"), scene.decide(&mut two, "refuse"));
    let mut told = [one.location().to_owned(), two.location().to_owned()];
    told.sort();
    assert!(told.contains(&"/t/acme/apps?notice=decided-before".to_owned()), "{told:?}");
    assert_eq!(scene.events().await.len(), 2);
}

/// [C-12] [D-11] What is taken back ends at the next call and the next refresh, for everybody, and
/// cannot be connected or asked for again.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_is_taken_back_ends(pool: PgPool) {
    let scene = scene(&pool).await;
    let mut rob = scene.rob.sign_in().await;
    let mut ada = scene.ada.sign_in().await;
    scene.ask(&mut rob, &scene.assistant).await;
    scene.decide(&mut ada, "approve").await;
    let tokens = scene.assistant.tokens(&mut rob, &[]).await;
    let again = scene.app.assistant().await;
    let others = again.tokens(&mut ada, &[]).await;
    let list = ada.get("/t/acme/apps").await;
    assert_eq!(list.select("#approved-title ~ .table-wrap tbody th bdi"), ["Assistant"]);

    let done = scene.decide(&mut ada, "withdraw").await;
    assert_eq!(done.location(), "/t/acme/apps?notice=app-withdrawn");
    for (assistant, tokens) in [(&scene.assistant, tokens), (&again, others)] {
        assert!(!scene.app.accepts(tokens["access_token"].as_str().unwrap()).await);
        let refused = assistant.refresh(tokens["refresh_token"].as_str().unwrap(), &[]).await;
        assert_eq!(refused.json()["error"], "invalid_grant");
    }
    let page = scene.ask(&mut rob, &scene.assistant).await;
    assert!(page.select(".ruling p")[0].contains("decided against"));
    assert!(!can_allow(&page) && page.select("button[name=ask]").is_empty());
    assert_eq!(
        scene.decide(&mut ada, "approve").await.location(),
        "/t/acme/apps?notice=decided-before"
    );
    scene.decide(&mut ada, "approve-after-all").await;
    scene.assistant.tokens(&mut rob, &[]).await;
    assert_eq!(
        scene.events().await,
        ["app.requested", "app.approved", "app.withdrawn", "app.approved"]
    );
}

/// An admin who connects an app first approves it, on the same page; a reader who pretends to be one
/// only asks.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_admin_approves_where_they_connect(pool: PgPool) {
    let scene = scene(&pool).await;
    let mut ada = scene.ada.sign_in().await;
    let page = scene.ask(&mut ada, &scene.assistant).await;
    assert!(can_allow(&page), "{:?}", page.select(".ruling"));
    assert_eq!(scene.events().await, ["app.approved"]);

    // Who was an admin when the page was shown, and is none when it is sent.
    let mut eve = scene.app.member("acme", "eve", Role::Admin).await.sign_in().await;
    let renamed = scene.app.assistant_with(&json!({ "client_name": "Other" })).await;
    sqlx::query("update memberships set role = 'reader' where user_id = (select id from users where email = 'eve@acme.example')")
        .execute(&pool)
        .await
        .unwrap();
    assert!(!can_allow(&scene.ask(&mut eve, &renamed).await));
}

/// A member cannot bury the admins: so many of one's own may wait.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn only_so_many_wait(pool: PgPool) {
    let scene = scene(&pool).await;
    let mut rob = scene.rob.sign_in().await;
    for number in 0..22 {
        let metadata = json!({ "client_name": format!("App {number}") });
        let assistant = scene.app.assistant_with(&metadata).await;
        scene.ask(&mut rob, &assistant).await;
    }
    assert_eq!(scene.app.count("oauth_app_approvals").await, 20);
}

/// Nobody decides in a tenant that they do not manage.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn strangers_and_readers_decide_nothing(pool: PgPool) {
    let scene = scene(&pool).await;
    let mut rob = scene.rob.sign_in().await;
    scene.ask(&mut rob, &scene.assistant).await;
    assert_eq!(scene.decide(&mut rob, "approve").await.status, 403);
    let mut zoe = scene.app.member("zenith", "zoe", Role::Owner).await.sign_in().await;
    assert_eq!(scene.decide(&mut zoe, "approve").await.status, 404);
    // The key names it in every tenant; in hers there is no such app.
    let key: String =
        sqlx::query_scalar("select encode(app_identity, 'hex') from oauth_app_approvals")
            .fetch_one(&pool)
            .await
            .unwrap();
    let path = format!("/t/zenith/apps/{key}/decide");
    let told = zoe.submit("/account", &path, &[("decision", "approve")]).await;
    assert_eq!(told.location(), "/t/zenith/apps?notice=decided-before");
    assert_eq!(scene.events().await, ["app.requested"]);
}
