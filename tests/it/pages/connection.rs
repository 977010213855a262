//! How a tenant presents its connection, and what an admin learns of its documents.

#![expect(clippy::disallowed_methods, reason = "tests look behind the application's back")]

use callslip::users::User;
use serde_json::json;
use sqlx::PgPool;

use super::{documents::upload, stage::Stage};
use crate::support::{Answer, Browser};

const PAGE: &str = "/t/acme/settings/connection";

async fn open(stage: &Stage, user: &User) -> (Browser, Answer) {
    let mut browser = stage.signed_in(user).await;
    let page = browser.get(PAGE).await;
    (browser, page)
}

async fn save(browser: &mut Browser, page: &Answer, fields: &[(&str, &str)]) -> Answer {
    let seen = page.attribute("input[name=seen]", "value").pop().unwrap_or_default();
    let token = page.csrf_token();
    let mut all = vec![("csrf_token", token.as_str()), ("seen", &seen)];
    all.extend_from_slice(fields);
    browser.post(PAGE, &all).await
}

/// What an admin says of the connection is cleaned, kept, recorded, and read by members.
#[sqlx::test]
async fn the_connection_is_named_and_described(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let (mut ada, page) = open(&stage, &stage.ada).await;
    assert_eq!(page.status, 200);
    let fields = [
        ("name", " Acme\u{202e} <b class=canary>Books</b> "),
        ("description", "Every\u{200b} book\r\nof the house."),
        ("delimits_text", "on"),
    ];
    let saved = save(&mut ada, &page, &fields).await;
    assert_eq!(saved.location(), "/t/acme/settings/connection?notice=rules-saved");
    let page = ada.get(PAGE).await;
    let name = "Acme <b class=canary>Books</b>";
    assert_eq!(page.attribute("input[name=name]", "value"), [name]);
    assert_eq!(page.select("textarea[name=description]"), ["Every book of the house."]);
    assert_eq!(page.attribute("input[name=delimits_text][checked]", "name").len(), 1);
    assert_eq!(stage.events(stage.acme.id).await.last().unwrap(), "connection.changed");

    let mut rob = stage.signed_in(&stage.rob).await;
    for path in ["/t/acme", "/t/acme/apps"] {
        for browser in [&mut ada, &mut rob] {
            let shown = browser.get(path).await;
            let words = shown.select("[data-connection]").concat();
            assert!(words.contains(name) && words.contains("Every book of the house."), "{words}");
            assert!(shown.select(".canary").is_empty());
        }
    }
    let mut eve = stage.signed_in(&stage.eve).await;
    assert!(eve.get("/t/other").await.select("[data-connection]").is_empty());
    assert_eq!(eve.get(PAGE).await.status, 404);

    // Saving what holds already is no change; nothing at all is none to show.
    save(
        &mut ada,
        &page,
        &[("name", name), ("description", "Every book of the house."), ("delimits_text", "on")],
    )
    .await;
    let told = ada.get("/t/acme/activity?kind=connection.changed").await;
    assert_eq!(told.select("tbody th").len(), 1);
    let page = ada.get(PAGE).await;
    assert_eq!(save(&mut ada, &page, &[]).await.status, 303);
    assert!(rob.get("/t/acme").await.select("[data-connection]").is_empty());
}

/// What is too long comes back as it was typed; of two admins the second one decides knowingly.
#[sqlx::test]
async fn nothing_is_cut_off_and_nothing_undone_silently(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let (mut one, hers) = open(&stage, &stage.ada).await;
    let long = "é".repeat(61);
    let back = save(&mut one, &hers, &[("name", &long), ("description", &"x".repeat(301))]).await;
    assert_eq!(back.status, 422);
    assert_eq!(back.select(".field-error").len(), 2);
    assert_eq!(back.attribute("input[name=name]", "value"), [long]);

    let (mut two, his) = open(&stage, &stage.ada).await;
    assert_eq!(save(&mut one, &hers, &[("name", "Hers")]).await.status, 303);
    let late = save(&mut two, &his, &[("name", "His")]).await;
    assert_eq!(late.status, 409);
    assert!(late.select(".notice-warn li").contains(&"Name: Hers".to_owned()));
    assert_eq!(late.attribute("input[name=name]", "value"), ["His"]);
    assert_eq!(save(&mut two, &late, &[("name", "His")]).await.status, 303);
    let page = one.get(PAGE).await;
    assert_eq!(page.attribute("input[name=name]", "value"), ["His"]);
}

/// Members read it where they allow an app.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn consent_shows_the_connection(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    sqlx::query(
        "insert into tenant_connections (tenant_id, name, description, updated_at)
         values ($1, 'Acme <b class=canary>Books</b>', 'Every book.', now())",
    )
    .bind(stage.acme.id.uuid())
    .execute(&pool)
    .await
    .unwrap();
    let metadata = json!({
        "client_name": "Assistant",
        "redirect_uris": ["https://assistant.example/cb"],
    });
    let assistant = stage.app.assistant_with(&metadata).await;
    let mut rob = stage.signed_in(&stage.rob).await;
    let sent = assistant.authorize(&mut rob, &[]).await;
    let page = rob.get(sent.location()).await;
    assert_eq!(page.select("[data-connection] strong"), ["Acme <b class=canary>Books</b>"]);
    assert!(page.select("[data-connection]")[0].ends_with("Every book."));
    assert!(page.select(".canary").is_empty());
}

/// [N-02] The list names, for admins, what was found in a document, and can be of these alone.
#[sqlx::test]
async fn flagged_documents_are_shown_to_admins(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let store = stage.store(stage.acme.id, "Books").await;
    let plain = stage.document(stage.acme.id, store, "Plain", "[Dogs]").await;
    let found = stage.document(stage.acme.id, store, "Found", "[Cats]").await;
    sqlx::query(
        "update documents set hidden_characters = 12, active_content = 1,
                content_flags = '{instructions_to_assistants,from_later}' where id = $1",
    )
    .bind(found.uuid())
    .execute(&pool)
    .await
    .unwrap();
    let mut ada = stage.signed_in(&stage.ada).await;
    let page = ada.get("/t/acme/documents").await;
    assert_eq!(page.select("tbody th a").len(), 2);
    let said = [
        "12 hidden characters removed",
        "1 image or script left out",
        "reads like instructions to assistants",
    ];
    assert_eq!(page.select("tbody .badge-warn"), said);
    let page = ada.get("/t/acme/documents?flagged=on").await;
    assert_eq!(page.select("tbody th a"), ["Found"]);
    let mut rob = stage.signed_in(&stage.rob).await;
    let page = rob.get("/t/acme/documents?flagged=on").await;
    assert_eq!(page.select("tbody th a").len(), 2);
    assert!(page.select(".badge-warn, input[name=flagged]").is_empty());

    // From before there was a column.
    sqlx::query(
        "update documents set metadata = '{\"hidden_characters_removed\": \"3\"}' where id = $1",
    )
    .bind(plain.uuid())
    .execute(&pool)
    .await
    .unwrap();
    let page = ada.get("/t/acme/documents?flagged=on").await;
    assert!(page.select("tbody .badge-warn").contains(&"3 hidden characters removed".to_owned()));
}

/// [N-09] Where the tenant wants it, a new document waits: no assistant and no reader finds it until
/// an admin has let it go, and then it is found like any other.
#[sqlx::test]
async fn new_documents_wait_where_the_tenant_wants_it(pool: PgPool) {
    let stage = Stage::set(&pool).await;
    let store = stage.store(stage.acme.id, "Books").await;
    let (mut ada, page) = open(&stage, &stage.ada).await;
    let path = "/t/acme/documents";
    let store = store.to_string();
    let add = async |ada: &mut Browser, name: &str, text: &str| {
        let token = ada.get(path).await.csrf_token();
        let fields = [("csrf_token", token.as_str()), ("store", &store)];
        let done = upload(ada, path, &fields, &[(name, text)]).await;
        assert_eq!(done.status, 303, "{}", done.text());
        stage.app.drain_ingest().await;
    };
    add(&mut ada, "early.txt", "The early pelican.").await;
    assert_eq!(save(&mut ada, &page, &[("holds_documents", "on")]).await.status, 303);
    add(&mut ada, "late.txt", "The late pelican.").await;

    let mut rob = stage.signed_in(&stage.rob).await;
    assert_eq!(rob.get(path).await.select("tbody th a"), ["The early pelican."]);
    let list = ada.get(path).await;
    assert_eq!(list.select("tbody .badge-info"), ["Waits for approval"]);
    let late = list.attribute("tbody tr:first-child th a", "href").remove(0);
    assert!(ada.get(&late).await.text().contains("The late pelican."));
    assert_eq!(rob.get(&late).await.status, 404);
    let found = async || {
        let titles: Vec<String> = sqlx::query_scalar(
            "select title from documents join chunk_index on document_id = id
              where terms <#> term_vector('pelican', 'english') < 0 order by title",
        )
        .fetch_all(&pool)
        .await
        .unwrap();
        titles
    };
    assert_eq!(found().await, ["The early pelican."]);

    let release = list.attribute("form[action$='/release']", "action").remove(0);
    assert_eq!(rob.submit("/account", &release, &[]).await.status, 403);
    let mut eve = stage.signed_in(&stage.eve).await;
    let own = release.replace("/t/acme/", "/t/other/");
    assert_eq!(eve.submit("/account", &own, &[]).await.status, 404);
    let done = ada.submit(path, &release, &[]).await;
    assert_eq!(done.location(), "/t/acme/documents?notice=document-released");
    assert_eq!(stage.events(stage.acme.id).await.last().unwrap(), "document.released");
    assert_eq!(found().await, ["The early pelican.", "The late pelican."]);
    let weights: Vec<f64> =
        sqlx::query_scalar("select terms <#> term_vector('pelican', 'english') from chunk_index")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(weights[0], weights[1], "weighed as if it had never waited");
    assert_eq!(rob.get(path).await.select("tbody th a").len(), 2);
    assert_eq!(ada.submit(path, &release, &[]).await.status, 404, "it waits no more");

    // What has changed waits again.
    add(&mut ada, "early.txt", "The early pelican, and more.").await;
    assert_eq!(found().await, ["The late pelican."]);
}
