//! What strangers and crowds can make us fetch.

use serde_json::json;
use sqlx::PgPool;

use super::{Scene, document, public};

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

/// [K-06] Signed in, too: at most ten of one host in a minute, and eight at once. The well-known
/// assistants are never kept out by others.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn few_documents_are_fetched_at_once(pool: PgPool) {
    let mut scene = Scene::with(&pool, &[("CALLSLIP_RATE_LIMIT_SCALE", "1")]).await;
    let mut usable = 0;
    for number in 0..30 {
        let url = format!("https://app.example/{number}/client.json");
        scene.host.put(&document(&json!({"client_id": url})));
        usable += usize::from(scene.is_usable(&url).await);
    }
    assert!((1..=10).contains(&usable), "{usable}");
    assert_eq!(scene.host.connections(), usable);
}

/// [K-06] Eight at once, whoever they are; the others wait their turn.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn eight_documents_are_read_at_once(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    scene.host.hold();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..40 {
        let url = format!("https://app.example/{number}/client.json");
        scene.host.put(&document(&json!({"client_id": url})));
        let sent = public(&scene.app, &url).authorize(&mut scene.browser, &[]).await;
        let (mut browser, path) = (scene.browser.clone(), sent.location().to_owned());
        tasks.spawn(async move { browser.get(&path).await.status });
    }
    scene.host.until_open(8).await;
    scene.host.release();
    let statuses = tasks.join_all().await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(scene.host.most_at_once(), 8);
}
