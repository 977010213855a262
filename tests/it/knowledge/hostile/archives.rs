//! Archives and messages with attachments: each member a document or a reason of its own.

use sqlx::PgPool;

use super::{
    bytes::{Entry, bomb, overlapping, stored, zip},
    mail,
    office::{docx, paragraph},
};
use crate::knowledge::Shelf;

/// What was added, and each thing that was not, with its reason.
async fn outcome(shelf: &Shelf, name: &str, bytes: &[u8]) -> (u64, Vec<(String, String)>) {
    let report = shelf.upload(name, bytes).await;
    let failed = report.failed.into_iter().map(|failure| (failure.source, failure.reason));
    (report.added, failed.collect())
}

#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn the_members_of_an_archive_become_documents(pool: PgPool) {
    let shelf = Shelf::new(&pool).await;
    let archive = |second: &str| {
        zip(&[
            stored("animals/", ""),
            stored("animals/quokka.txt", "The quokka smiles."),
            stored("animals/deep/wombat.docx", docx(&paragraph("", second))),
            stored("records.jsonl", "{\"_id\":\"1\",\"text\":\"Okapi\"}\nbroken\n"),
            stored("__MACOSX/animals/._quokka.txt", "x"),
            stored("animals/.DS_Store", "x"),
            stored("logo.png", "\x7fPNG"),
        ])
    };
    let (added, failed) = outcome(&shelf, "zoo.zip", &archive("The wombat digs.")).await;
    assert_eq!(added, 3, "{failed:?}");
    let failed: Vec<_> = failed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(failed, ["zoo.zip/records.jsonl:2", "zoo.zip/logo.png"]);
    assert_eq!(shelf.ask("wombat").await[0].title, "The wombat digs.");

    let again = shelf.upload("zoo.zip", &archive("The wombat sleeps.")).await;
    assert_eq!((again.added, again.updated, again.unchanged), (0, 1, 2), "{again:?}");
    assert!(shelf.ask("digs").await.is_empty());
}

#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_message_brings_its_attachments(pool: PgPool) {
    let shelf = Shelf::new(&pool).await;
    let inner = mail::parts(&["Content-Type: text/plain\r\n\r\nThe numbat eats."]);
    let message = mail::parts(&[
        "Content-Type: text/plain\r\n\r\nThe quokka smiles.",
        "Content-Type: text/csv\r\nContent-Disposition: attachment; filename=\"list.csv\"\r\n\r\n\
         animal,count\r\nwombat,3",
        "Content-Type: image/png; name=logo.png\r\nContent-Disposition: attachment\r\n\r\nx",
        "Content-Type: application/pdf; name=broken.pdf\r\nContent-Disposition: attachment\r\n\r\nx",
        &format!("Content-Type: message/rfc822\r\n\r\n{inner}"),
    ]);
    let (added, failed) = outcome(&shelf, "mail.eml", message.as_bytes()).await;
    assert_eq!(added, 3, "{failed:?}");
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].0, "mail.eml/broken.pdf");
    for word in ["smiles", "wombat", "numbat"] {
        assert_eq!(shelf.ask(word).await.len(), 1, "{word}");
    }
    let found = shelf.fetched(&shelf.ask("smiles").await[0].id).await;
    assert_eq!(found.metadata["from"], "Ada <ada@example.org>");
    let again = shelf.upload("mail.eml", message.as_bytes()).await;
    assert_eq!((again.added, again.unchanged), (0, 1), "{again:?}");
}

/// [U-05] Bombs, links, names that lead elsewhere, archives in archives: a reason for each, and
/// what is beside them comes in.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_hostile_member_is_refused_and_the_rest_comes_in(pool: PgPool) {
    let shelf = Shelf::new(&pool).await;
    let inner = zip(&[stored("a.txt", "x")]);
    let archive = zip(&[
        stored("good.txt", "The quokka smiles."),
        bomb("bomb.txt", "", "a", 400_000_000, ""),
        stored("../../etc/slip.txt", "x"),
        stored("/etc/root.txt", "x"),
        stored("nul\0.txt", "x"),
        Entry { mode: 0o120_777, ..stored("link.txt", "/etc/passwd") },
        Entry { flags: 0x801, ..stored("locked.txt", "x") },
        Entry { method: 12, ..stored("packed.txt", "x") },
        Entry { crc: Some(1), ..stored("crc.txt", "x") },
        stored("nested.zip", &inner),
        stored("renamed.txt", &inner),
        stored("evil.docx", zip(&[stored("word/document.xml", "x")])),
        stored("program.exe", "MZ"),
        stored("empty.txt", ""),
        stored(&format!("{}.txt", "long".repeat(10_000)), "The numbat eats."),
        stored("\u{202e}txt.exe.txt", "The okapi hides."),
        stored("last.txt", "The wombat digs."),
    ]);
    let (added, failed) = outcome(&shelf, "mixed.zip", &archive).await;
    let expected = [
        ("bomb.txt", "100 times"),
        ("slip.txt", "leads out"),
        ("root.txt", "leads out"),
        ("nul.txt", "leads out"),
        ("link.txt", "links are not followed"),
        ("locked.txt", "password"),
        ("packed.txt", "packed in a way"),
        ("crc.txt", "damaged"),
        ("nested.zip", "archive inside an archive"),
        ("renamed.txt", "a zip archive"),
        ("evil.docx", "not an Office document"),
        ("program.exe", "not supported"),
        ("empty.txt", "empty"),
    ];
    let found: Vec<&str> = failed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((added, failed.len()), (4, expected.len()), "{found:?}");
    for ((name, reason), (found, why)) in expected.iter().zip(&failed) {
        assert!(found.ends_with(name) && why.contains(reason), "{name}: {found}: {why}");
    }
}

/// [U-05] What is bad as a whole is refused as a whole.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn a_hostile_archive_is_refused(pool: PgPool) {
    let shelf = Shelf::new(&pool).await;
    let many: Vec<Entry> = (0..5_000).map(|n| stored(&format!("{n}.txt"), "x")).collect();
    let layer = bomb("layer", "", "a", 2_000_000, "");
    let good = zip(&[stored("a.txt", "x")]);
    let mut lying = good.clone();
    let end = lying.len() - 22;
    lying[end + 8..end + 12].fill(0xff);
    let mut far = good.clone();
    far[end + 16..end + 20].fill(0xff);
    for (name, bytes, reason) in [
        ("many.zip", zip(&many), "more than 1,000 members"),
        ("layers.zip", overlapping(&layer, 900), "more than 100 MiB"),
        ("cut.zip", good[..good.len() - 30].to_vec(), "damaged"),
        ("lying.zip", lying, ""),
        ("far.zip", far, ""),
        ("none.zip", zip(&[]), "empty"),
        ("word.zip", docx(&paragraph("", "x")), "name it .docx"),
        ("text.zip", b"hello".to_vec(), "this is text"),
        ("seven.zip", b"7z\xbc\xaf\x27\x1c".to_vec(), "7-Zip"),
        ("real.7z", b"7z\xbc\xaf\x27\x1c".to_vec(), "pack it as .zip"),
    ] {
        let report = shelf.upload(name, &bytes).await;
        let last = report.failed.last().unwrap_or_else(|| panic!("{name}: {report:?}"));
        assert!(last.reason.contains(reason), "{name}: {last:?}");
        assert!(report.added <= 100, "{name}");
    }
}

/// They would replace each other, this time and every time.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn two_members_of_one_name_are_told(pool: PgPool) {
    let shelf = Shelf::new(&pool).await;
    let archive =
        zip(&[stored("a.txt", "The quokka smiles."), stored("A.txt", "The wombat digs.")]);
    let (added, failed) = outcome(&shelf, "two.zip", &archive).await;
    assert_eq!((added, failed.len()), (2, 0), "{failed:?}");
    let message = mail::parts(&[
        "Content-Type: text/plain\r\n\r\nhello",
        "Content-Type: text/plain\r\nContent-Disposition: attachment; filename=a.txt\r\n\r\nnumbat",
        "Content-Type: text/plain\r\nContent-Disposition: attachment; filename=a.txt\r\n\r\nokapi",
    ]);
    let (added, failed) = outcome(&shelf, "two.eml", message.as_bytes()).await;
    assert_eq!((added, failed.len()), (2, 1), "{failed:?}");
    assert!(failed[0].1.contains("only one of them is kept"), "{failed:?}");
}
