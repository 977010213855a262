//! What people see of the queue.

use callslip::{documents::extract::Extractor, tenants::Role};
use sqlx::PgPool;

use super::{Queue, text};
use crate::support::{Answer, Browser};

const PAGE: &str = "/t/acme/documents/ingest";

/// Send a file with the form.
pub(super) async fn send(browser: &mut Browser, store: &str, name: &str, text: &str) -> Answer {
    browser.upload("/t/acme/documents", &[("store", store)], (name, text)).await
}

/// While it waits a file is shown as coming in, and can be cancelled; what failed says why, and can
/// be tried again or removed. Readers see none of it.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_file_is_shown_on_its_way(pool: PgPool) {
    let mut queue = Queue::new(&pool).await;
    let store = queue.store.to_string();
    let mut admin = queue.app.member("acme", "ada", Role::Admin).await.sign_in().await;
    let mut reader = queue.app.member("acme", "rob", Role::Reader).await.sign_in().await;
    assert!(admin.get(PAGE).await.text().contains("Nothing is on its way"));

    let sent = send(&mut admin, &store, "cats.txt", &text("cats")).await;
    assert_eq!(sent.location(), "/t/acme/documents?notice=received", "{}", sent.text());
    let page = admin.get("/t/acme/documents").await;
    assert_eq!(page.select("#coming-in tbody th bdi"), ["cats.txt"]);
    assert_eq!(page.select("#coming-in td .badge"), ["Waiting"]);
    assert_eq!(page.select("#coming-in[data-live]").len(), 1);
    let cancel = page.attribute("#coming-in form", "action").remove(0);
    assert!(reader.get("/t/acme/documents").await.select("#coming-in").is_empty());
    assert_eq!(reader.get(PAGE).await.status, 403);
    assert_eq!(reader.submit("/account", &cancel, &[]).await.status, 403);

    let done = admin.submit(PAGE, &cancel, &[]).await;
    assert_eq!(done.location(), "/t/acme/documents/ingest?notice=ingest-cancelled");
    assert_eq!(admin.get(PAGE).await.select("td .badge"), ["Cancelled"]);
    assert_eq!(admin.submit(PAGE, &cancel, &[]).await.status, 404);

    let good = queue.app.parts.extractor.clone();
    queue.app.parts.extractor = Extractor::new("/bin/false");
    send(&mut admin, &store, "dogs.txt", &text("dogs")).await;
    queue.app.drain_ingest().await;
    let page = admin.get("/t/acme/documents").await;
    assert_eq!(page.select("#coming-in td .badge"), ["Not added"]);
    let why = page.select("#coming-in th .sub").remove(0);
    assert_eq!(why, "The file makes its reader fail: it may be damaged.");
    assert!(page.select("#coming-in[data-live]").is_empty());
    let retry = page.attribute("#coming-in form", "action").remove(0);
    let done = admin.submit(PAGE, &retry, &[]).await;
    assert_eq!(done.location(), "/t/acme/documents/ingest?notice=ingest-retried");
    queue.app.parts.extractor = good;
    queue.app.drain_ingest().await;
    assert_eq!(admin.get(PAGE).await.select("td .badge"), ["Added", "Cancelled"]);
    assert!(admin.get("/t/acme/documents").await.select("#coming-in").is_empty());
    let events = queue.events().await;
    assert!(events.contains(&"ingest.cancelled".to_owned()), "{events:?}");
}

/// Where workers run, a small file is in the list by the time that the answer comes, and a reason
/// with it.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_small_file_is_there_with_the_answer(pool: PgPool) {
    let queue = Queue::new(&pool).await;
    let store = queue.store.to_string();
    let running = queue.app.worker().start();
    let mut admin = queue.app.member("acme", "ada", Role::Admin).await.sign_in().await;
    let sent = send(&mut admin, &store, "cats.txt", "About cats.").await;
    assert_eq!(sent.location(), "/t/acme/documents?notice=uploaded", "{}", sent.text());
    assert_eq!(admin.get("/t/acme/documents").await.select("tbody th a"), ["About cats."]);
    let sent = send(&mut admin, &store, "none.html", "<html><script>x</script></html>").await;
    assert_eq!(sent.status, 422);
    assert_eq!(
        sent.select("[role=alert] li"),
        ["none.html: 0 characters from the page: it has no text that a reader sees"]
    );
    running.stop().await;
}
