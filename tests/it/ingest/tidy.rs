//! What is kept of a file, and for how long.

use callslip::documents;
use sqlx::PgPool;
use time::Duration;

use super::{Queue, Rows, text};

async fn parts(pool: &PgPool) -> i64 {
    sqlx::query_scalar!(r#"select count(*) as "parts!" from original_parts"#)
        .fetch_one(pool)
        .await
        .unwrap()
}

async fn jobs(pool: &PgPool) -> i64 {
    sqlx::query_scalar!(r#"select count(*) as "jobs!" from ingest_jobs"#)
        .fetch_one(pool)
        .await
        .unwrap()
}

/// The bytes are kept with the document, as they were sent, and go with it.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_bytes_are_the_documents(pool: PgPool) {
    let queue = Queue::new(&pool).await;
    let bytes = "A pelican, again and again. ".repeat(90_000);
    let job = queue.send("long.txt", bytes.as_bytes()).await;
    queue.app.drain_ingest().await;
    let document = queue.job(job).await.document().unwrap();
    let kept = sqlx::query!(
        r#"select string_agg(body, ''::bytea order by part) = $2 as "same!", count(*) as "parts!",
                  max(length(body)) as "most!"
             from documents document
             join original_parts using (tenant_id, original_id)
            where document.id = $1"#,
        document.uuid(),
        bytes.as_bytes(),
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert!(kept.same && kept.parts == 3 && kept.most == 1 << 20, "{kept:?}");

    // Another version takes its place, and the former one keeps its own.
    queue.send("long.txt", b"A heron instead.").await;
    queue.app.drain_ingest().await;
    assert_eq!((parts(&pool).await, queue.rows().await.originals), (4, 2));

    let mut tx = queue.app.db().tenant(queue.scope).await.unwrap();
    documents::store::delete(&mut tx, document).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    assert_eq!(queue.rows().await, Rows::default());
    assert_eq!((parts(&pool).await, jobs(&pool).await), (0, 0));
}

/// A week after, a job is forgotten, and its document stays; what was cancelled goes after a day,
/// and what failed with its bytes.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_is_over_is_forgotten_in_its_time(pool: PgPool) {
    let queue = Queue::new(&pool).await;
    let app = &queue.app;
    queue.send("done.txt", text("done").as_bytes()).await;
    queue.send("bad.html", b"<html><script>x</script></html>").await;
    app.drain_ingest().await;
    let cancelled = queue.send("cancelled.txt", b"Never mind.").await;
    assert!(queue.cancel(cancelled).await);
    let waits = queue.send("waits.txt", b"Waiting.").await;
    // Nothing refers to this one.
    sqlx::query!(
        "insert into originals (tenant_id, id, vector_store_id, file_name, media_type, content_hash,
                                byte_size, created_at)
         values ($1, uuidv7(), $2, 'lost.txt', 'text/plain', sha256('x'), 1, $3)",
        queue.scope.tenant_id().uuid(),
        queue.store.uuid(),
        app.clock.now(),
    )
    .execute(&pool)
    .await
    .unwrap();
    for (hours, kept, originals) in [(23, 4, 4), (2, 3, 3), (6 * 24 - 2, 3, 3), (24, 1, 2)] {
        app.clock.advance(Duration::hours(hours));
        app.app.forget(app.db(), &app.clock).await.unwrap();
        assert_eq!((jobs(&pool).await, queue.rows().await.originals), (kept, originals), "{hours}");
    }
    app.drain_ingest().await;
    assert!(queue.job(waits).await.document().is_some());
    assert_eq!(queue.rows().await.documents, 2);
}

/// A store that is removed takes what waits for it along, and a worker that is at it finds nothing.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_store_takes_its_files_along(pool: PgPool) {
    let queue = Queue::new(&pool).await;
    queue.send("done.txt", text("done").as_bytes()).await;
    queue.app.drain_ingest().await;
    queue.send("waits.txt", text("waits").as_bytes()).await;
    let worker = queue.app.worker();
    let claim = worker.claim().await.unwrap().unwrap();
    assert!(worker.step(&claim).await.unwrap());
    let mut tx = queue.app.db().tenant(queue.scope).await.unwrap();
    assert!(callslip::vector_stores::store::delete(&mut tx, queue.store).await.unwrap());
    tx.commit().await.unwrap();
    assert!(!worker.step(&claim).await.unwrap());
    assert_eq!(queue.rows().await, Rows::default());
    let totals = sqlx::query!("select documents, bytes from document_totals");
    let totals = totals.fetch_one(&pool).await.unwrap();
    assert_eq!((totals.documents, totals.bytes), (0, 0));
}
