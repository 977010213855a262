//! Readers that crash, jobs that lie, and a database that is full.

use std::{fs, time::Duration};

use callslip::{documents::ingest::Stage, tenants::Role};
use sqlx::PgPool;

use super::{Queue, Rows, pages::send, reader, text};

/// [FX-05] A reader that hangs, runs out of memory or aborts is started twice; then the file has
/// failed, with a reason, and the others are read all the while.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_file_that_crashes_its_reader_fails_after_two_tries(pool: PgPool) {
    let mut queue = Queue::new(&pool).await;
    let good = queue.app.parts.extractor.clone();
    for (n, (deed, word)) in [
        ("exec sleep 600", "took longer"),
        ("kill -ABRT $$", "crash or run out of memory"),
        ("kill -SEGV $$", "crash or run out of memory"),
        ("kill -KILL $$", "too much processor time"),
        ("echo garbage", "reader fail"),
    ]
    .into_iter()
    .enumerate()
    {
        let folder = tempfile::tempdir().unwrap();
        // Only who sleeps is waited for, however slow this machine is.
        let wall = Duration::from_millis(if deed.contains("sleep") { 400 } else { 20_000 });
        queue.app.parts.extractor = reader(&folder, deed).within(wall);
        let job = queue.send(&format!("bad-{n}.txt"), text("bad").as_bytes()).await;
        assert!(queue.app.worker().run_one().await.unwrap());
        let waits = queue.job(job).await;
        assert_eq!((waits.stage, waits.attempts), (Stage::Received, 1), "{deed}: {waits:?}");

        // It waits before it is tried again, and another file does not wait for it.
        let other = queue.send(&format!("good-{n}.txt"), text(&n.to_string()).as_bytes()).await;
        queue.app.parts.extractor = good.clone();
        assert!(queue.app.worker().run_one().await.unwrap());
        assert_eq!(queue.job(other).await.stage, Stage::Published);
        assert!(!queue.app.worker().run_one().await.unwrap());

        queue.app.parts.extractor = reader(&folder, deed).within(wall);
        queue.app.drain_ingest().await;
        let failed = queue.job(job).await;
        assert_eq!((failed.stage, failed.attempts), (Stage::Failed, 2));
        let reason = failed.failure.unwrap();
        assert!(reason.contains(word), "{deed}: {reason}");
        assert_eq!(fs::read_to_string(folder.path().join("started")).unwrap(), "x\nx\n");
        assert!(queue.cancel(job).await);
    }
    let rows = queue.rows().await;
    assert_eq!((rows.documents, rows.originals, rows.staged), (5, 5, 0));
}

/// A file that is only unreadable is not tried again: its reason does not change.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_reason_that_does_not_pass_is_final(pool: PgPool) {
    let queue = Queue::new(&pool).await;
    let job = queue.send("empty.html", b"<html><body><script>x</script></body></html>").await;
    assert!(queue.app.worker().run_one().await.unwrap());
    let failed = queue.job(job).await;
    assert_eq!((failed.stage, failed.attempts), (Stage::Failed, 1), "{failed:?}");
    assert!(failed.failure.unwrap().contains("no text"));
}

/// [I-27] A job whose vector store, file or document is another tenant's, or another than it says,
/// is refused in every stage; nothing of it is read, and the tenant and the operator are told.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_job_that_does_not_fit_its_tenant_is_refused(pool: PgPool) {
    let queue = Queue::new(&pool).await;
    let other = Queue::of(queue.app.clone(), "zeta").await;
    other.send("theirs.txt", b"A secret pelican.").await;
    other.app.drain_ingest().await;
    let theirs = sqlx::query!(
        r#"select (select id from originals) as "original!",
                  (select id from documents) as "document!""#
    );
    let theirs = theirs.fetch_one(&pool).await.unwrap();
    let wrongs = [
        format!("vector_store_id = '{}'", other.store),
        format!("original_id = '{}'", theirs.original),
        format!("document_id = '{}'", theirs.document),
        "content_hash = sha256('other')".to_owned(),
        "byte_size = byte_size + 1".to_owned(),
    ];
    let before = other.rows().await;
    let mut refused = 0;
    for wrong in &wrongs {
        for steps in [0, 1, 3] {
            let job = queue.send("ours.txt", text(&format!("{wrong} {steps}")).as_bytes()).await;
            let worker = queue.app.worker();
            let claim = worker.claim().await.unwrap().unwrap();
            for _ in 0..steps {
                assert!(worker.step(&claim).await.unwrap());
            }
            // Only who owns the tables can do this: keys hold between them.
            let mut owner = pool.begin().await.unwrap();
            let set = format!("update ingest_jobs set {wrong} where id = '{job}'");
            for sql in ["set local session_replication_role = replica".to_owned(), set] {
                sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *owner).await.unwrap();
            }
            owner.commit().await.unwrap();
            assert!(!worker.step(&claim).await.unwrap());
            let failed = queue.job(job).await;
            assert_eq!(failed.stage, Stage::Failed, "{wrong} after {steps}");
            assert!(failed.failure.unwrap().contains("is not so"));
            refused += 1;
            assert!(queue.cancel(job).await);
        }
    }
    let told = queue.events().await.into_iter().filter(|kind| kind == "ingest.refused");
    assert_eq!(told.count(), refused);
    queue.app.app.problems.flush().await.unwrap();
    let seen = sqlx::query_scalar!("select seen from installation_problems where kind = 'ingest'");
    assert_eq!(seen.fetch_one(&pool).await.unwrap(), i64::try_from(refused).unwrap());
    let after = other.rows().await;
    assert_eq!((after.documents, after.chunks), (before.documents, before.chunks));
}

/// Where the disk is full, what is sent is answered with 503 and what is read waits; nothing is
/// there by half, and when there is room again everything goes on by itself.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_full_disk_leaves_nothing_by_half_and_heals(pool: PgPool) {
    let queue = Queue::new(&pool).await;
    let full = "create function full_disk() returns trigger language plpgsql as
                  $$ begin raise exception 'no space left' using errcode = '53100'; end $$";
    sqlx::raw_sql(full).execute(&pool).await.unwrap();
    let fill = async |table: &str| {
        let sql = format!(
            "create trigger full_disk before insert on {table} for each row execute function full_disk()"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&pool).await.unwrap();
    };
    let free = async |table: &str| {
        let sql = format!("drop trigger full_disk on {table}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&pool).await.unwrap();
    };
    let mut admin = queue.app.member("acme", "ada", Role::Admin).await.sign_in().await;
    let store = queue.store.to_string();
    for table in ["originals", "original_parts", "ingest_jobs"] {
        fill(table).await;
        let sent = send(&mut admin, &store, "a.txt", "A heron.").await;
        assert_eq!(sent.status, 503, "{table}: {}", sent.text());
        assert_eq!(queue.rows().await, Rows::default(), "{table}");
        free(table).await;
    }
    let sent = send(&mut admin, &store, "a.txt", "A heron.").await;
    assert_eq!(sent.status, 303, "{}", sent.text());
    for table in ["ingest_texts", "ingest_chunks", "documents", "document_texts", "chunks"] {
        fill(table).await;
        // More often than a fault of ours may happen.
        for _ in 0..5 {
            queue.app.worker().run_one().await.unwrap();
            let rows = queue.rows().await;
            assert_eq!(Rows { staged: 0, ..rows }, Rows { originals: 1, ..Rows::default() });
            queue.app.clock.advance(time::Duration::minutes(5));
        }
        free(table).await;
    }
    queue.app.drain_ingest().await;
    let rows = queue.rows().await;
    assert_eq!((rows.documents, rows.chunks, rows.indexed, rows.staged), (1, 1, 1, 0));
}
