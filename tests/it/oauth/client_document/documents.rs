//! What makes a client, and what does not.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;
use sqlx::PgPool;

use super::{CALLBACK, Scene, URL, document, public, push};
use crate::support::{TestApp, document_host::Reply};

/// A document for [`URL`], gzipped.
const ZIPPED: &str = "H4sIAAAAAAACA22MOwqAMAxAryKZxe7dHDyFSIk1YLWf0EYQxLtbEDfn97nAekdRjFtAwyrCRSuFzB2dGNiTSnjIql6r20qK0H5NxEC1Gl6z6Zkry7S4TFbMkV0BPf5OLXo/o91huh/wjfI+ggAAAA==";

/// A client that nobody registered connects, and everything works as for any other.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_app_connects_with_nothing_but_its_document(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    scene.host.put(&document(&json!({
        "logo_uri": "https://app.example/logo.png",
        "client_uri": "https://app.example/about",
        "software_version": "7",
        "something_new": {"of": ["tomorrow"]},
        "grant_types": ["authorization_code", "refresh_token", "urn:example:telepathy"],
    })));
    let page = scene.ask(URL).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(page.text().contains("Example App") && page.text().contains("app.example"));

    let assistant = public(&scene.app, URL);
    let tokens = assistant.tokens(&mut scene.browser, &[]).await;
    let refreshed = assistant.refresh(tokens["refresh_token"].as_str().unwrap(), &[]).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.text());
    assert!(scene.app.accepts(refreshed.json()["access_token"].as_str().unwrap()).await);
    assert_eq!(scene.host.asked_for(URL), 1, "one read serves all of it");
}

/// [D-04] The logo is neither fetched nor given to the browser.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn logos_are_left_alone(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    let logo = "https://app.example/logo.png";
    scene.host.put(&document(&json!({"logo_uri": logo})));
    let page = scene.ask(URL).await;
    assert_eq!(page.status, 200);
    let assistant = scene
        .app
        .assistant_with(&json!({"logo_uri": logo, "client_uri": "https://app.example/"}))
        .await;
    let registered = assistant.authorize(&mut scene.browser, &[]).await;
    let registered = scene.browser.get(registered.location()).await;
    for page in [page, registered] {
        assert!(!page.text().contains("logo.png"), "{}", page.text());
        assert!(page.attribute("img", "src").iter().all(|src| src.starts_with('/')));
    }
    assert_eq!(scene.host.asked_for(logo), 0);
    assert_eq!(scene.host.seen().len(), 1);
}

/// [K-01] What is not the plain https address of a document is told on a page, and nothing is
/// fetched.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn only_plain_addresses_are_followed(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    let long = format!("https://app.example/{}", "x".repeat(240));
    for client_id in [
        "http://app.example/oauth/client.json",
        "https://app.example",
        "https://app.example/",
        "https://app.example/oauth/./client.json",
        "https://app.example/x/../oauth/client.json",
        "https://app.example/x/%2e%2e/oauth/client.json",
        "https://app.example/oauth/client.json#x",
        "https://app.example/oauth/client.json?x",
        "https://me@app.example/oauth/client.json",
        "https://me:pw@app.example/oauth/client.json",
        "https://app.example:0/oauth/client.json",
        "https://APP.example/oauth/client.json",
        &long,
    ] {
        let mut said = document(&json!({}));
        said["client_id"] = client_id.into();
        scene.host.put(&said);
        let answer = scene.ask(client_id).await;
        assert_eq!(answer.status, 400, "{client_id}: {}", answer.text());
        assert!(answer.location().is_empty(), "{client_id}");
    }
    assert_eq!(scene.host.connections(), 0);
}

/// [K-04] Documents that speak of somebody else, hold secrets, or miss what they must have.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_the_draft_forbids_is_refused(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    let key = json!({"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]});
    let refused = [
        json!({"client_id": "https://app.example/oauth/client.jsoN"}),
        json!({"client_id": "https://app.example/oauth/client.json/"}),
        json!({"client_id": "https://app.example:443/oauth/client.json"}),
        json!({"client_id": "https://other.example/oauth/client.json"}),
        json!({"client_id": null}),
        json!({"client_id": [URL]}),
        json!({"client_secret": "s3cret"}),
        json!({"client_secret_expires_at": 0}),
        json!({"token_endpoint_auth_method": "client_secret_basic"}),
        json!({"token_endpoint_auth_method": "client_secret_post"}),
        json!({"token_endpoint_auth_method": "client_secret_jwt"}),
        json!({"token_endpoint_auth_methods_supported": ["none", "client_secret_post"]}),
        json!({"token_endpoint_auth_method": "tls_client_auth"}),
        json!({"token_endpoint_auth_method": "private_key_jwt"}),
        json!({"jwks": key, "jwks_uri": "https://app.example/jwks.json"}),
        json!({"jwks_uri": "http://app.example/jwks.json"}),
        json!({"jwks": "https://app.example/jwks.json"}),
        json!({"client_name": null}),
        json!({"client_name": ""}),
        json!({"client_name": "\u{200b}"}),
        json!({"client_name": 7}),
        json!({"client_name": "x".repeat(300)}),
        json!({"redirect_uris": null}),
        json!({"redirect_uris": []}),
        json!({"redirect_uris": CALLBACK}),
        json!({"redirect_uris": [CALLBACK, 7]}),
        json!({"redirect_uris": [CALLBACK, "javascript:alert(1)"]}),
        json!({"redirect_uris": [CALLBACK, "http://app.example/callback"]}),
        json!({"redirect_uris": [CALLBACK, "https://app.example/*"]}),
        json!({"redirect_uris": vec![CALLBACK; 21]}),
        json!({"grant_types": ["client_credentials"]}),
        json!({"response_types": ["token"]}),
    ];
    for (number, changes) in refused.iter().enumerate() {
        // Each at an address of its own: failures are remembered.
        let url = format!("https://app.example/{number}/client.json");
        let text = document(changes).to_string().replace(URL, &url);
        scene.host.say(&url, Reply::new(200, &[("content-type", "application/json")], &text));
        assert!(!scene.is_usable(&url).await, "{changes}");
        assert_eq!(scene.host.asked_for(&url), 1, "{changes}");
    }
    assert_eq!(scene.app.count("oauth_clients").await, 0);
    // The control: the same without the change.
    scene.host.put(&document(&json!({})));
    assert!(scene.is_usable(URL).await);
}

/// A redirect URI that the document does not list gets nothing.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn answers_go_where_the_document_says_and_nowhere_else(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    let listed = json!({"redirect_uris": [CALLBACK, "http://127.0.0.1/callback"]});
    scene.host.put(&document(&listed));
    for (redirect_uri, expected) in [
        ("http://127.0.0.1:51234/callback", true),
        (CALLBACK, true),
        ("http://127.0.0.1:51234/other", false),
        ("https://app.example/callback/", false),
        ("https://evil.example/callback", false),
    ] {
        let mut assistant = public(&scene.app, URL);
        assistant.redirect_uri = redirect_uri.to_owned();
        let sent = assistant.authorize(&mut scene.browser, &[]).await;
        let page = if sent.status == 303 { scene.browser.get(sent.location()).await } else { sent };
        assert_eq!(page.status == 200, expected, "{redirect_uri} {}", page.text());
        assert!(page.location().is_empty());
    }
}

/// [K-03] Only 200 and JSON; no redirect, no decoding, nothing beyond 5 KiB.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn only_a_plain_small_json_answer_is_read(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    let text = document(&json!({})).to_string();
    let json = ("content-type", "application/json");
    let elsewhere = "https://other.example/oauth/client.json";
    scene.host.say(elsewhere, Reply::new(200, &[json], &text));
    let padded = |size: usize| format!("{text}{}", " ".repeat(size - text.len()));
    let chunked = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\
         connection: close\r\n\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        5121,
        padded(5121),
    );
    // A whole document, were it decoded.
    let zipped = STANDARD.decode(ZIPPED).unwrap();
    let refused = [
        Reply::new(302, &[("location", elsewhere)], ""),
        Reply::new(301, &[json, ("location", elsewhere)], &text),
        Reply::new(307, &[("location", elsewhere)], ""),
        Reply::new(201, &[json], &text),
        Reply::new(203, &[json], &text),
        Reply::new(206, &[json], &text),
        Reply::new(403, &[json], &text),
        Reply::new(404, &[json], &text),
        Reply::new(500, &[json], &text),
        Reply::new(200, &[], &text),
        Reply::new(200, &[("content-type", "text/html")], &text),
        Reply::new(200, &[("content-type", "text/json")], &text),
        Reply::new(200, &[("content-type", "application/jsonp")], &text),
        Reply::new(200, &[json], &padded(5121)),
        Reply::Bytes(chunked.into_bytes()),
        Reply::new(200, &[json], "[]"),
        Reply::new(200, &[json], ""),
        Reply::new(200, &[json], &text[..text.len() - 1]),
        Reply::Bytes(
            [
                format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
                     content-encoding: gzip\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    zipped.len()
                )
                .into_bytes(),
                zipped,
            ]
            .concat(),
        ),
    ];
    for reply in refused {
        scene.host.say(URL, reply.clone());
        assert!(!scene.is_usable(URL).await, "{reply:?}");
        scene.app.clock.advance(time::Duration::seconds(61));
    }
    assert_eq!(scene.host.asked_for(elsewhere), 0);
    for content_type in
        ["application/json", "Application/JSON; charset=utf-8", "application/x+json"]
    {
        let url = format!("https://app.example/{}/client.json", content_type.len());
        let text = padded(5120 - url.len() + URL.len()).replace(URL, &url);
        scene.host.say(&url, Reply::new(200, &[("content-type", content_type)], &text));
        assert!(scene.is_usable(&url).await, "{content_type}");
    }
}

/// Nothing on our own network is asked, be it named or in the `client_id` itself. Who has signed in
/// is told so; who has not cannot tell our network from any other host that has no document.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn no_document_is_read_from_our_own_network(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    // The same internet for an operator who allows nothing: every name is on loopback.
    let outbound = callslip::outbound::Outbound::with_roots(
        callslip::outbound::Policy::default(),
        crate::support::document_host::roots(),
        &scene.host.lookup(),
    );
    let strict = TestApp::over(&pool, &[], Some(outbound)).await;
    scene.browser.app = strict.clone();
    scene.app = strict;
    scene.host.put(&document(&json!({})));
    let mut heard = Vec::new();
    for client_id in
        [URL, "https://127.0.0.1/client.json", "https://[::1]/client.json", "https://10.0.0.1/a/b"]
    {
        let page = scene.ask(client_id).await;
        assert_eq!(page.status, 400, "{client_id}");
        assert!(page.text().contains("not on the public internet"), "{}", page.text());
        let pushed = push(&scene.app, client_id).await;
        assert_eq!(pushed.status, 401, "{client_id}");
        heard.push(pushed.text());
    }
    let public_host = TestApp::over(&pool, &[], Some(scene.host.outbound())).await;
    for reply in
        [Reply::new(404, &[], ""), Reply::new(200, &[], "<html>"), Reply::new(302, &[], "")]
    {
        let url = format!("https://app.example/{}/client.json", heard.len());
        scene.host.say(&url, reply);
        heard.push(push(&public_host, &url).await.text());
    }
    heard.dedup();
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!(scene.host.connections(), 3);
}

/// Keys may hold whatever JSON can; what cannot be kept of them is no client's fault.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn odd_keys_are_kept_without_what_is_odd(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": "1", "x5c": ["\u{0}"], "n": 1e300,
                     "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    scene.host.put(&document(&json!({"jwks": {"keys": [key], "x": "\u{0}"}})));
    assert!(scene.is_usable(URL).await);
}

/// [K-09] ChatGPT's document names two methods and prefers the one with keys: either works.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_plural_member_says_what_a_client_can_do(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    for (number, (changes, methods)) in [
        (
            json!({"token_endpoint_auth_method": "private_key_jwt",
                   "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
                   "jwks_uri": "https://app.example/jwks.json"}),
            vec!["private_key_jwt", "none"],
        ),
        (
            json!({"token_endpoint_auth_method": null,
                   "token_endpoint_auth_methods_supported": ["tls_client_auth", "none"]}),
            vec!["none"],
        ),
        (
            json!({"token_endpoint_auth_method": "private_key_jwt",
                   "token_endpoint_auth_methods_supported": ["none"]}),
            vec!["none"],
        ),
        (json!({"token_endpoint_auth_method": null}), vec!["none"]),
    ]
    .into_iter()
    .enumerate()
    {
        let url = format!("https://app.example/{number}/client.json");
        let mut said = document(&changes);
        said["client_id"] = url.as_str().into();
        scene.host.put(&said);
        assert!(scene.is_usable(&url).await, "{changes}");
        let kept: Vec<String> = sqlx::query_scalar(
            "select token_endpoint_auth_methods from oauth_clients where client_id = $1",
        )
        .bind(&url)
        .fetch_one(&pool)
        .await
        .unwrap();
        assert_eq!(kept, methods, "{changes}");
        let tokens = public(&scene.app, &url).tokens(&mut scene.browser, &[]).await;
        assert!(scene.app.accepts(tokens["access_token"].as_str().unwrap()).await);
    }
}

/// One address stands for every copy of an app: taking back one consent leaves those whose
/// answers go elsewhere alone.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_consent_is_taken_back_for_one_place_alone(pool: PgPool) {
    let mut scene = Scene::new(&pool).await;
    let device = "http://127.0.0.1/callback";
    scene.host.put(&document(&json!({"redirect_uris": [CALLBACK, device]})));
    let hosted = public(&scene.app, URL);
    let mut local = public(&scene.app, URL);
    local.redirect_uri = "http://127.0.0.1:5123/callback".to_owned();
    let token = |tokens: &serde_json::Value| tokens["access_token"].as_str().unwrap().to_owned();
    let by_host = hosted.tokens(&mut scene.browser, &[]).await;
    let by_device = local.tokens(&mut scene.browser, &[]).await;
    let revoked = hosted.revoke(by_host["refresh_token"].as_str().unwrap()).await;
    assert_eq!(revoked.status, 200);
    assert!(!scene.app.accepts(&token(&by_host)).await);
    assert!(scene.app.accepts(&token(&by_device)).await);
    let refreshed = local.refresh(by_device["refresh_token"].as_str().unwrap(), &[]).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.text());
}
