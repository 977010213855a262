//! Authorization requests that cannot be granted.

use callslip::tenants::Role;
use serde_json::json;
use sqlx::PgPool;

use crate::support::{CHALLENGE, ORIGIN, PASSWORD, TestApp};

/// [A-05] [A-06] [A-07] What is wrong with a request, once client and
/// redirect URI are known, is told to the user and then to the client: with `state` and `iss`, and
/// no code.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_refusal_goes_to_the_client(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let public = app.assistant().await;
    let confidential =
        app.assistant_with(&json!({"token_endpoint_auth_method": "client_secret_basic"})).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let long = "A".repeat(44);
    let padded = format!("{}=", &CHALLENGE[..42]);
    for (changes, error) in [
        ([("response_type", "")], "invalid_request"),
        ([("response_type", "token")], "unsupported_response_type"),
        ([("response_type", "id_token")], "unsupported_response_type"),
        ([("response_type", "code token")], "unsupported_response_type"),
        ([("response_type", "Code")], "unsupported_response_type"),
        ([("code_challenge", "")], "invalid_request"),
        ([("code_challenge_method", "plain")], "invalid_request"),
        ([("code_challenge_method", "")], "invalid_request"),
        ([("code_challenge_method", "s256")], "invalid_request"),
        ([("code_challenge_method", "S512")], "invalid_request"),
        ([("code_challenge", "short")], "invalid_request"),
        ([("code_challenge", long.as_str())], "invalid_request"),
        ([("code_challenge", padded.as_str())], "invalid_request"),
        ([("scope", "admin")], "invalid_scope"),
        ([("scope", "search:read admin")], "invalid_scope"),
        ([("resource", "/mcp")], "invalid_target"),
        ([("resource", "https://callslip.example/mcp#x")], "invalid_target"),
        ([("resource", "https://evil.example/mcp")], "invalid_target"),
        ([("resource", "https://callslip.example.evil.example/mcp")], "invalid_target"),
        ([("response_mode", "fragment")], "invalid_request"),
        ([("request", "eyJ")], "request_not_supported"),
        ([("request_uri", "https://evil.example/x")], "request_uri_not_supported"),
        ([("prompt", "none")], "interaction_required"),
        ([("prompt", "login none")], "interaction_required"),
        ([("dpop_jkt", "short")], "invalid_request"),
        ([("dpop_jkt", padded.as_str())], "invalid_request"),
    ] {
        for assistant in [&public, &confidential] {
            let page = assistant.refused(&mut browser, &changes).await;
            assert!(page.link_back().starts_with("https://assistant.example/cb?"), "{changes:?}");
            assert_eq!(page.told("error"), [error], "{changes:?}");
            assert_eq!(page.told("state"), ["af0ifjsldkj"], "{changes:?}");
            assert_eq!(page.told("iss"), [ORIGIN], "{changes:?}");
            assert!(page.told("code").is_empty(), "{changes:?}");
            // The user reads the same.
            let text = page.select("main").concat();
            let description = page.told("error_description").concat();
            for wanted in ["Assistant", "assistant.example", error, &description] {
                assert!(text.contains(wanted), "{wanted} in {text}");
            }
        }
    }
    for name in ["scope", "state", "resource", "code_challenge", "unknown"] {
        let url = public.authorization_url(&[(name, "x")]);
        let sent = browser.get(&format!("{url}&{name}=x")).await;
        let page = browser.get(sent.location()).await;
        assert_eq!(page.told("error"), ["invalid_request"], "{name}");
        assert_eq!(page.told("iss"), [ORIGIN], "{name}");
    }
    assert_eq!(app.count("oauth_grants").await, 0);
}

/// Nobody is sent on to an address that a stranger registered without having acted here:
/// who is not signed in signs in first, reads where the way leads, and follows it or does not.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_refusal_waits_for_the_user(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.member("acme", "ada", Role::Reader).await;
    let assistant = app.assistant().await;
    for changes in [[("scope", "admin")], [("prompt", "none")], [("response_type", "token")]] {
        let mut browser = app.browser();
        let sent = assistant.authorize(&mut browser, &changes).await;
        let to_sign_in = browser.get(sent.location()).await;
        assert!(to_sign_in.location().starts_with("/sign-in?"), "{}", to_sign_in.location());
        let page = browser.get(to_sign_in.location()).await;
        let return_to = page
            .attribute("form[method=post][action='/sign-in'] input[name=return_to]", "value")
            .concat();
        let answer = browser.sign_in(&ada.user.email, PASSWORD, &return_to).await;
        assert_eq!(answer.location(), sent.location());
        let page = browser.get(answer.location()).await;
        assert_eq!((page.status.as_u16(), page.location()), (400, ""));
        assert!(page.text().contains("assistant.example"));
        assert!(!page.text().contains("http-equiv"), "nothing but the link leads on");
        // There is nothing to approve, whatever is sent.
        let request_id = sent.location().split('=').nth(1).unwrap();
        let tenant = app.tenant("acme").await.id.to_string();
        let token = browser.get("/account").await.csrf_token();
        let fields = [
            ("csrf_token", token.as_str()),
            ("request_id", request_id),
            ("tenant", &tenant),
            ("decision", "approve"),
        ];
        let forced = browser.post("/oauth/consent", &fields).await;
        assert_eq!((forced.status.as_u16(), forced.location()), (400, ""));
        // In another browser there is nothing to read.
        assert_eq!(ada.sign_in().await.get(sent.location()).await.status, 403);
    }
    assert_eq!(app.count("oauth_grants").await, 0);
    assert_eq!(app.count("oauth_authorization_codes").await, 0);
}

/// What would have us fetch or believe something else is refused, and nothing is fetched.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn nothing_that_a_request_points_to_is_fetched(pool: PgPool) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let place = listener.local_addr().unwrap().to_string();
    // The way out would be open.
    let app = TestApp::with(
        &pool,
        &[("CALLSLIP_OUTBOUND_ALLOW", &place), ("CALLSLIP_CLIENT_DOCUMENT_ALLOW", &place)],
    )
    .await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant().await;
    let there = format!("http://{place}/request");
    let of_another = format!("urn:example:{place}");
    for (changes, error) in [
        (("request", "eyJhbGciOiJub25lIn0.e30."), "request_not_supported"),
        (("request", there.as_str()), "request_not_supported"),
        (("request_uri", there.as_str()), "request_uri_not_supported"),
        (("request_uri", of_another.as_str()), "request_uri_not_supported"),
        (("response_mode", "fragment"), "invalid_request"),
        (("response_mode", "form_post"), "invalid_request"),
        (("response_mode", "query.jwt"), "invalid_request"),
    ] {
        let page = assistant.refused(&mut browser, &[changes]).await;
        assert_eq!(page.told("error"), [error], "{changes:?}");
    }
    let query = assistant.authorize(&mut browser, &[("response_mode", "query")]).await;
    assert_eq!(browser.get(query.location()).await.status, 200);
    assert!(listener.accept().is_err(), "somebody came");
}

/// Whatever is in the state, it is percent-encoded on its way and escaped on a page; what
/// does not fit is not taken.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_hostile_state_does_no_harm(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut browser = app.member("acme", "ada", Role::Reader).await.sign_in().await;
    let assistant = app.assistant().await;
    let state = "\r\nSet-Cookie: a=b\u{1f600}\"'><script>alert(1)</script>&iss=evil#x";
    let approved = assistant.approved(&mut browser, &[("state", state)]).await;
    assert_eq!(
        (approved.status.as_u16(), approved.returned("iss")),
        (303, vec![ORIGIN.to_owned()])
    );
    let refused = assistant.refused(&mut browser, &[("state", state), ("scope", "x")]).await;
    assert!(!refused.text().contains("<script>alert"));
    assert_eq!(refused.told("iss"), [ORIGIN]);
    for (location, back) in [
        (approved.location().to_owned(), approved.returned("state")),
        (refused.link_back(), refused.told("state")),
    ] {
        assert_eq!(back, [state]);
        assert!(location.contains("%0D%0ASet-Cookie%3A"), "{location}");
        let plain = |byte: u8| byte.is_ascii_graphic() && !b"\"'<>\\#".contains(&byte);
        assert!(location.bytes().all(plain), "{location}");
    }
    // 8 KiB in all are read, of which the state may have half.
    let fits = "x".repeat(4096);
    let answer = assistant.approved(&mut browser, &[("state", &fits)]).await;
    assert_eq!(answer.returned("state"), std::slice::from_ref(&fits));
    let longer = format!("{fits}x");
    let page = assistant.refused(&mut browser, &[("state", &longer)]).await;
    assert_eq!(page.told("error"), ["invalid_request"]);
    assert!(page.told("state").is_empty());
    let usual = assistant.authorization_url(&[("state", "")]);
    let used = usual.split_once('?').unwrap().1.len() + "&unknown=".len();
    for (length, status) in [(8192, 303), (8193, 414)] {
        let url = format!("{usual}&unknown={}", "x".repeat(length - used));
        let answer = browser.get(&url).await;
        assert_eq!(answer.status, status, "{length}");
        let is_page = answer.header("content-type").starts_with("text/html");
        assert_eq!(is_page, status == 414);
    }
}
