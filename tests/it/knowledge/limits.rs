//! Large and odd things: they are taken or refused, and hold nobody up.

use std::time::Duration;

use sqlx::PgPool;

use super::Shelf;

/// A file of headings alone, five bytes each, is read in one pass and apart from other work.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_file_of_headings_holds_nobody_up(pool: PgPool) {
    let shelf = Shelf::new(&pool).await;
    let text = "# a\n".repeat(100_000);
    let mut others = 0;
    let upload = shelf.upload("headings.md", text.as_bytes());
    tokio::pin!(upload);
    let report = loop {
        tokio::select! {
            report = &mut upload => break report,
            () = tokio::time::sleep(Duration::from_millis(20)) => others += 1,
        }
    };
    assert_eq!((report.added, report.failed.len()), (1, 0), "{report:?}");
    assert!(others > 3, "others had {others} turns");
}
