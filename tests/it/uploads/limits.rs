//! How large a file may be, how many come at once, and how much a tenant keeps.

use callslip::tenants::Role;
use futures_util::future::join_all;
use sqlx::PgPool;

use super::{Desk, Door, Said, is_taken};

const MOST: usize = 25 << 20;
/// Of a file that may take its time to go on, since so much of it has come.
const HALF: usize = 200_000;

/// [U-01] 25 MiB are taken and a byte more is not.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_file_has_25_mib_and_no_byte_more(pool: PgPool) {
    let desk = Desk::set(&pool).await;
    let most = vec![b'x'; MOST + 1];
    for (taken, door) in (1..).zip(Door::ALL) {
        let said = desk.send(door, "large.txt", &most[1..]).await;
        assert!(is_taken(door, &said), "{door:?} {said:?}");
        let said = desk.send(door, "large.txt", &most).await;
        let status = if matches!(door, Door::Page | Door::Script) { 422 } else { 413 };
        assert_eq!(said.status, status, "{door:?} {said:?}");
        let reason = said.reason();
        assert!(reason.to_lowercase().contains("the file is larger than 25 mib"), "{reason}");
        assert_eq!(desk.taken().await, taken);
    }
    desk.until_coming(<[u64]>::is_empty).await;
}

/// [U-01] Ten files of a tenant come at once. The eleventh is refused, at any door; the ten go on,
/// another tenant has its own, and when one is whole there is a place again.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn ten_come_at_once_and_the_eleventh_is_refused(pool: PgPool) {
    let desk = Desk::set(&pool).await;
    let mut coming = Vec::new();
    for number in 0..10 {
        let door = Door::ALL[number % 4];
        let mut sending = desk.begin(door, &format!("{number}.txt"), 2 * HALF).await;
        sending.more(&[b'a'; HALF]).await;
        coming.push((door, sending));
        // It has its place.
        desk.until_coming(|files| files.len() == number + 1).await;
    }
    for door in Door::ALL {
        let refused = desk.begin(door, "11.txt", 100).await.answer().await;
        assert_eq!(refused.status, 429, "{door:?} {refused:?}");
        assert!(refused.head.contains("retry-after: 5"), "{refused:?}");
        let reason = refused.reason();
        match door {
            Door::Page => assert!(reason.contains("<h1>Too many tries</h1>"), "{reason}"),
            Door::Script | Door::Api | Door::ApiForm => {
                assert!(reason.to_lowercase().starts_with("ten files of this tenant"), "{reason}");
            }
        }
    }
    let mut eve = desk.bench.app.member("other", "eve", Role::Admin).await.sign_in().await;
    let store = desk.bench.app.store("other", "Books").await.to_string();
    let token = eve.get("/t/other/documents").await.csrf_token();
    let fields = [("csrf_token", token.as_str()), ("store", &store)];
    let theirs =
        crate::pages::upload(&mut eve, "/t/other/documents", &fields, &[("a.txt", "Text.")]).await;
    assert_eq!(theirs.status, 303, "{}", theirs.text());

    let end = async |door, mut sending: super::Sending| {
        sending.more(&[b'b'; HALF]).await;
        let said = sending.end().await;
        assert!(is_taken(door, &said), "{door:?} {said:?}");
    };
    let (door, first) = coming.remove(0);
    end(door, first).await;
    let eleventh = desk.send(Door::Api, "11.txt", b"There is a place again.").await;
    assert!(is_taken(Door::Api, &eleventh), "{eleventh:?}");
    for (door, sending) in coming {
        end(door, sending).await;
    }
    assert_eq!(desk.taken().await, 12);
}

async fn totals(pool: &PgPool, documents: i64, bytes: i64) {
    let rows = sqlx::query("update document_totals set documents = $1, bytes = $2")
        .bind(documents)
        .bind(bytes)
        .execute(pool)
        .await
        .unwrap();
    assert_eq!(rows.rows_affected(), 1);
}

/// [U-01] Of those who send at the same moment, through all doors and over two nodes, one gets the
/// last place under 10,000 files or under 2 GiB, and each other hears that the tenant is full.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_last_place_is_one_files(pool: PgPool) {
    let desk = Desk::set(&pool).await;
    let twin = desk.bench.app.twin().await;
    let other = Desk {
        address: crate::patience::listen(&twin).await,
        bench: desk.bench.again(twin),
        folder: tempfile::tempdir().unwrap(),
        browser: desk.browser.clone(),
        form_token: desk.form_token.clone(),
    };
    assert!(is_taken(Door::Api, &desk.send(Door::Api, "first.txt", b"First.").await));
    desk.bench.app.drain_ingest().await;
    let full = 2 << 30;
    for (round, (documents, bytes)) in (0..).zip([(9_999, 0), (1, full - 500)]) {
        totals(&pool, documents, bytes).await;
        let before = desk.taken().await;
        let mut race = Vec::new();
        for number in 0..8 {
            let (desk, door) = ([&desk, &other][number % 2], Door::ALL[number / 2]);
            let (name, content) = (format!("{round}-{number}.txt"), format!("{number:0>300}"));
            race.push(async move { (door, desk.send(door, &name, content.as_bytes()).await) });
        }
        let said: Vec<(Door, Said)> = join_all(race).await;
        let (taken, refused): (Vec<_>, Vec<_>) =
            said.iter().partition(|(door, said)| is_taken(*door, said));
        assert_eq!(taken.len(), 1, "{said:?}");
        assert_eq!(desk.taken().await, before + 1);
        for (door, said) in refused {
            let status = if matches!(door, Door::Page | Door::Script) { 422 } else { 507 };
            assert_eq!(said.status, status, "{door:?} {said:?}");
            let reason = said.reason();
            assert!(
                reason.contains("he tenant is full: 10,000 documents or 2 GiB"),
                "{door:?} {reason}"
            );
        }
        // What was taken becomes a document in the room that it has.
        desk.bench.app.drain_ingest().await;
        assert_eq!(desk.bench.app.count("documents").await, 2 + round);
    }
}
