//! How long a document serves, and what serves when it cannot be read.

use serde_json::{Value, json};
use sqlx::PgPool;
use time::Duration;

use super::{CALLBACK, HOSTS, Scene, URL, document, public};
use crate::support::{TestApp, document_host::Reply};

fn served(document: &Value, cache_control: &str) -> Reply {
    let headers = [("content-type", "application/json"), ("cache-control", cache_control)];
    Reply::new(200, &headers, &document.to_string())
}

/// [K-06] What the host says counts between five minutes and a day; failures are forgotten within
/// a minute and nothing that is invalid is kept.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_document_serves_for_as_long_as_its_host_says_within_bounds(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    for (number, (cache_control, minutes)) in
        [("max-age=0", 5), ("no-store", 5), ("max-age=1800", 30), ("max-age=31536000", 24 * 60)]
            .into_iter()
            .enumerate()
    {
        let url = format!("https://app.example/{number}/client.json");
        scene.host.say(&url, served(&document(&json!({"client_id": url})), cache_control));
        assert!(scene.is_usable(&url).await);
        scene.app.clock.advance(Duration::minutes(minutes) - Duration::SECOND);
        assert!(scene.is_usable(&url).await);
        assert_eq!(scene.host.asked_for(&url), 1, "{cache_control}");
        scene.app.clock.advance(Duration::seconds(2));
        // A day has passed in one of the rows: whoever is still here signs in again.
        let ada = scene.browser.clone();
        scene.browser = scene.app.browser();
        scene.browser.sign_in("ada@acme.example", crate::support::PASSWORD, "/").await;
        assert!(ada.session() != scene.browser.session());
        assert!(scene.is_usable(&url).await);
        assert_eq!(scene.host.asked_for(&url), 2, "{cache_control}");
    }

    let url = "https://app.example/failing/client.json";
    scene.host.say(url, served(&document(&json!({"client_id": URL})), "max-age=86400"));
    for _ in 0..5 {
        assert!(!scene.is_usable(url).await);
    }
    assert_eq!(scene.host.asked_for(url), 1, "a failure is not asked for again at once");
    scene.host.put(&document(&json!({"client_id": url})));
    scene.app.clock.advance(Duration::seconds(61));
    assert!(scene.is_usable(url).await, "and forgotten within a minute");
}

/// [K-06] Everybody who waits for a document waits for one fetch.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_hundred_who_wait_share_one_fetch(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    scene.host.put(&document(&json!({})));
    let assistant = public(&scene.app, URL);
    let mut waiting = Vec::new();
    for _ in 0..100 {
        let sent = assistant.authorize(&mut scene.browser, &[]).await;
        waiting.push(sent.location().to_owned());
    }
    assert_eq!(scene.host.connections(), 0);
    scene.host.hold();
    let mut tasks = tokio::task::JoinSet::new();
    for path in waiting {
        let mut browser = scene.browser.clone();
        tasks.spawn(async move { browser.get(&path).await.status });
    }
    scene.host.until_open(1).await;
    scene.host.release();
    let statuses = tasks.join_all().await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(scene.host.asked_for(URL), 1);
}

/// [K-06] While the host is away, the copy at hand serves; when it says that there is no such
/// client any more, it does not.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_stale_copy_serves_while_its_host_is_away(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    scene.host.put(&document(&json!({})));
    let assistant = public(&scene.app, URL);
    let tokens = assistant.tokens(&mut scene.browser, &[]).await;
    let mut refresh_token = tokens["refresh_token"].as_str().unwrap().to_owned();
    let html = [("content-type", "text/html")];
    for (reply, usable) in [
        (Reply::new(503, &[], ""), true),
        // Longer than any document: the status says enough.
        (Reply::new(503, &html, &"x".repeat(6 * 1024)), true),
        (Reply::new(403, &html, "Are you a robot?"), true),
        (Reply::new(200, &html, "<p>Welcome"), true),
        (Reply::new(404, &[], ""), false),
        (Reply::new(410, &[], ""), false),
        (Reply::new(404, &html, &"x".repeat(6 * 1024)), false),
        (Reply::new(200, &html, &"x".repeat(6 * 1024)), false),
        (Reply::json(&document(&json!({"client_secret": "x"}))), false),
        (Reply::json(&document(&json!({}))), true),
    ] {
        scene.app.clock.advance(Duration::hours(1));
        scene.host.say(URL, reply.clone());
        let refreshed = assistant.refresh(&refresh_token, &[]).await;
        assert_eq!(refreshed.status == 200, usable, "{reply:?} {}", refreshed.text());
        if usable {
            refresh_token = refreshed.json()["refresh_token"].as_str().unwrap().to_owned();
        } else {
            assert_eq!(refreshed.json()["error"], "invalid_client");
        }
        assert_eq!(scene.is_usable(URL).await, usable, "{reply:?}");
    }
    assert_eq!(scene.version(URL).await, 1, "nothing changed that anybody consented to");
}

/// [C-07] A document that changes where answers go, its name, its keys or its way of
/// authenticating ends the consents that were given to what it was. Anything else does not.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_changed_document_ends_consents(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    let two = json!([CALLBACK, "https://app.example/second"]);
    let first = json!({"redirect_uris": two});
    scene.host.put(&document(&first));
    let assistant = public(&scene.app, URL);
    let mut version = 1;
    for (changes, ends) in [
        (json!({"redirect_uris": ["https://app.example/second", CALLBACK]}), false),
        (json!({"logo_uri": "https://app.example/new.png", "redirect_uris": two}), false),
        (json!({"client_name": "Another App", "redirect_uris": two}), true),
        (json!({"client_name": "Another App"}), true),
        (json!({"jwks_uri": "https://app.example/jwks.json"}), true),
        (
            json!({"jwks_uri": "https://app.example/jwks.json",
                "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"]}),
            true,
        ),
        (
            json!({"jwks": {"keys": [{"kty": "OKP", "crv": "Ed25519",
                "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}}),
            true,
        ),
    ] {
        let tokens = assistant.tokens(&mut scene.browser, &[]).await;
        let access_token = tokens["access_token"].as_str().unwrap();
        assert!(scene.app.accepts(access_token).await);
        scene.host.put(&document(&changes));
        scene.app.clock.advance(Duration::minutes(61) - Duration::minutes(35));
        scene.app.clock.advance(Duration::minutes(35));
        let refreshed = assistant.refresh(tokens["refresh_token"].as_str().unwrap(), &[]).await;
        version += i32::from(ends);
        assert_eq!(scene.version(URL).await, version, "{changes}");
        assert_eq!(refreshed.status == 200, !ends, "{changes} {}", refreshed.text());
        if ends {
            assert_eq!(refreshed.json()["error"], "invalid_grant", "{changes}");
        } else {
            let access_token = refreshed.json()["access_token"].as_str().unwrap().to_owned();
            assert!(scene.app.accepts(&access_token).await, "{changes}");
        }
    }
}

/// The well-known assistants connect although their hosts refuse us, under the names that they
/// have, and what their hosts say counts as soon as they say it.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn pinned_documents_serve_where_hosts_refuse_us(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    for (client_id, redirect_uri, name) in [
        (
            "https://chatgpt.com/oauth/client.json",
            "https://chatgpt.com/connector_platform_oauth_redirect",
            "ChatGPT",
        ),
        ("https://chatgpt.com/oauth/codex/client.json", "http://127.0.0.1:38123/callback", "Codex"),
        (
            "https://claude.ai/oauth/mcp-oauth-client-metadata",
            "https://claude.ai/api/mcp/auth_callback",
            "Claude",
        ),
        (
            "https://claude.ai/oauth/claude-code-client-metadata",
            "http://localhost:3118/callback",
            "Claude Code",
        ),
        (
            "https://vscode.dev/oauth/client-metadata.json",
            "http://127.0.0.1:54321/",
            "Visual Studio Code",
        ),
        ("https://zed.dev/oauth/client-metadata.json", "http://127.0.0.1:40404/callback", "Zed"),
        (
            "https://opencode.ai/oauth/opencode/client.json",
            "http://127.0.0.1:19876/callback",
            "opencode",
        ),
    ] {
        scene.host.say(client_id, Reply::new(403, &[("content-type", "text/html")], "Robot?"));
        let mut assistant = public(&scene.app, client_id);
        assistant.redirect_uri = redirect_uri.to_owned();
        let sent = assistant.authorize(&mut scene.browser, &[]).await;
        let page = scene.browser.get(sent.location()).await;
        assert_eq!(page.status, 200, "{name} {}", page.text());
        assert!(page.text().contains(name), "{name} {}", page.text());
        let tokens = assistant.tokens(&mut scene.browser, &[]).await;
        assert!(scene.app.accepts(tokens["access_token"].as_str().unwrap()).await, "{name}");
        assert_eq!(scene.host.asked_for(client_id), 1, "{name}");

        // The host relents, with a newer document.
        let mut newer =
            document(&json!({"client_id": client_id, "client_name": format!("{name} 2")}));
        newer["redirect_uris"] = json!([redirect_uri]);
        scene.host.put(&newer);
        scene.app.clock.advance(Duration::seconds(61));
        let sent = assistant.authorize(&mut scene.browser, &[]).await;
        let page = scene.browser.get(sent.location()).await;
        assert!(page.text().contains(&format!("{name} 2")), "{name} {}", page.text());
        assert_eq!(scene.host.asked_for(client_id), 2, "{name}");
    }
}

/// A client that was disabled stays so, whatever its document says.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_disabled_client_stays_disabled(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    scene.host.put(&document(&json!({})));
    assert!(scene.is_usable(URL).await);
    sqlx::query("update oauth_clients set disabled_at = now()").execute(&pool).await.unwrap();
    assert!(!scene.is_usable(URL).await);
    scene.app.clock.advance(Duration::hours(2));
    assert!(!scene.is_usable(URL).await);
    assert_eq!(scene.host.asked_for(URL), 1);
}

/// Documents of two nodes' memories are one: what one read serves the other.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_one_node_read_serves_the_other(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    scene.host.put(&document(&json!({})));
    assert!(scene.is_usable(URL).await);
    let other = crate::support::document_host::DocumentHost::start(HOSTS).await;
    let node = TestApp::over(&pool, &[], Some(other.outbound())).await;
    let mut browser = scene.browser.clone();
    browser.app = node.clone();
    let tokens = public(&node, URL).tokens(&mut browser, &[]).await;
    assert!(scene.app.accepts(tokens["access_token"].as_str().unwrap()).await);
    assert_eq!(other.connections(), 0);
}

/// [D-08] A document that nobody holds a grant of is forgotten like any other client; one with a
/// living grant is not.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn documents_nobody_uses_are_forgotten(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    let used = "https://app.example/used/client.json";
    for url in [URL, used] {
        scene.host.put(&document(&json!({"client_id": url})));
        assert!(scene.is_usable(url).await);
    }
    public(&scene.app, used).tokens(&mut scene.browser, &[]).await;
    scene.app.clock.advance(Duration::days(80));
    scene.app.app.oauth.sweep().await.unwrap();
    let kept: Vec<String> =
        sqlx::query_scalar("select client_id from oauth_clients").fetch_all(&pool).await.unwrap();
    assert_eq!(kept, [used]);
}
