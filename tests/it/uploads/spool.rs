//! Where a file is while it comes, and what is left of one that does not come to its end.

use sha2::{Digest, Sha256};
use sqlx::PgPool;

use super::{Desk, Door, is_taken};

const MIB: usize = 1 << 20;

/// [U-01] A file is on disk as far as it has come, without a name, and in Postgres when it is whole;
/// then nothing is left of it on disk.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_file_is_on_disk_until_it_is_whole(pool: PgPool) {
    let desk = Desk::set(&pool).await;
    for (number, door) in (1_u8..).zip(Door::ALL) {
        let content = vec![b'a' + number; 24 * MIB];
        let mut sending = desk.begin(door, "large.txt", content.len()).await;
        for half in 1..3_usize {
            let sent = half * 10 * MIB;
            sending.more(&content[sent - 10 * MIB..sent]).await;
            let written = (sent - MIB) as u64;
            desk.until_coming(|files| matches!(files, [size] if *size >= written)).await;
            assert_eq!(desk.taken().await, u64::from(number) - 1);
        }
        sending.more(&content[20 * MIB..]).await;
        let said = sending.end().await;
        assert!(is_taken(door, &said), "{door:?} {said:?}");
        desk.until_coming(<[u64]>::is_empty).await;
        let kept: Vec<Vec<u8>> = sqlx::query_scalar(
            "select body from original_parts
              where original_id = (select id from originals order by id desc limit 1)
              order by part",
        )
        .fetch_all(&pool)
        .await
        .unwrap();
        assert!(kept.concat() == content, "{door:?}");
        let hash: Vec<u8> =
            sqlx::query_scalar("select content_hash from ingest_jobs order by id desc limit 1")
                .fetch_one(&pool)
                .await
                .unwrap();
        assert_eq!(hash, Sha256::digest(&content).to_vec());
    }
}

/// [U-01] Whoever hangs up midway leaves nothing: no file, no row, and no place taken.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn hanging_up_midway_leaves_nothing(pool: PgPool) {
    let desk = Desk::set(&pool).await;
    for door in Door::ALL {
        let mut broken = Vec::new();
        for _ in 0..10 {
            let mut sending = desk.begin(door, "half.txt", 2 * MIB).await;
            sending.more(&vec![b'x'; MIB]).await;
            broken.push(sending);
        }
        desk.until_coming(|files| files.len() == 10 && files.iter().all(|size| *size > 0)).await;
        drop(broken);
        desk.until_coming(<[u64]>::is_empty).await;
        assert_eq!(desk.taken().await, 0);
        assert_eq!(desk.bench.app.count("originals").await, 0);
    }
    for door in Door::ALL {
        let said = desk.send(door, "whole.txt", format!("{door:?}").as_bytes()).await;
        assert!(is_taken(door, &said), "{door:?} {said:?}");
    }
}
