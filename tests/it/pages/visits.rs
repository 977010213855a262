//! Who may open which page, and what they find there.

use sqlx::PgPool;

use super::stage::{Stage, assert_absent, user};

/// Pages of a tenant, and whether a reader may open them.
const PAGES: &[(&str, bool)] = &[
    ("", true),
    ("/documents", true),
    ("/apps", true),
    ("/vector-stores", false),
    ("/activity", false),
    ("/quality", false),
    ("/service-clients", false),
    ("/members", false),
    ("/settings", false),
];

#[sqlx::test]
async fn members_open_what_their_role_allows_and_strangers_nothing(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let mut nobody = stage.app.browser();
    let mut ada = stage.signed_in(&stage.ada).await;
    let mut rob = stage.signed_in(&stage.rob).await;
    let mut eve = stage.signed_in(&stage.eve).await;
    for (path, for_readers) in PAGES {
        let path = format!("/t/acme{path}");
        assert_eq!(nobody.get(&path).await.status, 303, "{path}");
        assert_eq!(ada.get(&path).await.status, 200, "{path}");
        let expected = if *for_readers { 200 } else { 403 };
        assert_eq!(rob.get(&path).await.status, expected, "{path}");
        assert_absent(&eve.get(&path).await);
        assert_absent(&eve.get(&path.replace("acme", "no-such-tenant")).await);
    }
    assert_absent(&rob.get("/operator").await);
    assert_absent(&ada.get("/operator").await);
}

#[sqlx::test]
async fn the_navigation_leads_only_where_one_may_go(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    for user in [&stage.ada, &stage.rob] {
        let mut browser = stage.signed_in(user).await;
        let links = browser.get("/t/acme").await.attribute(".nav a", "href");
        assert!(links.len() >= 3);
        for link in links {
            assert_eq!(browser.get(&link).await.status, 200, "{link}");
        }
    }
}

#[sqlx::test]
async fn the_overview_gives_the_url_and_says_what_each_assistant_does_with_it(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let page = stage.signed_in(&stage.rob).await.get("/t/acme").await;
    let url = "https://callslip.example/t/acme/mcp";
    assert_eq!(page.select("#connect-url"), [url]);
    let assistants = page.select(".assistants summary > span");
    assert_eq!(
        assistants,
        ["ChatGPT", "Claude", "Claude Code", "Cursor", "VS Code", "Responses API"]
    );
    assert_eq!(
        page.select("#claude-code"),
        [format!("claude mcp add --transport http acme {url}")]
    );
    for snippet in ["#cursor", "#vscode", "#responses"] {
        let text = page.select(snippet).pop().unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(json.to_string().contains(url), "{snippet}");
    }
}

#[sqlx::test]
async fn the_start_page_explains_and_then_leads_on(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let mut browser = stage.app.browser();
    let page = browser.get("/").await;
    assert_eq!(page.status, 200);
    assert!(page.attribute("a", "href").contains(&"/sign-in".to_owned()));
    let mut rob = stage.signed_in(&stage.rob).await;
    assert_eq!(rob.get("/").await.location(), "/t/acme");
    let page = rob.get("/account").await;
    assert_eq!(page.select("tbody th a"), ["Acme <b class=canary>Corp</b>"]);
    assert!(page.select(".canary").is_empty());
}

#[sqlx::test]
async fn the_operator_sees_tenants_by_number(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let store = stage.store(stage.acme.id, "Secret plans").await;
    stage.document(stage.acme.id, store, "Secret title", "[Secret] text").await;
    let olga = user(&stage.accounts, "olga", None).await;
    let mut olga = stage.signed_in(&olga).await;
    let page = olga.get("/operator").await;
    assert_eq!(page.select("tbody .sub.mono"), ["acme", "other"]);
    assert_eq!(page.select("tbody td[data-label=Members]"), ["2", "1"]);
    assert!(!page.text().contains("Secret"));
    assert_absent(&olga.get("/t/acme").await);
}

#[sqlx::test]
async fn activity_is_told_in_sentences_newest_first(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let mut ada = stage.signed_in(&stage.ada).await;
    let form = [("backend", "builtin"), ("name", "Guides")];
    ada.submit("/t/acme/vector-stores", "/t/acme/vector-stores", &form).await;
    let page = ada.get("/t/acme/activity").await;
    assert_eq!(page.select("tbody th").first().unwrap(), "Vector store added: Guides");
    assert_eq!(page.select("tbody td[data-label=By]").first().unwrap(), "ada@acme.example");
    let page = ada.get("/t/acme/activity?kind=member.added").await;
    assert_eq!(page.select("tbody th").last().unwrap(), "Member added: ada@acme.example");
    assert_eq!(page.select("tbody td[data-label=By]").last().unwrap(), "the command line");
    let page = ada.get("/t/acme/activity?kind=document.deleted").await;
    assert_eq!(page.select(".empty h2"), ["Nothing of this kind"]);
}

#[sqlx::test]
async fn activity_goes_on_page_by_page(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    sqlx::query!(
        "insert into audit_events (tenant_id, id, at, kind, detail)
         select $1, gen_random_uuid(), now(), 'tool.search', '{\"outcome\": \"answered\", \"results\": 3}'
           from generate_series(1, 70)",
        stage.acme.id.uuid()
    )
    .execute(&pool)
    .await
    .unwrap();
    let mut ada = stage.signed_in(&stage.ada).await;
    let first = ada.get("/t/acme/activity?kind=tool.search").await;
    assert_eq!(first.select("tbody tr").len(), 50);
    assert_eq!(first.select("tbody th").first().unwrap(), "Searched: 3 hits");
    let next = first.attribute("a[rel=next]", "href").pop().unwrap();
    let second = ada.get(&next).await;
    assert_eq!(second.select("tbody tr").len(), 20);
    assert!(second.attribute("a[rel=next]", "href").is_empty());
}

/// A character that Postgres cannot keep is the visitor's doing, never a fault of ours.
#[sqlx::test]
async fn a_field_that_is_no_text_is_refused(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let mut ada = stage.signed_in(&stage.ada).await;
    for path in ["documents?q=%00", "documents?q=cats%00", "activity?kind=%00"] {
        assert_eq!(ada.get(&format!("/t/acme/{path}")).await.status, 400, "{path}");
    }
    let stores = "/t/acme/vector-stores";
    let builtin = [("backend", "builtin"), ("name", "Gui\0des")];
    assert_eq!(ada.submit(stores, stores, &builtin).await.status, 422);
    let outside = [
        ("backend", "openai"),
        ("name", "Records"),
        ("external_id", "vs_records"),
        ("api_key", "sk-0123456789"),
        ("base_url", "https://1.1.1.1/\0"),
    ];
    let page = ada.submit(stores, stores, &outside).await;
    assert_eq!(page.status, 422);
    assert!(page.text().contains("one line of text"));
    let sign_in = [("email", "a\0b@acme.example"), ("password", "nine\0lanterns")];
    let mut stranger = stage.app.browser();
    assert!(stranger.submit("/sign-in", "/sign-in", &sign_in).await.status.is_client_error());
}
