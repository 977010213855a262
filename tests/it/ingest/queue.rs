//! Whose turn it is, and what people can do about a file that waits or failed.

use callslip::documents::{extract::Extractor, ingest::Stage};
use sqlx::PgPool;
use time::Duration;

use super::{Queue, Rows, reader, text};

/// One tenant's five hundred files leave a place for another tenant's one, and it is taken next.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_tenant_with_many_files_waits_for_one_with_few(pool: PgPool) {
    let many = Queue::new(&pool).await;
    let few = Queue::of(many.app.clone(), "zeta").await;
    let first = many.send("first.txt", b"First.").await;
    sqlx::query!(
        "insert into ingest_jobs (tenant_id, id, vector_store_id, source_key, source_number,
                                  file_name, media_type, content_hash, byte_size, run_after,
                                  created_at, updated_at)
         select tenant_id, uuidv7(), vector_store_id, 'upload:' || n, n, n || '.txt', media_type,
                content_hash, byte_size, run_after, created_at, updated_at
           from ingest_jobs cross join generate_series(1, 499) n"
    )
    .execute(&pool)
    .await
    .unwrap();
    let worker = many.app.worker();
    let one = worker.claim().await.unwrap().unwrap();
    assert_eq!(one.job(), first);
    let two = worker.claim().await.unwrap().unwrap();
    assert!(many.app.job(many.scope, two.job()).await.is_some());
    assert!(worker.claim().await.unwrap().is_none(), "a tenant has two at a time");

    let other = few.send("only.txt", b"Only this.").await;
    assert_eq!(worker.claim().await.unwrap().unwrap().job(), other);
    // Both wait again: who was served longer ago is next, whoever has more.
    assert!(few.cancel(other).await && many.cancel(one.job()).await);
    many.app.clock.advance(Duration::seconds(1));
    let third = few.send("third.txt", b"The third.").await;
    let next = worker.claim().await.unwrap().unwrap();
    assert_eq!(next.job(), third, "it has none at work");
    assert!(few.cancel(third).await && many.cancel(two.job()).await);
    many.app.clock.advance(Duration::seconds(1));
    few.send("fourth.txt", b"The fourth.").await;
    let next = worker.claim().await.unwrap().unwrap();
    assert!(many.app.job(many.scope, next.job()).await.is_some(), "the other was served last");
}

/// What waits can be cancelled, and then nothing of it is left; what is a document cannot.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_cancelled_file_leaves_nothing(pool: PgPool) {
    let queue = Queue::new(&pool).await;
    for steps in 0..4 {
        let job = queue.send(&format!("{steps}.txt"), text("a").as_bytes()).await;
        let worker = queue.app.worker();
        let claim = worker.claim().await.unwrap().unwrap();
        for _ in 0..steps {
            assert!(worker.step(&claim).await.unwrap());
        }
        assert!(queue.cancel(job).await);
        assert!(!queue.cancel(job).await && !queue.retry(job).await);
        assert!(!worker.step(&claim).await.unwrap());
        assert_eq!(queue.job(job).await.stage, Stage::Cancelled);
        assert_eq!(queue.rows().await, Rows::default());
    }
    let done = queue.send("done.txt", b"Done.").await;
    queue.app.drain_ingest().await;
    assert!(!queue.cancel(done).await);
    assert_eq!(queue.rows().await.documents, 1);
    let cancelled = queue.events().await.into_iter().filter(|kind| kind == "ingest.cancelled");
    assert_eq!(cancelled.count(), 4);
}

/// What failed keeps its bytes, and is read when somebody says so.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_failed_file_can_be_tried_again(pool: PgPool) {
    let mut queue = Queue::new(&pool).await;
    let good = queue.app.parts.extractor.clone();
    queue.app.parts.extractor = Extractor::new("/bin/false");
    let job = queue.send("a.txt", b"A heron.").await;
    queue.app.drain_ingest().await;
    let failed = queue.job(job).await;
    assert_eq!((failed.stage, failed.attempts), (Stage::Failed, 2), "{failed:?}");
    let reason = failed.failure.unwrap();
    assert!(reason.contains("reader fail"), "{reason}");
    assert_eq!(queue.rows().await, Rows { originals: 1, ..Rows::default() });

    queue.app.parts.extractor = good;
    assert!(queue.retry(job).await && !queue.retry(job).await);
    queue.app.drain_ingest().await;
    let done = queue.job(job).await;
    assert_eq!((done.stage, done.failure), (Stage::Published, None));
    let events = queue.events().await;
    assert!(events.contains(&"ingest.retried".to_owned()), "{events:?}");
}

/// A worker that is told to stop gives back what it works at: another begins at once.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_worker_that_stops_gives_its_file_back(pool: PgPool) {
    let mut queue = Queue::new(&pool).await;
    let good = queue.app.parts.extractor.clone();
    let folder = tempfile::tempdir().unwrap();
    queue.app.parts.extractor = reader(&folder, "exec sleep 600");
    let running = queue.app.worker().start();
    let job = queue.send("a.txt", b"A heron.").await;
    while !queue.job(job).await.is_running {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    running.stop().await;
    let given = queue.job(job).await;
    assert!(!given.is_running && given.stage == Stage::Received, "{given:?}");
    queue.app.parts.extractor = good;
    assert!(queue.app.worker().run_one().await.unwrap());
    assert_eq!(queue.job(job).await.stage, Stage::Published);
}

/// Workers that run hear of a file at once.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_running_worker_hears_of_a_file(pool: PgPool) {
    let queue = Queue::new(&pool).await;
    let running = queue.app.worker().start();
    let bell = queue.app.parts.importer().bell;
    for name in ["a.txt", "b.txt"] {
        let job = queue.send(name, text(name).as_bytes()).await;
        let patience = std::time::Duration::from_secs(20);
        let ended = bell.ended(queue.app.db(), queue.scope, &[job], patience).await.unwrap();
        assert_eq!(ended[0].stage, Stage::Published);
    }
    running.stop().await;
}
