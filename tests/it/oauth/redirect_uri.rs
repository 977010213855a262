//! Where answers go.

use serde_json::json;
use sqlx::PgPool;

use crate::support::TestApp;

/// Every mutation of a registered redirect URI is refused with a page.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn no_mutation_of_a_registered_uri_passes(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let registered = "https://good.example/oauth/cb?tenant=1";
    let assistant = app.assistant_with(&json!({"redirect_uris": [registered]})).await;
    let mut browser = app.browser();
    let mutations = [
        "https://good.example/oauth/cb/?tenant=1",
        "https://good.example/oauth/cb",
        "https://good.example/oauth/cb?",
        "https://good.example/oauth/cb?tenant=2",
        "https://good.example/oauth/cb?tenant=1&x=2",
        "https://good.example/oauth/cb?x=2&tenant=1",
        "https://good.example/oauth/cb?tenant=1#",
        "https://good.example/oauth/cb?tenant=1#x",
        "https://good.example/oauth/cb?Tenant=1",
        "https://good.example/oauth/CB?tenant=1",
        "https://good.example/OAuth/cb?tenant=1",
        "https://GOOD.example/oauth/cb?tenant=1",
        "HTTPS://good.example/oauth/cb?tenant=1",
        "http://good.example/oauth/cb?tenant=1",
        "https:good.example/oauth/cb?tenant=1",
        "https:/good.example/oauth/cb?tenant=1",
        "https:///good.example/oauth/cb?tenant=1",
        "//good.example/oauth/cb?tenant=1",
        "/oauth/cb?tenant=1",
        "good.example/oauth/cb?tenant=1",
        "https://good.example//oauth/cb?tenant=1",
        "https://good.example/oauth//cb?tenant=1",
        "https://good.example/oauth/./cb?tenant=1",
        "https://good.example/oauth/x/../cb?tenant=1",
        "https://good.example/oauth/%63b?tenant=1",
        "https://good.example/oauth%2Fcb?tenant=1",
        "https://good.example/oauth/cb%3Ftenant=1",
        "https://good.example/oauth/cb?tenant=%31",
        "https://good.example/oauth/%2e%2e/oauth/cb?tenant=1",
        "https://good.example/oauth/cb?tenant=1%2526",
        "https://good.example:443/oauth/cb?tenant=1",
        "https://good.example:8443/oauth/cb?tenant=1",
        "https://good.example.:443/oauth/cb?tenant=1",
        "https://good.example./oauth/cb?tenant=1",
        "https://good.example@evil.example/oauth/cb?tenant=1",
        "https://evil.example@good.example/oauth/cb?tenant=1",
        "https://user:pass@good.example/oauth/cb?tenant=1",
        "https://good.example.evil.example/oauth/cb?tenant=1",
        "https://evilgood.example/oauth/cb?tenant=1",
        "https://sub.good.example/oauth/cb?tenant=1",
        "https://evil.example/https://good.example/oauth/cb?tenant=1",
        "https://evil.example?https://good.example/oauth/cb?tenant=1",
        "https://evil.example#https://good.example/oauth/cb?tenant=1",
        "https://good.example\\oauth/cb?tenant=1",
        "https://good.example\\@evil.example/oauth/cb?tenant=1",
        "https:\\\\good.example/oauth/cb?tenant=1",
        " https://good.example/oauth/cb?tenant=1",
        "https://good.example/oauth/cb?tenant=1 ",
        "https://good.example/oauth/cb?tenant=1\t",
        "https://good.example/oauth/cb?tenant=1\r\n",
        "https://good.ex\tample/oauth/cb?tenant=1",
        "https://good.ex\nample/oauth/cb?tenant=1",
        "https://good.example/oauth/cb?tenant=1\0",
        "https://gооd.example/oauth/cb?tenant=1",
        "https://ｇood.example/oauth/cb?tenant=1",
        "https://good。example/oauth/cb?tenant=1",
        "https://good.example/oauth/cb;x?tenant=1",
        "https://[::1%25eth0]/oauth/cb?tenant=1",
        "javascript:alert(1)//https://good.example/oauth/cb?tenant=1",
        "data:text/html,https://good.example/oauth/cb?tenant=1",
        "https://good.example/oauth/cb?tenant=1,https://evil.example",
        "https://good.example/oauth/cb?tenant=1 https://evil.example",
        "*",
        "https://*/oauth/cb?tenant=1",
    ];
    assert!(mutations.len() >= 40);
    for mutation in mutations {
        let answer = assistant.authorize(&mut browser, &[("redirect_uri", mutation)]).await;
        assert_eq!((answer.status.as_u16(), answer.location()), (400, ""), "{mutation:?}");
    }
    let right = assistant.authorize(&mut browser, &[]).await;
    assert!(right.location().starts_with("/oauth/consent"));
}

/// On a loopback host the port is free, and nothing else is.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn loopback_ports_are_free(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.browser();
    for host in ["127.0.0.1", "[::1]", "localhost"] {
        for port in ["", ":33418"] {
            let registered = format!("http://{host}{port}/cb");
            let assistant = app.assistant_with(&json!({"redirect_uris": [registered]})).await;
            for good in ["", ":1", ":80", ":33418", ":65535"] {
                let uri = format!("http://{host}{good}/cb");
                let answer = assistant.authorize(&mut browser, &[("redirect_uri", &uri)]).await;
                assert_eq!(answer.status, 303, "{uri} for {registered}");
            }
            for bad in [
                format!("https://{host}:1/cb"),
                format!("http://{host}:1/cb/"),
                format!("http://{host}:1/CB"),
                format!("http://{host}:1/other"),
                format!("http://{host}:1/cb?x=1"),
                format!("http://{host}:1/cb#x"),
                format!("http://{host}:/cb"),
                format!("http://{host}:65536/cb"),
                format!("http://{host}:01/cb"),
                format!("http://{host}:1x/cb"),
                format!("http://{host}:1@evil.example/cb"),
                format!("http://u@{host}:1/cb"),
                format!("http://{host}.evil.example/cb"),
                format!("http://{host}:1\\@evil.example/cb"),
                "http://127.0.0.2:1/cb".to_owned(),
                "http://[::1%25lo]:1/cb".to_owned(),
                "http://0.0.0.0:1/cb".to_owned(),
                "http://2130706433/cb".to_owned(),
            ] {
                let answer = assistant.authorize(&mut browser, &[("redirect_uri", &bad)]).await;
                assert_eq!((answer.status.as_u16(), answer.location()), (400, ""), "{bad}");
            }
        }
    }
    // One loopback host is not another.
    let numeric = app.assistant_with(&json!({"redirect_uris": ["http://127.0.0.1/cb"]})).await;
    let answer = numeric.authorize(&mut browser, &[("redirect_uri", "http://localhost/cb")]).await;
    assert_eq!(answer.status, 400);
}
