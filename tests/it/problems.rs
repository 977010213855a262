//! What is wrong with the installation is told to those who can do something about it.

use std::io::{self, Write};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request},
    http::header,
};
use callslip::{
    config::LogFormat,
    problems::{Kind, store},
    telemetry::{self, OneLine},
    tenants::Role,
};
use sqlx::PgPool;
use time::Duration;

use crate::support::{Answer, Browser, TestApp};

impl TestApp {
    /// What has been seen: kind, detail, how often.
    async fn problems(&self) -> Vec<(&'static str, String, i64)> {
        self.app.problems.flush().await.unwrap();
        let mut tx = self.db().control().await.unwrap();
        let problems = store::list(&mut tx, self.clock.now()).await.unwrap();
        let mut seen: Vec<_> = problems
            .into_iter()
            .map(|problem| (problem.kind.as_str(), problem.detail, problem.seen))
            .collect();
        seen.sort();
        seen
    }

    async fn get_with(&self, path: &str, name: &'static str, value: &[u8]) -> Answer {
        let value = header::HeaderValue::from_bytes(value).unwrap();
        self.send(Request::get(path).header(name, value).body(Body::empty()).unwrap()).await
    }
}

/// A request under another host is refused, and so is known; strangers who go through addresses
/// are not worth a word.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn another_host_is_noticed(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    for host in ["203.0.113.9", "203.0.113.9:8700", "[2001:db8::1]"] {
        assert_eq!(app.get_with("/", "host", host.as_bytes()).await.status, 421);
    }
    assert_eq!(app.problems().await, []);
    for host in ["backend:8700", "docs.example.net"] {
        assert_eq!(app.get_with("/t/acme/mcp", "host", host.as_bytes()).await.status, 421);
    }
    assert_eq!(app.problems().await, [("other-host", "backend:8700".to_owned(), 2)]);
    app.get_with("/", "host", &[b'x'; 3000]).await;
    assert_eq!(app.problems().await, [("other-host", "x".repeat(100), 3)]);
}

/// Somebody pasted another address, or the address was changed: the client hears `invalid_target`,
/// and the admins hear which.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn another_resource_and_another_issuer_are_noticed(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant().await;
    for resource in ["https://callslip.example/nonsense", "urn:nothing", "nonsense"] {
        assistant.authorize(&mut browser, &[("resource", resource)]).await;
    }
    assert_eq!(app.problems().await, [], "these name no other origin");
    let other = "https://old.example:8443/t/acme/mcp?secret=s3cret";
    assistant.authorize(&mut browser, &[("resource", other)]).await;
    let seen = [("other-resource", "https://old.example:8443".to_owned(), 1)];
    assert_eq!(app.problems().await, seen);

    // The same keys under another public URL.
    let tokens = assistant.tokens(&mut browser, &[]).await;
    let token = tokens["access_token"].as_str().unwrap();
    let moved = TestApp::with(&pool, &[("CALLSLIP_PUBLIC_URL", "https://new.example")]).await;
    assert!(app.accepts(token).await && !moved.accepts(token).await);
    let (head, rest) = token.split_once('.').unwrap();
    assert!(!moved.accepts(&format!("{head}.{}A", rest)).await, "a forgery says nothing");
    let found = moved.problems().await;
    assert_eq!(found[0], ("other-issuer", "https://callslip.example".to_owned(), 1));
}

/// A proxy that nobody named is noticed: one of ours by its address, others by their network.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_proxy_that_nobody_named_is_noticed(pool: PgPool) {
    let trusted = [("CALLSLIP_TRUSTED_PROXIES", "10.0.0.0/8")];
    let app = TestApp::with(&pool, &trusted).await;
    let through = async |peer: &str| {
        let peer: std::net::SocketAddr = peer.parse().unwrap();
        let mut request = Request::get("/").header("x-forwarded-for", "198.51.100.7");
        request.extensions_mut().unwrap().insert(ConnectInfo(peer));
        app.send(request.body(Body::empty()).unwrap()).await;
        app.problems().await
    };
    assert_eq!(through("10.1.2.3:4000").await, [], "this one is trusted");
    assert_eq!(through("192.168.7.9:4000").await, [("proxy", "192.168.7.9".to_owned(), 1)]);
    assert_eq!(through("198.51.100.9:4000").await, [("proxy", "198.51.100.0/24".to_owned(), 2)]);
}

/// [FX-22] Half a minute is told, and refuses nobody; beyond a minute the machine wants no traffic;
/// and all is well again once the clock is.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_wrong_clock_is_told_and_then_not_ready(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let skewed = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let tokens = app.assistant().await.tokens(&mut browser, &[]).await;
    let token = tokens["access_token"].as_str().unwrap();
    let life = tokens["expires_in"].as_i64().unwrap();
    let mut now = 0;
    for (offset, told, ready) in [
        (29, false, true),
        (-29, false, true),
        (45, true, true),
        (-45, true, true),
        (62, true, false),
        (-300, true, false),
        (7200, true, false),
        (0, false, true),
    ] {
        skewed.clock.advance(Duration::seconds(offset - now));
        now = offset;
        skewed.app.problems.compare_clocks().await.unwrap();
        let problems = skewed.problems().await;
        assert_eq!(problems.iter().any(|(kind, ..)| *kind == "clock"), told, "{offset}");
        let expected = if ready { 200 } else { 503 };
        assert_eq!(skewed.get("/readyz").await.status, expected, "{offset}");
        assert_eq!(skewed.get("/livez").await.status, 200);
        let mut tx = skewed.db().control().await.unwrap();
        store::dismiss(&mut tx, Kind::Clock).await.unwrap();
        tx.commit().await.unwrap();
    }
    // By a clock that is ahead, the token has just ended.
    skewed.clock.advance(Duration::seconds(life + 15));
    app.clock.advance(Duration::seconds(life - 15));
    assert!(app.accepts(token).await && skewed.accepts(token).await);
}

async fn shown(browser: &mut Browser, path: &str) -> Vec<String> {
    browser.get(path).await.attribute(".notice[data-problem]", "data-problem")
}

/// Admins and operators read what is wrong, what to do, and when it was last seen; readers do not.
/// It goes when an operator dismisses it, and by itself after a day, and comes back when it is seen
/// again.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn those_who_can_act_are_told(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut admin = app.member("acme", "ada", Role::Admin).await.sign_in().await;
    let mut reader = app.member("acme", "rob", Role::Reader).await.sign_in().await;
    let mut operator = app.operator("olga").await.sign_in().await;
    for browser in [&mut admin, &mut reader] {
        assert!(shown(browser, "/t/acme").await.is_empty());
    }
    app.get_with("/mcp", "host", b"docs.example.net").await;
    app.app.problems.record(Kind::Outbound, "clients.example");
    app.problems().await;
    for (browser, path, forms) in [(&mut admin, "/t/acme", 0), (&mut operator, "/operator", 2)] {
        let page = browser.get(path).await;
        let texts = page.select(".notice[data-problem=other-host] div");
        let text = texts.first().unwrap();
        for part in [Kind::Host.what(), Kind::Host.remedy(), "Seen 1 time", "docs.example.net"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(page.select(".notice[data-problem] time").len(), 2);
        assert_eq!(page.select(".notice[data-problem] button").len(), forms);
        assert!(page.select("b").is_empty());
    }
    assert!(shown(&mut reader, "/t/acme").await.is_empty());

    let dismiss = "/operator/problems/other-host/dismiss";
    assert_eq!(admin.submit("/t/acme", dismiss, &[]).await.status, 404);
    let answer = operator.submit("/operator", dismiss, &[]).await;
    assert_eq!(answer.location(), "/operator?notice=problem-dismissed");
    assert_eq!(shown(&mut admin, "/t/acme").await, ["outbound"]);
    assert_eq!(app.count("installation_events where kind = 'problem.dismissed'").await, 1);
    app.get_with("/mcp", "host", b"docs.example.net").await;
    app.problems().await;
    assert_eq!(shown(&mut operator, "/operator").await, ["other-host", "outbound"]);

    app.clock.advance(Duration::hours(25));
    for (mut browser, path) in [
        (app.member("acme", "eve", Role::Admin).await.sign_in().await, "/t/acme"),
        (app.operator("otto").await.sign_in().await, "/operator"),
    ] {
        assert!(shown(&mut browser, path).await.is_empty());
    }
    app.app.forget(app.db(), &app.clock).await.unwrap();
    assert_eq!(app.count("installation_problems").await, 0);
}

/// The operator sees the keys, and nothing of their private halves.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_operator_sees_the_signing_keys(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    app.clock.advance(Duration::days(91));
    app.app.forget(app.db(), &app.clock).await.unwrap();
    let mut operator = app.operator("olga").await.sign_in().await;
    let page = operator.get("/operator").await;
    assert_eq!(page.select("#keys tbody td[data-label=State]"), ["Published", "Signs"]);
    let kids = sqlx::query_scalar!("select kid from signing_keys order by activates_at desc");
    assert_eq!(page.select("#keys tbody th"), kids.fetch_all(&pool).await.unwrap());
}

/// However many requests a stranger sends: one row, and one line in the log without a control
/// character.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_flood_costs_one_row_and_one_line(pool: PgPool) {
    #[derive(Clone, Default)]
    struct Sink(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);
    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (sink, app) = (Sink::default(), TestApp::new(&pool).await);
    let writer = sink.clone();
    let subscriber =
        telemetry::subscriber("callslip=warn", LogFormat::Text, OneLine(move || writer.clone()))
            .unwrap();
    let guard = tracing::subscriber::set_default(subscriber);
    for number in 0..1000 {
        let host = format!("host-{number}.example");
        app.get_with("/mcp", "host", host.as_bytes()).await;
    }
    app.problems().await;
    drop(guard);
    assert_eq!(app.count("installation_problems").await, 1);
    let log = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    // The first, as soon as it was seen; the rest when it was asked for.
    assert!((1..=2).contains(&lines.len()), "{log}");
    for line in lines {
        assert!(line.contains("CALLSLIP_PUBLIC_URL") && !line.contains('\t'), "{line}");
    }
}
