//! What strangers and crowds can make us fetch.

use callslip::tenants::Role;
use serde_json::json;
use sqlx::PgPool;

use super::{HOSTS, Scene, document, public, push};
use crate::support::{Browser, TestApp};

/// [K-07] Ten thousand addresses from people who have not signed in: nothing is fetched for them,
/// nor at the token endpoint.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn nothing_is_fetched_for_strangers(pool: PgPool) {
    let scene = Scene::new(&pool).await;
    for number in 0..10_000 {
        let url = format!("https://app.example/{number}/client.json");
        let assistant = public(&scene.app, &url);
        if number < 100 {
            // The whole way, as far as it goes without an account.
            let mut stranger = scene.app.browser();
            let sent = assistant.authorize(&mut stranger, &[]).await;
            assert_eq!(sent.status, 303, "{}", sent.text());
            let sent = stranger.get(sent.location()).await;
            assert!(sent.location().starts_with("/sign-in"), "{}", sent.location());
            let refused = assistant.refresh("csl_rt_x", &[]).await;
            assert_eq!(
                (refused.status.as_u16(), refused.json()["error"].as_str()),
                (401, Some("invalid_client"))
            );
        } else {
            assert_eq!(scene.app.get(&assistant.authorization_url(&[])).await.status, 303);
        }
    }
    assert_eq!(scene.host.connections(), 0);
    assert_eq!(scene.app.count("oauth_clients").await, 0);
}

/// [K-07] What pushes a request may have documents read, but few: by network, by host, and apart from
/// what members may have read.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn few_documents_are_read_for_whoever_pushes(pool: PgPool) {
    let mut scene = Scene::with(&pool, &[("CALLSLIP_RATE_LIMIT_SCALE", "1")]).await;
    let mut statuses = Vec::new();
    for host in HOSTS.iter().flat_map(|host| [host, host]) {
        let url = format!("https://{host}/{}/client.json", statuses.len());
        scene.host.put(&document(&json!({"client_id": url})));
        statuses.push(push(&scene.app, &url).await.status.as_u16());
    }
    // One of each host, and five of everything from one network.
    assert_eq!(statuses[..6], [201, 429, 201, 429, 201, 429]);
    assert!(statuses[6..].iter().all(|status| *status == 429), "{statuses:?}");
    assert_eq!(scene.host.connections(), 3);
    let url = "https://app.example/members/client.json";
    scene.host.put(&document(&json!({"client_id": url})));
    assert!(scene.is_usable(url).await);
}

/// [K-06] At most ten of one host in a minute, whoever asks.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn few_documents_of_one_host_are_read(pool: PgPool) {
    let scene = Scene::new(&pool).await;
    let app = scene.strict(&pool).await;
    let mut usable = 0;
    for member in 0..4 {
        let mut browser = scene.member(&app, &format!("member{member}")).await;
        for number in 0..4 {
            let url = format!("https://app.example/{member}-{number}/client.json");
            scene.host.put(&document(&json!({"client_id": url})));
            usable += usize::from(is_usable(&mut browser, &url).await);
        }
        let url = format!("https://app.example/{member}-pushed/client.json");
        scene.host.put(&document(&json!({"client_id": url})));
        usable += usize::from(push(&app, &url).await.status == 201);
    }
    assert!((5..=10).contains(&usable), "{usable}");
    assert_eq!(scene.host.connections(), usable);
}

/// One member cannot use up what there is for all.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_member_has_few_documents_read(pool: PgPool) {
    let scene = Scene::new(&pool).await;
    let app = scene.strict(&pool).await;
    let mut greedy = scene.member(&app, "greedy").await;
    let mut usable = 0;
    for number in 0..12 {
        let url = format!("https://{}/{number}/client.json", HOSTS[number % HOSTS.len()]);
        scene.host.put(&document(&json!({"client_id": url})));
        usable += usize::from(is_usable(&mut greedy, &url).await);
    }
    assert!((4..=5).contains(&usable), "{usable}");
    let url = "https://app.example/other/client.json";
    scene.host.put(&document(&json!({"client_id": url})));
    assert!(is_usable(&mut scene.member(&app, "other").await, url).await);
}

/// [K-06] Eight at once; six where they are nobody's that we know, so that the well-known assistants
/// are never kept out. The others wait their turn.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn eight_documents_are_read_at_once(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    scene.host.hold();
    let mut tasks = tokio::task::JoinSet::new();
    for (place, slots) in [("app.example", 6), ("chatgpt.com/oauth", 8)] {
        for number in 0..20 {
            let url = format!("https://{place}/{number}/client.json");
            scene.host.put(&document(&json!({"client_id": url})));
            let sent = public(&scene.app, &url).authorize(&mut scene.browser, &[]).await;
            let (mut browser, path) = (scene.browser.clone(), sent.location().to_owned());
            tasks.spawn(async move { browser.get(&path).await.status });
        }
        scene.host.until_open(slots).await;
        assert_eq!(scene.host.most_at_once(), slots);
    }
    scene.host.release();
    let statuses = tasks.join_all().await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(scene.host.most_at_once(), 8);
}

impl Scene {
    /// The same with the limits that there are.
    async fn strict(&self, pool: &PgPool) -> TestApp {
        let scale = [("CALLSLIP_RATE_LIMIT_SCALE", "1")];
        TestApp::over(pool, &scale, Some(self.host.outbound())).await
    }

    /// Somebody who has signed in, in front of that application.
    async fn member(&self, app: &TestApp, name: &str) -> Browser {
        let mut browser = self.app.member("acme", name, Role::Reader).await.sign_in().await;
        browser.app = app.clone();
        browser
    }
}

async fn is_usable(browser: &mut Browser, client_id: &str) -> bool {
    let sent = public(&browser.app, client_id).authorize(browser, &[]).await;
    browser.get(sent.location()).await.status == 200
}
