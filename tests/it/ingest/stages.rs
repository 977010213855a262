//! Workers die at any moment, and nothing is lost, doubled or half there.

use std::time::Duration;

use callslip::documents::ingest::Stage;
use sqlx::PgPool;
use time::Duration as Time;

use super::{Queue, Rows, text};
use crate::support::{TestApp, model_folder};

const STAGES: [Stage; 4] = [Stage::Received, Stage::Extracted, Stage::Chunked, Stage::Embedded];

/// Whichever stage a worker dies in, nobody sees anything of the file, nobody else touches it until
/// the lease is over, and then another worker goes on from that stage.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn whichever_stage_a_worker_dies_in_another_goes_on(pool: PgPool) {
    let queue = Queue::new(&pool).await;
    for (steps, stage) in (0_i64..).zip(STAGES) {
        let job = queue.send(&format!("{steps}.txt"), text(&steps.to_string()).as_bytes()).await;
        let before = queue.rows().await;
        let dead = queue.app.worker();
        let claim = dead.claim().await.unwrap().unwrap();
        for _ in 0..steps {
            assert!(dead.step(&claim).await.unwrap());
        }
        assert_eq!(queue.job(job).await.stage, stage);
        let now = queue.rows().await;
        assert_eq!(Rows { staged: 0, ..now }, Rows { staged: 0, ..before }, "{stage:?}");

        let fresh = queue.app.worker();
        assert!(!fresh.run_one().await.unwrap(), "it is leased");
        queue.app.clock.advance(Time::seconds(31));
        assert!(fresh.run_one().await.unwrap());
        let done = queue.job(job).await;
        assert_eq!((done.stage, done.report.added), (Stage::Published, 1), "{done:?}");
        let after = queue.rows().await;
        assert_eq!((after.documents, after.texts, after.staged), (steps + 1, steps + 1, 0));
        assert_eq!(after.originals, steps + 1);
        assert!(after.chunks > before.chunks && after.chunks == after.indexed, "{after:?}");

        // It was only asleep.
        assert!(!dead.step(&claim).await.unwrap());
        assert_eq!(queue.rows().await, after);
    }
}

/// A worker that is cut off at any moment leaves a file that becomes one whole document in the end.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_worker_cut_off_at_any_moment_leaves_no_trace(pool: PgPool) {
    let queue = Queue::new(&pool).await;
    let mut cut = 0;
    for round in 0..8_i64 {
        let job = queue.send(&format!("{round}.md"), text(&round.to_string()).as_bytes()).await;
        let mut pause = round.unsigned_abs();
        while !queue.job(job).await.stage.is_end() {
            let worker = queue.app.worker();
            let task = tokio::spawn(async move { worker.run_one().await });
            tokio::time::sleep(Duration::from_millis(pause)).await;
            // It gets further each time: ten that vanish over one stage are too many.
            pause = pause * 2 + 3;
            cut += u32::from(!task.is_finished());
            task.abort();
            let _ = task.await;
            queue.app.clock.advance(Time::seconds(31));
            let rows = queue.rows().await;
            assert!((round..=round + 1).contains(&rows.documents), "{rows:?}");
            assert_eq!((rows.texts, rows.indexed), (rows.documents, rows.chunks));
        }
        assert_eq!(queue.job(job).await.stage, Stage::Published);
    }
    assert!(cut > 8, "{cut} were cut off");
    assert_eq!(queue.rows().await.staged, 0);
    let whole = sqlx::query_scalar!(
        r#"select count(*) as "whole!" from document_texts where body ~ '^Begins.*Ends .\.$'"#
    );
    assert_eq!(whole.fetch_one(&pool).await.unwrap(), 8);
}

/// A worker whose job went to another while it read changes nothing any more, in any stage.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn what_a_stale_worker_writes_is_refused(pool: PgPool) {
    let queue = Queue::new(&pool).await;
    for (steps, stage) in STAGES.into_iter().enumerate() {
        let job = queue.send(&format!("{steps}.txt"), text(&steps.to_string()).as_bytes()).await;
        let stale = queue.app.worker();
        let claim = stale.claim().await.unwrap().unwrap();
        for _ in 0..steps {
            assert!(stale.step(&claim).await.unwrap());
        }
        let before = queue.rows().await;
        // It has begun, and waits to write: by then the job is somebody else's.
        let mut holder = pool.begin().await.unwrap();
        sqlx::query!("update ingest_jobs set fence = fence + 1 where id = $1", job.uuid())
            .execute(&mut *holder)
            .await
            .unwrap();
        let task = tokio::spawn(async move { stale.step(&claim).await });
        while waiting(&pool).await == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        holder.commit().await.unwrap();
        assert!(!task.await.unwrap().unwrap());
        assert_eq!(queue.job(job).await.stage, stage);
        assert_eq!(queue.rows().await, before, "{stage:?}");
        assert!(queue.cancel(job).await);
    }
    assert_eq!(queue.rows().await, Rows::default());
}

async fn waiting(pool: &PgPool) -> i64 {
    sqlx::query_scalar!(
        r#"select count(*) as "waiting!" from pg_stat_activity
            where wait_event_type = 'Lock' and datname = current_database()"#
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

/// What is embedded stays embedded: the next worker takes the next batch, and the count goes on.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn embedding_goes_on_where_it_stopped(pool: PgPool) {
    let app = TestApp::with(&pool, &[("CALLSLIP_MODEL_DIR", model_folder())]).await;
    let queue = Queue::of(app, "acme").await;
    let text: String = (0..40).map(|n| format!("# Part {n}\n\nCats, {n} of them.\n\n")).collect();
    let job = queue.send("cats.md", text.as_bytes()).await;
    let dead = queue.app.worker();
    let claim = dead.claim().await.unwrap().unwrap();
    for _ in 0..3 {
        assert!(dead.step(&claim).await.unwrap());
    }
    let half = queue.job(job).await;
    let total = half.chunks_total;
    assert!(half.stage == Stage::Chunked && total >= 40, "{half:?}");
    assert!(half.chunks_done > 0 && half.chunks_done < total, "{half:?}");
    queue.app.clock.advance(Time::seconds(31));
    queue.app.drain_ingest().await;
    let done = queue.job(job).await;
    assert_eq!((done.stage, done.chunks_done), (Stage::Published, total));
    let embedded = sqlx::query_scalar!(
        r#"select count(*) as "chunks!" from chunk_index where embedding is not null"#
    );
    assert_eq!(embedded.fetch_one(&pool).await.unwrap(), i64::from(total));
}

/// An archive that is begun again adds what is missing, and nothing twice.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_file_of_many_goes_on_too(pool: PgPool) {
    let queue = Queue::new(&pool).await;
    let lines: String =
        (0..60).map(|n| format!("{{\"_id\":\"{n}\",\"text\":\"Animal number {n}.\"}}\n")).collect();
    let job = queue.send("many.jsonl", lines.as_bytes()).await;
    let worker = queue.app.worker();
    let task = tokio::spawn(async move { worker.run_one().await });
    while queue.rows().await.documents < 10 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    task.abort();
    let _ = task.await;
    let there = queue.rows().await.documents;
    assert!((10..60).contains(&there), "{there}");
    queue.app.clock.advance(Time::seconds(31));
    // What the first one was at may hold the job for a moment longer.
    let done = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            queue.app.drain_ingest().await;
            let job = queue.job(job).await;
            if job.stage == Stage::Published {
                break job;
            }
        }
    });
    let done = done.await.expect("it is never done");
    assert_eq!((done.report.added + done.report.unchanged, done.report.failed.len()), (60, 0));
    let after = queue.rows().await;
    assert_eq!((after.documents, after.originals), (60, 60), "each line is kept by itself");
}
