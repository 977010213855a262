//! Cookies, headers and forged requests.

use std::{fs, path::PathBuf};

use axum::{body::Body, extract::Request, http::header};
use callslip::tenants::Role;
use sqlx::PgPool;

use crate::support::{Answer, Browser, ORIGIN, PASSWORD, TestApp};

fn set_cookies(answer: &Answer) -> Vec<String> {
    let values = answer.headers.get_all(header::SET_COOKIE);
    values.iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

/// [W-01] Every cookie is host-bound, out of reach of scripts and of other sites' forms.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn cookies_carry_every_protection(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.member("acme", "ada", Role::Reader).await;
    let mut browser = app.browser();
    let mut cookies = set_cookies(&browser.get("/sign-in").await);
    let signed_in = browser.sign_in(&ada.user.email, PASSWORD, "/").await;
    cookies.extend(set_cookies(&signed_in));
    assert!(cookies.iter().any(|cookie| cookie.starts_with("__Host-sid=")), "{cookies:?}");
    assert!(cookies.iter().any(|cookie| cookie.starts_with("__Host-browser=")), "{cookies:?}");
    for cookie in cookies {
        let attributes: Vec<&str> = cookie.split("; ").skip(1).collect();
        assert!(cookie.starts_with("__Host-"), "{cookie}");
        for wanted in ["Path=/", "HttpOnly", "SameSite=Lax", "Secure"] {
            assert!(attributes.contains(&wanted), "{wanted} in {cookie}");
        }
        assert!(!cookie.contains("Domain"), "{cookie}");
    }
}

/// [W-01] Over http on loopback, where browsers refuse the prefix, the rest stays.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn on_loopback_cookies_lose_only_what_needs_tls(pool: PgPool) {
    let app = TestApp::with(&pool, &[("CALLSLIP_PUBLIC_URL", "http://127.0.0.1:8700")]).await;
    let page = app.get("/sign-in").await;
    let cookies = set_cookies(&page);
    assert_eq!(cookies.len(), 1);
    assert!(cookies[0].starts_with("browser="), "{cookies:?}");
    assert!(cookies[0].contains("HttpOnly; SameSite=Lax") && !cookies[0].contains("Secure"));
    assert_eq!(page.header("strict-transport-security"), "");
}

/// [W-02] [W-03] [W-04] Pages, redirects, refusals and pages that do not exist alike.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn every_answer_carries_the_headers(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.member("acme", "ada", Role::Reader).await;
    let mut browser = app.browser();
    let answers = [
        ("same-origin", browser.get("/no/such/page").await),
        ("same-origin", browser.get("/first-operator/nonsense").await),
        // An app may have opened these in a window of its own: were it cut off from the window, it
        // would believe that the user has closed it (ChatGPT: "OAuth flow canceled").
        ("unsafe-none", browser.get("/sign-in").await),
        ("unsafe-none", browser.post("/sign-in", &[]).await),
        ("unsafe-none", browser.sign_in(&ada.user.email, "a wrong password", "/").await),
        ("unsafe-none", browser.sign_in(&ada.user.email, PASSWORD, "/").await),
        ("unsafe-none", browser.get("/oauth/authorize").await),
        ("unsafe-none", browser.get("/oauth/consent?request_id=x").await),
        ("unsafe-none", browser.post("/oauth/consent", &[]).await),
        ("unsafe-none", browser.post("/sign-out", &[]).await),
        ("same-origin", browser.get("/account").await),
    ];
    let statuses: Vec<u16> = answers.iter().map(|(_, answer)| answer.status.as_u16()).collect();
    assert_eq!(statuses, [404, 404, 200, 403, 403, 303, 400, 400, 403, 403, 200]);
    for (opener, answer) in answers {
        let csp = answer.header("content-security-policy");
        for directive in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "object-src 'none'",
        ] {
            assert!(csp.split("; ").any(|found| found == directive), "{directive} in {csp}");
        }
        assert!(!csp.contains("unsafe"), "{csp}");
        assert_eq!(
            answer.header("strict-transport-security"),
            "max-age=63072000; includeSubDomains"
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("cross-origin-opener-policy"), opener);
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
}

/// [W-02] Nothing in a template that the policy would have to make an exception for.
#[test]
fn templates_hold_no_inline_script_style_or_handler() {
    let mut folders = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("templates")];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            seen += 1;
            let text = fs::read_to_string(&path).unwrap().to_lowercase();
            let name = path.display();
            for forbidden in ["<style", " style=", "javascript:", "|safe", "| safe"] {
                assert!(!text.contains(forbidden), "{forbidden} in {name}");
            }
            for script in text.split("<script").skip(1) {
                assert!(script.trim_start().starts_with("src="), "an inline script in {name}");
            }
            let handler = text
                .split(char::is_whitespace)
                .find(|word| word.starts_with("on") && word.contains("=\"") && word.is_ascii());
            assert_eq!(handler, None, "in {name}");
        }
    }
    assert!(seen > 3, "the templates were found");
}

/// The sign-in form, sent with these headers, by a browser that knows the right token.
async fn forged(browser: &mut Browser, email: &str, headers: &[(&str, &str)]) -> Answer {
    let token = browser.get("/sign-in").await.csrf_token();
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("csrf_token", &token)
        .append_pair("email", email)
        .append_pair("password", PASSWORD)
        .finish();
    let mut request =
        Request::post("/sign-in").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    browser.send(request.body(Body::from(body)).unwrap()).await
}

/// [W-05] By fetch metadata, by `Origin` where the browser sends none; neither is refused.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_form_from_another_site_is_refused(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.member("acme", "ada", Role::Reader).await;
    let refused: [&[(&str, &str)]; 8] = [
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "cross-site"), ("origin", ORIGIN)],
        &[("sec-fetch-site", "nonsense")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", "http://callslip.example")],
        &[],
    ];
    for headers in refused {
        let mut browser = app.browser();
        let answer = forged(&mut browser, &ada.user.email, headers).await;
        assert_eq!(answer.status, 403, "{headers:?}");
        assert_eq!(browser.session(), None, "{headers:?}");
    }
    for headers in [("sec-fetch-site", "same-origin"), ("origin", ORIGIN)] {
        let answer = forged(&mut app.browser(), &ada.user.email, &[headers]).await;
        assert_eq!(answer.status, 303, "{headers:?}");
    }
}

/// [W-05] A form needs the token of this browser and this session, none other's.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_form_needs_the_token_of_its_own_session(pool: PgPool) {
    let app = TestApp::new(&pool).await.with_probes();
    let ada = app.member("acme", "ada", Role::Reader).await;
    let bob = app.member("acme", "bob", Role::Reader).await;
    let (mut ada, mut bob) = (ada.sign_in().await, bob.sign_in().await);
    let foreign = bob.get("/probe/token").await.text();
    let before_sign_in = app.browser().get("/sign-in").await.csrf_token();
    for token in ["", "nonsense", &foreign, &before_sign_in] {
        assert_eq!(ada.sign_out(token).await.status, 403, "{token}");
    }
    assert_eq!(ada.post("/sign-out", &[]).await.status, 403);
    assert_eq!(ada.get("/probe/signed-in").await.status, 200);
    let own = ada.get("/probe/token").await.text();
    assert_eq!(ada.sign_out(&own).await.location(), "/sign-in");
}

/// [W-06] Opening the address of a form does not act.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn looking_does_not_sign_out(pool: PgPool) {
    let app = TestApp::new(&pool).await.with_probes();
    let mut ada = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    assert_eq!(ada.get("/sign-out").await.status, 405);
    assert_eq!(ada.get("/probe/signed-in").await.status, 200);
}

/// [W-07] After signing in nobody is led off the site.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn return_to_stays_on_the_site(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.member("acme", "ada", Role::Reader).await;
    for (return_to, location) in [
        ("/t/acme/documents?page=2", "/t/acme/documents?page=2"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https:evil.example", "/"),
        ("https://evil.example/", "/"),
        ("%2f%2fevil.example", "/"),
        ("/%2f%2fevil.example", "/"),
        ("/\r\nLocation: https://evil.example", "/"),
        ("", "/"),
    ] {
        let mut browser = app.browser();
        let answer = browser.sign_in(&ada.user.email, PASSWORD, return_to).await;
        assert_eq!((answer.status.as_u16(), answer.location()), (303, location), "{return_to:?}");
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("return_to", return_to)
            .finish();
        let again = browser.get(&format!("/sign-in?{query}")).await;
        assert_eq!((again.status.as_u16(), again.location()), (303, location), "{return_to:?}");
    }
}

/// [M-06] [H-01] Under a name that is not ours there is nothing: no page, no document, no token. A
/// forwarded name changes nothing either.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn another_host_is_answered_nowhere(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let send = async |app: &TestApp, method: &str, path: &str, host: &str| {
        let request = Request::builder().method(method).uri(path).header(header::HOST, host);
        app.send(request.body(Body::empty()).unwrap()).await
    };
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/sign-in"),
        ("POST", "/sign-in"),
        ("GET", "/oauth/authorize"),
        ("POST", "/oauth/register"),
        ("POST", "/oauth/token"),
        ("OPTIONS", "/oauth/token"),
        ("GET", "/oauth/jwks.json"),
        ("GET", "/.well-known/oauth-authorization-server"),
        ("POST", "/mcp"),
        ("OPTIONS", "/mcp"),
        ("GET", "/no/such/page"),
    ] {
        for host in ["evil.example", "callslip.example.evil.example", "localhost", "192.0.2.9:80"] {
            let answer = send(&app, method, path, host).await;
            assert_eq!(answer.status, 421, "{method} {path} at {host}");
            assert!(!answer.text().contains(host) && answer.location().is_empty());
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
        }
        let ours = send(&app, method, path, "callslip.example:443").await;
        assert_ne!(ours.status, 421, "{method} {path}");
    }
    for probe in ["/livez", "/readyz"] {
        assert_eq!(send(&app, "GET", probe, "10.0.0.7:8700").await.status, 200, "{probe}");
    }
    let request = Request::get("/.well-known/oauth-authorization-server")
        .header("x-forwarded-host", "evil.example")
        .header("x-forwarded-proto", "http")
        .header("forwarded", "host=evil.example;proto=http");
    let answer = app.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.json()["issuer"], ORIGIN);
    assert!(!answer.text().contains("evil"));

    let local = TestApp::with(&pool, &[("CALLSLIP_PUBLIC_URL", "http://127.0.0.1:8700")]).await;
    for (host, status) in
        [("127.0.0.1:8700", 200), ("localhost:8700", 200), ("[::1]:8700", 200), ("evil:8700", 421)]
    {
        assert_eq!(send(&local, "GET", "/sign-in", host).await.status, status, "{host}");
    }
}
