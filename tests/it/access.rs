//! Every route turns away everyone who stands below its demand (the table is the router's own).

use axum::{body::Body, extract::Request, http::header};
use callslip::{http::Access, tenants::Role};
use sqlx::PgPool;
use uuid::Uuid;

use crate::support::{Answer, Browser, TestApp};

/// Somebody who tries a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    Nobody,
    /// Signed in, a member and owner of another tenant.
    Stranger,
    Reader,
    Admin,
    Owner,
    Operator,
}

const CALLERS: &[Caller] = &[
    Caller::Nobody,
    Caller::Stranger,
    Caller::Reader,
    Caller::Admin,
    Caller::Owner,
    Caller::Operator,
];

/// Whether a door with this demand opens for this caller.
fn may_pass(caller: Caller, access: Access) -> bool {
    match access {
        // These authenticate the caller in ways that cookies do not tell.
        Access::Public | Access::Client | Access::Flow => true,
        Access::Bearer => false,
        Access::SignedIn => caller != Caller::Nobody,
        Access::Member => matches!(caller, Caller::Reader | Caller::Admin | Caller::Owner),
        Access::TenantAdmin => matches!(caller, Caller::Admin | Caller::Owner),
        Access::TenantOwner => caller == Caller::Owner,
        Access::Operator => caller == Caller::Operator,
    }
}

/// Turned away: to the sign-in, or with a refusal.
fn is_refusal(answer: &Answer) -> bool {
    match answer.status.as_u16() {
        401 | 403 | 404 => true,
        303 => answer.location().starts_with("/sign-in"),
        _ => false,
    }
}

/// A path with its parameters filled in; ids that nothing has.
fn filled(path: &str) -> String {
    path.split('/')
        .map(|part| match part {
            "{tenant}" => "acme".to_owned(),
            part if part.starts_with('{') => Uuid::now_v7().to_string(),
            part => part.to_owned(),
        })
        .collect::<Vec<_>>()
        .join("/")
}

async fn try_door(browser: &mut Browser, method: &str, path: &str, token: &str) -> Answer {
    let mut request = Request::builder().method(method).uri(filled(path));
    let mut body = Body::empty();
    if method == "POST" {
        request = request
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin");
        body = Body::from(format!("csrf_token={token}"));
    }
    browser.send(request.body(body).unwrap()).await
}

async fn browser_of(app: &TestApp, caller: Caller) -> Browser {
    match caller {
        Caller::Nobody => app.browser(),
        Caller::Stranger => app.member("zeta", "zoe", Role::Owner).await.sign_in().await,
        Caller::Reader => app.member("acme", "ada", Role::Reader).await.sign_in().await,
        Caller::Admin => app.member("acme", "bob", Role::Admin).await.sign_in().await,
        Caller::Owner => app.member("acme", "cas", Role::Owner).await.sign_in().await,
        Caller::Operator => app.operator("olga").await.sign_in().await,
    }
}

/// [I-38] No route, whatever its transport, opens for somebody below its demand; and those who
/// stand high enough are not turned away from its pages.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn every_route_turns_away_who_stands_below_it(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut wrong = Vec::new();
    for &caller in CALLERS {
        let mut browser = browser_of(&app, caller).await;
        let token = match caller {
            Caller::Nobody => browser.get("/sign-in").await.csrf_token(),
            _ => browser.get("/account").await.csrf_token(),
        };
        assert!(!token.is_empty(), "{caller:?} has no form to take a token from");
        for entry in app.app.table.iter().filter(|entry| entry.path != "/sign-out") {
            let answer = try_door(&mut browser, entry.method, entry.path, &token).await;
            let passes = may_pass(caller, entry.access);
            let has_other_ids = filled(entry.path) != entry.path.replace("{tenant}", "acme");
            if !passes && !is_refusal(&answer) {
                wrong.push(format!(
                    "{caller:?} passes {} {}: {}",
                    entry.method, entry.path, answer.status
                ));
            }
            if passes
                && entry.method == "GET"
                && !has_other_ids
                && is_refusal(&answer)
                && !matches!(entry.access, Access::Public | Access::Client | Access::Flow)
            {
                wrong.push(format!("{caller:?} is refused {}: {}", entry.path, answer.status));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// [W-05] Every route that changes something refuses a request from another site, and from nowhere,
/// unless it is for clients that are not browsers.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn every_form_refuses_a_foreign_page(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let mut owner = browser_of(&app, Caller::Owner).await;
    let token = owner.get("/account").await.csrf_token();
    let mut wrong = Vec::new();
    let forms = app.app.table.iter().filter(|entry| {
        entry.method == "POST" && !matches!(entry.access, Access::Bearer | Access::Client)
    });
    for entry in forms {
        for (name, value) in [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("origin", "https://evil.example"),
            ("x-nothing", ""),
        ] {
            let request = Request::post(filled(entry.path))
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header(name, value)
                .body(Body::from(format!("csrf_token={token}")))
                .unwrap();
            let answer = owner.send(request).await;
            if answer.status != 403 {
                wrong.push(format!("{} with {name}: {value}: {}", entry.path, answer.status));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
