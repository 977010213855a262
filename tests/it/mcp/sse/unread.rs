//! Streams on connections from which nobody reads.

use std::time::Duration;

use callslip::http::{Draining, server::Settings};
use sqlx::PgPool;

use super::{noted, under, until};
use crate::{
    http::desk::{Desk, Wire, frames, settings},
    mcp::stage::Stage,
};

/// HPACK: a length, and the text.
fn text(text: &str) -> Vec<u8> {
    let mut encoded = Vec::new();
    match u8::try_from(text.len()) {
        Ok(length) if length < 127 => encoded.push(length),
        _ => {
            encoded.push(127);
            let mut rest = text.len() - 127;
            while rest >= 128 {
                encoded.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            encoded.push(u8::try_from(rest).unwrap());
        }
    }
    encoded.extend(text.bytes());
    encoded
}

/// Ask for a stream over HTTP/2, and leave room for so many bytes of it.
async fn ask(desk: &Desk, token: &str, room: u32) -> Wire {
    const WINDOW: u16 = 4;
    let mut head = vec![0x82, 0x86, 0x04];
    head.extend(text("/sse/"));
    head.push(0x01);
    head.extend(text("callslip.example"));
    head.push(0x00);
    head.extend(text("authorization"));
    head.extend(text(&format!("Bearer {token}")));
    let flags = frames::END_HEADERS | frames::END_STREAM;
    let mut wire = desk.connect().await;
    wire.send(frames::hello(&[(WINDOW, room)])).await;
    wire.send(frames::frame(frames::HEADERS, flags, 1, &head)).await;
    wire
}

/// Nothing but keep-alives, and a client with no room for one more: the stream is dropped
/// when the client's patience is over or the connection's, whichever comes first, and until then no
/// more is kept than one of them.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn keep_alives_that_nobody_reads_end_the_stream(pool: PgPool) {
    let (short, long) = (Duration::from_millis(300), Duration::from_secs(600));
    for (patience, stall) in [(short, long), (long, short)] {
        let stage = under(Stage::new(&pool).await, |rules| {
            rules.keep_alive = Duration::from_millis(1);
            rules.patience = patience;
        });
        let stage = stage.await;
        let mut settings: Settings = settings();
        settings.deadlines.stall = stall;
        settings.deadlines.idle = long;
        let router = stage.app.app.router.clone();
        let desk = Desk::with(router, settings, Draining::default()).await;
        let mut wire = ask(&desk, &stage.token().await, 256).await;
        until("the stream is open", async || noted(&pool).await == 1).await;
        until("the stream is dropped", async || noted(&pool).await == 0).await;
        if stall == short {
            let (read, _) = wire.ended().await;
            assert!(read.len() < 4096, "{} bytes were sent", read.len());
        }
    }
}
