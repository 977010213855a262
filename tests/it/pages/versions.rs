//! The document page: its original to save, and what it said before.
#![expect(clippy::disallowed_methods, reason = "looks behind the application's back")]

use callslip::{ids::VectorStoreId, tenants::Role};
use sqlx::PgPool;
use uuid::Uuid;

use super::stage::assert_absent;
use crate::support::TestApp;

/// The page of the only document.
async fn page_of(app: &TestApp, store: VectorStoreId) -> String {
    let id: Uuid = sqlx::query_scalar("select id from documents where vector_store_id = $1")
        .bind(store.uuid())
        .fetch_one(&app.pool)
        .await
        .unwrap();
    let reference = callslip::search::Reference {
        store,
        document: callslip::search::Target::Builtin { document: id.into(), chunk: u32::MAX },
    };
    format!("/d/{reference}")
}

/// What is kept, counted as the limit counts it and as it lies there.
async fn kept(app: &TestApp) -> (i64, i64) {
    sqlx::query_as(
        "select (select bytes from document_totals)::bigint,
                ((select coalesce(sum(byte_size), 0) from documents)
               + (select coalesce(sum(byte_size), 0) from document_versions))::bigint",
    )
    .fetch_one(&app.pool)
    .await
    .unwrap()
}

/// [W-09] What was uploaded leaves as bytes to be saved and nothing else, to whoever may read it.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn an_original_is_saved_and_never_shown(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let store = app.store("acme", "Books").await;
    let mut ada = app.member("acme", "ada", Role::Admin).await.sign_in().await;
    let mut rob = app.member("acme", "rob", Role::Reader).await.sign_in().await;
    let mut eve = app.member("other", "eve", Role::Owner).await.sign_in().await;
    let html = "<!doctype html><title>Cats</title><script>alert(1)</script><p>Cats purr.";
    app.document("acme", store, "Überblick; \"x\".html", html).await;
    let page = page_of(&app, store).await;
    let original = format!("{page}/original");
    assert!(rob.get(&page).await.attribute("a", "href").contains(&original));
    for browser in [&mut ada, &mut rob] {
        let saved = browser.get(&original).await;
        assert_eq!((saved.status.as_u16(), saved.text().as_str()), (200, html));
        assert_eq!(saved.header("content-type"), "application/octet-stream");
        assert_eq!(
            saved.header("content-disposition"),
            "attachment; filename=\"_berblick; _x_.html\"; \
             filename*=UTF-8''%C3%9Cberblick%3B%20%22x%22.html"
        );
        assert_eq!(saved.header("content-security-policy").split(';').next(), Some("sandbox"));
        assert_eq!(saved.header("x-content-type-options"), "nosniff");
        assert_eq!(saved.header("cross-origin-resource-policy"), "same-origin");
        assert_eq!(saved.header("cache-control"), "no-store");
        assert_eq!(saved.header("content-length"), html.len().to_string());
    }
    assert_absent(&eve.get(&original).await);
    assert!(app.browser().get(&original).await.location().starts_with("/sign-in"));
    assert_absent(&rob.get(&format!("{original}?version=1")).await);
    assert_absent(&rob.get(&format!("{original}?version=x")).await);
    // What waits for an admin is not for readers.
    sqlx::query("update documents set held_at = now()").execute(&pool).await.unwrap();
    assert_absent(&rob.get(&original).await);
    assert_eq!(ada.get(&original).await.status, 200);
}

/// A line of a file is a document with an original and former versions of its own.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_json_line_is_saved_and_restored(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let store = app.store("acme", "Books").await;
    let mut ada = app.member("acme", "ada", Role::Admin).await.sign_in().await;
    let first = r#"{"_id": "7", "title": "Cats", "text": "First they sleep."}"#;
    let then = r#"{"_id": "7", "title": "Cats", "text": "Then they purr."}"#;
    for line in [first, then] {
        app.document("acme", store, "animals.jsonl", line).await;
    }
    let page = page_of(&app, store).await;
    let saved = ada.get(&format!("{page}/original")).await;
    assert_eq!(saved.text(), then);
    let named = saved.header("content-disposition");
    assert!(named.contains("7.jsonl"), "{named}");
    let done = ada.submit(&page, &format!("{page}/restore"), &[("version", "1")]).await;
    assert_eq!(done.status, 303, "{}", done.text());
    app.drain_ingest().await;
    assert!(ada.get(&page).await.text().contains("First they sleep."));
    assert_eq!(app.count("documents").await, 1);
    assert_eq!(ada.get(&format!("{page}/original")).await.text(), first);
}

/// What a document said before can be read, saved and restored, and goes when the document goes.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn former_versions_are_kept_and_restored(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let store = app.store("acme", "Books").await;
    let mut ada = app.member("acme", "ada", Role::Admin).await.sign_in().await;
    let mut rob = app.member("acme", "rob", Role::Reader).await.sign_in().await;
    app.document("acme", store, "cats.md", "# Cats\n\nFirst they sleep.").await;
    let page = page_of(&app, store).await;
    assert!(rob.get(&page).await.select("#versions").is_empty());
    app.document("acme", store, "cats.md", "# Cats again\n\nThen they purr.").await;

    let now = rob.get(&page).await;
    assert_eq!(now.select("h1"), ["Cats again"]);
    assert_eq!(now.select("#versions tbody tr").len(), 1);
    let before = rob.get(&format!("{page}?version=1")).await;
    assert!(before.select(".sheet-text")[0].contains("First they sleep."));
    assert!(before.select("[role=status]")[0].contains("version 1"), "{}", before.text());
    let saved = rob.get(&format!("{page}/original?version=1")).await;
    assert_eq!(saved.text(), "# Cats\n\nFirst they sleep.");
    assert_absent(&rob.get(&format!("{page}?version=2")).await);
    let (counted, lies_there) = kept(&app).await;
    assert_eq!(counted, lies_there);

    let restore = format!("{page}/restore");
    let refused = rob.submit("/account", &restore, &[("version", "1")]).await;
    assert_eq!(refused.status, 403);
    let done = ada.submit(&page, &restore, &[("version", "1")]).await;
    assert_eq!(done.status, 303, "{}", done.text());
    app.drain_ingest().await;
    let now = ada.get(&page).await;
    assert_eq!(
        (now.select("h1"), now.select("#versions tbody tr").len()),
        (vec!["Cats".into()], 2)
    );
    assert!(ada.get(&format!("{page}?version=2")).await.text().contains("Then they purr."));
    assert_absent(&ada.submit(&page, &restore, &[("version", "9")]).await);

    for number in 0..12 {
        let text = format!("# Cats\n\nThey dream of {number} mice.");
        app.document("acme", store, "cats.md", &text).await;
    }
    assert_eq!(rob.get(&page).await.select("#versions tbody tr").len(), 10);
    let (counted, lies_there) = kept(&app).await;
    assert_eq!(counted, lies_there);
    assert_eq!(app.count("originals").await, 11);

    let id: Uuid = sqlx::query_scalar("select id from documents").fetch_one(&pool).await.unwrap();
    let delete = format!("/t/acme/documents/{id}/delete");
    assert_eq!(ada.submit("/t/acme/documents", &delete, &[]).await.status, 303);
    for table in ["document_versions", "originals", "original_parts"] {
        assert_eq!(app.count(table).await, 0, "{table}");
    }
    assert_eq!(kept(&app).await, (0, 0));
}

/// A store takes its versions with it, and what is counted says so.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_store_takes_its_versions_with_it(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let store = app.store("acme", "Books").await;
    let other = app.store("acme", "Papers").await;
    for text in ["One heron.", "Two herons.", "Three herons."] {
        app.document("acme", store, "birds.txt", text).await;
    }
    app.document("acme", other, "stays.txt", "A stork.").await;
    let mut ada = app.member("acme", "ada", Role::Admin).await.sign_in().await;
    let delete = format!("/t/acme/vector-stores/{store}/delete");
    assert_eq!(ada.submit("/t/acme/vector-stores", &delete, &[]).await.status, 303);
    assert_eq!(app.count("document_versions").await, 0);
    assert_eq!(kept(&app).await, (8, 8));
}
