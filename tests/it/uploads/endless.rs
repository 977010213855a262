//! Forms that have no end.

use sqlx::PgPool;
use tokio::io::AsyncWriteExt;

use super::{Desk, Door, Said, Sending};

const PART: &str = "--cut\r\ncontent-disposition: form-data; name=";

/// Send this again and again, until the way is closed or so much was sent; the answer.
async fn pour(mut sending: Sending, again: &str) -> (Said, usize) {
    let mut sent = 0;
    while sent < 24 << 20 {
        let chunk = format!("{:x}\r\n{again}\r\n", again.len());
        if sending.socket.write_all(chunk.as_bytes()).await.is_err() {
            break;
        }
        sent += again.len();
    }
    (sending.answer().await, sent)
}

/// [U-01] A form of ten thousand parts, and one whose headers never end, are answered 400 at every
/// door that takes forms, soon, and leave nothing but what was whole before.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_form_without_end_is_refused(pool: PgPool) {
    let desk = Desk::set(&pool).await;
    for door in [Door::Page, Door::Script, Door::ApiForm] {
        let (_, before, _) = desk.frame(door, "a.txt", 0);
        // Behind the file and before it; then a file of which the headers go on.
        let parts = format!("{PART}\"x\"\r\n\r\ny\r\n");
        let begun = before.split(&format!("{PART}\"file\"")).next().unwrap().to_owned();
        let forms = [
            (format!("{before}Text.\r\n{}", parts.repeat(10_000)), ""),
            (format!("{begun}{}", parts.repeat(10_000)), ""),
            (
                format!("{begun}{PART}\"file\"; filename=\"a.txt\"\r\n"),
                "x-more: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
            ),
            (
                format!("{begun}{PART}\"file\"; filename=\"a.txt\"\r\nx-more: "),
                "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            ),
        ];
        for (start, again) in forms {
            let mut socket = tokio::net::TcpStream::connect(&desk.address).await.unwrap();
            let head = desk.head(door, "a.txt", "transfer-encoding: chunked");
            let start = format!("{head}{:x}\r\n{start}\r\n", start.len());
            let _ = socket.write_all(start.as_bytes()).await;
            let sending = Sending { socket, tail: b"9\r\n--cut--\r\n\r\n0\r\n\r\n".to_vec() };
            let (said, sent) = if again.is_empty() {
                (sending.end().await, 0)
            } else {
                pour(sending, &again.repeat(400)).await
            };
            assert_eq!(said.status, 400, "{door:?} {said:?}");
            assert!(sent < 8 << 20, "{door:?}: it read on for {sent} bytes");
        }
    }
    // The page takes file after file, so what was whole by then is there; the API takes one or none.
    let taken: Vec<bool> = sqlx::query_scalar("select uploaded_by is not null from ingest_jobs")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(taken, [true, true]);
}
