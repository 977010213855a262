//! Whoever is first, there is one.

use callslip::{documents::ingest::Stage, ids::IngestId};
use sqlx::PgPool;
use tokio::task::JoinSet;

use super::{Queue, text};
use crate::support::file;

/// Of many workers, on two nodes, one gets a job.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_job_is_one_workers(pool: PgPool) {
    let queue = Queue::new(&pool).await;
    let twin = queue.app.twin().await;
    for round in 0..5 {
        queue.send(&format!("{round}.txt"), text("a").as_bytes()).await;
        let mut race = JoinSet::new();
        for worker in [queue.app.worker(), twin.worker()].into_iter().cycle().take(10) {
            race.spawn(async move { worker.claim().await.unwrap().map(|claim| claim.job()) });
        }
        let claimed: Vec<IngestId> = race.join_all().await.into_iter().flatten().collect();
        assert_eq!(claimed.len(), 1, "round {round}");
        assert!(queue.cancel(claimed[0]).await);
    }
}

/// A file is cancelled or published, and never both or neither.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_file_is_cancelled_or_published(pool: PgPool) {
    let queue = Queue::new(&pool).await;
    let (mut cancelled, mut published) = (0, 0);
    for round in 0..20_u64 {
        let name = format!("{round}.txt");
        let job = queue.send(&name, text(&name).as_bytes()).await;
        let worker = queue.app.worker();
        let claim = worker.claim().await.unwrap().unwrap();
        for _ in 0..3 {
            assert!(worker.step(&claim).await.unwrap());
        }
        let publishing = tokio::spawn(async move { worker.step(&claim).await });
        tokio::time::sleep(std::time::Duration::from_micros(round * 700)).await;
        let won = queue.cancel(job).await;
        publishing.await.unwrap().unwrap();
        let stage = queue.job(job).await.stage;
        assert_eq!(stage, if won { Stage::Cancelled } else { Stage::Published });
        cancelled += i64::from(won);
        published += i64::from(!won);
        let rows = queue.rows().await;
        assert_eq!((rows.documents, rows.originals, rows.staged), (published, published, 0));
    }
    assert_eq!(cancelled + published, 20);
}

/// [U-08] The same bytes, sent many times at once under two names, are one document with one
/// original; sent again later they are too, and in another tenant they are another one, answered
/// in the same words.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_same_bytes_are_one_document(pool: PgPool) {
    let queue = Queue::new(&pool).await;
    let mut race = JoinSet::new();
    for n in 0..8 {
        let queue = queue.clone();
        race.spawn(async move {
            let upload = file(["a.txt", "b.txt"][n % 2], text("same").as_bytes());
            queue.app.ingest(queue.scope, queue.store, upload).await
        });
    }
    let reports = race.join_all().await;
    assert_eq!(reports.iter().map(|report| report.added).sum::<u64>(), 1, "{reports:?}");
    assert!(reports.iter().all(|report| report.failed.is_empty() && report.updated == 0));
    assert!(reports.iter().all(|report| report.last == reports[0].last));
    let rows = queue.rows().await;
    assert_eq!((rows.documents, rows.originals, rows.staged), (1, 1, 0));

    let again = queue.app.ingest(queue.scope, queue.store, file("c.txt", text("same").as_bytes()));
    assert_eq!(again.await.unchanged, 1);
    let other = Queue::of(queue.app.clone(), "zeta").await;
    let copied = other.app.ingest(other.scope, other.store, file("a.txt", text("same").as_bytes()));
    let copied = copied.await;
    assert_eq!((copied.added, copied.unchanged), (1, 0));
    assert_ne!(copied.last, reports[0].last);
}

/// Of two files of one name the later one stays, however many workers there are.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_last_file_of_a_name_stays(pool: PgPool) {
    let queue = Queue::new(&pool).await;
    for version in 0..6 {
        queue.send("rules.txt", format!("Version {version} of the rules.").as_bytes()).await;
    }
    let mut race = JoinSet::new();
    for _ in 0..3 {
        let app = queue.app.clone();
        race.spawn(async move {
            for _ in 0..40 {
                app.worker().run_one().await.unwrap();
            }
        });
    }
    race.join_all().await;
    queue.app.drain_ingest().await;
    let body = sqlx::query_scalar!("select body from document_texts");
    assert_eq!(body.fetch_one(&pool).await.unwrap(), "Version 5 of the rules.");
    let rows = queue.rows().await;
    assert_eq!((rows.documents, rows.originals), (1, 6), "the former versions keep theirs");
}
