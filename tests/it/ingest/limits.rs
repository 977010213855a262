//! How much a tenant may send.

use std::convert::Infallible;

use axum::{body::Body, http::header};
use callslip::{documents::enqueue, tenants::Role};
use futures_util::stream;
use sqlx::PgPool;
use tokio::task::JoinSet;

use super::{Queue, text};
use crate::support::{Browser, file};

async fn totals(pool: &PgPool, documents: i64, bytes: i64) {
    sqlx::query!("update document_totals set documents = $1, bytes = $2", documents, bytes)
        .execute(pool)
        .await
        .unwrap();
}

/// Of many files sent at the same moment, as many are taken as there is room for, in files and in
/// bytes; what was taken has its room when it is read, and gives it back when it is cancelled.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn files_at_the_same_moment_do_not_overrun_the_limits(pool: PgPool) {
    let queue = Queue::new(&pool).await;
    queue.send("first.txt", text("first").as_bytes()).await;
    queue.app.drain_ingest().await;
    let gib = 1_i64 << 30;
    for (documents, bytes, room) in [(9_997, 0, 3), (1, 2 * gib - 50, 5), (10_000, 0, 0)] {
        totals(&pool, documents, bytes).await;
        let mut race = JoinSet::new();
        for n in 0..12 {
            let importer = queue.app.parts.importer();
            let upload = file(&format!("{n}.txt"), format!("{documents:<9}").as_bytes());
            let (scope, store) = (queue.scope, queue.store);
            race.spawn(async move { enqueue(&importer, scope, store, upload).await.unwrap() });
        }
        let (taken, refused): (Vec<_>, Vec<_>) =
            race.join_all().await.into_iter().partition(Result::is_ok);
        assert_eq!(taken.len(), room, "{documents} {bytes}");
        assert!(
            refused.iter().all(|failure| failure.as_ref().unwrap_err().reason.contains("full"))
        );
        for job in taken {
            assert!(queue.cancel(job.unwrap()).await);
        }
    }
}

/// The count follows what comes, changes and goes, whoever does it.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_count_follows_the_documents(pool: PgPool) {
    let queue = Queue::new(&pool).await;
    let counted = async || {
        let row = sqlx::query!(
            r#"select coalesce(sum(total.documents), 0)::bigint as "counted!",
                      coalesce(sum(bytes), 0)::bigint as "bytes!",
                      (select count(*) from documents) as "documents!",
                      (select coalesce(sum(byte_size), 0)::bigint
                         from (select byte_size from documents
                               union all select byte_size from document_versions)) as "sum!"
                 from document_totals total"#
        );
        let row = row.fetch_one(&pool).await.unwrap();
        assert_eq!((row.counted, row.bytes), (row.documents, row.sum));
        row.documents
    };
    queue.send("a.txt", b"A.").await;
    queue.send("many.jsonl", b"{\"_id\":1,\"text\":\"One.\"}\n{\"_id\":2,\"text\":\"Two.\"}").await;
    queue.app.drain_ingest().await;
    assert_eq!(counted().await, 3);
    queue.send("a.txt", b"A, but longer than it was.").await;
    queue.app.drain_ingest().await;
    assert_eq!(counted().await, 3);
    let mut tx = queue.app.db().tenant(queue.scope).await.unwrap();
    let list = callslip::documents::store::list(&mut tx, queue.store, Default::default(), 0, 9);
    let list = list.await.unwrap();
    callslip::documents::store::delete(&mut tx, list.documents[0].id).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    assert_eq!(counted().await, 2);
    let mut tx = queue.app.db().tenant(queue.scope).await.unwrap();
    assert!(callslip::vector_stores::store::delete(&mut tx, queue.store).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(counted().await, 0);
}

async fn form(browser: &mut Browser, body: Body) -> u16 {
    let request = axum::http::Request::post("/t/acme/documents")
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=cut")
        .header("sec-fetch-site", "same-origin")
        .body(body)
        .unwrap();
    browser.send(request).await.status.as_u16()
}

/// A form of ten thousand parts, and one whose headers never end, are refused and leave nothing.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_form_without_end_is_refused(pool: PgPool) {
    let queue = Queue::new(&pool).await;
    let mut admin = queue.app.member("acme", "ada", Role::Admin).await.sign_in().await;
    let token = admin.get("/t/acme/documents").await.csrf_token();
    let part = "--cut\r\ncontent-disposition: form-data; name=";
    let head = format!(
        "{part}\"csrf_token\"\r\n\r\n{token}\r\n{part}\"store\"\r\n\r\n{}\r\n",
        queue.store
    );
    let many = format!("{head}{}--cut--\r\n", format!("{part}\"x\"\r\n\r\ny\r\n").repeat(10_000));
    assert_eq!(form(&mut admin, Body::from(many)).await, 400);

    let first = format!("{head}{part}\"file\"\r\n");
    let more = std::iter::repeat_with(|| format!("x-more: {}\r\n", "a".repeat(8_000)));
    let endless = stream::iter(std::iter::once(first).chain(more).map(Ok::<_, Infallible>));
    assert_eq!(form(&mut admin, Body::from_stream(endless)).await, 400);
    assert_eq!(queue.rows().await, super::Rows::default());
}
