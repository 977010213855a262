//! `callslip ingest`, as an operator types it.

use callslip::documents::{extract::Extractor, ingest::Stage};
use sqlx::PgPool;

use super::Queue;
use crate::support::Terminal;

/// It lists what is on its way with its reason, and has a file tried again or forgotten.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_queue_is_seen_and_changed_at_the_terminal(pool: PgPool) {
    let (mut queue, terminal) = (Queue::new(&pool).await, Terminal::new(&pool));
    let list = "ingest --tenant acme";
    assert_eq!(terminal.stdout(list, "", ""), "nothing is on its way");
    queue.app.parts.extractor = Extractor::new("/bin/false");
    let failed = queue.send("bad.txt", b"Bad.").await;
    queue.app.drain_ingest().await;
    let waits = queue.send("waits.txt", b"Waits.").await;
    let listed = terminal.stdout(list, "", "");
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 3, "{listed}");
    assert!(lines[0].starts_with(&format!("{waits}  received   waits")), "{listed}");
    assert!(lines[0].ends_with("waits.txt") && lines[1].ends_with("bad.txt"), "{listed}");
    assert!(lines[1].starts_with(&format!("{failed}  failed")), "{listed}");
    assert!(lines[2].trim().starts_with("bad.txt: the file makes its reader fail"), "{listed}");

    assert!(terminal.refusal(&format!("{list} --retry {waits}"), "", "").contains("has failed"));
    terminal.stdout(&format!("{list} --retry {failed}"), "", "");
    assert_eq!(queue.job(failed).await.stage, Stage::Received);
    terminal.stdout(&format!("{list} --cancel {failed}"), "", "");
    terminal.stdout(&format!("{list} --cancel {waits}"), "", "");
    assert!(terminal.refusal(&format!("{list} --cancel {waits}"), "", "").contains("no file"));
    assert_eq!(terminal.stdout(list, "", ""), "nothing is on its way");
    assert_eq!(terminal.stdout(&format!("{list} --all"), "", "").lines().count(), 2);
    assert_eq!(queue.rows().await, super::Rows::default());
}
