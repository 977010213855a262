//! Pages that are pictures, read by the Tesseract of this machine.

use std::{fs, process::Command};

use callslip::{
    documents::extract::{MediaType, Tesseract},
    tenants::Role,
};
use sqlx::PgPool;

use super::{Shelf, extractor};
use crate::support::{ORIGIN, TestApp};

/// A page of text, a scan in JPEG, one in black and white that was laid on its side, and one on which
/// there is nothing.
fn notes() -> Vec<u8> {
    fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/scans/notes.pdf")).unwrap()
}

/// `None`, and a word on it, where there is none.
async fn tesseract() -> Option<Tesseract> {
    let Some(program) = Tesseract::usual_place() else {
        eprintln!("not run: tesseract is not installed");
        return None;
    };
    Some(Tesseract::find(&extractor(), program, &["eng".to_owned()]).await.unwrap())
}

/// The same walls as around the other child, for a program that may read its own files.
#[test]
fn the_walls_around_text_recognition_hold() {
    let output = Command::new(env!("CARGO_BIN_EXE_callslip"))
        .args(["extract", "--recognize", "--check"])
        .output()
        .unwrap();
    let breaches = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "breaches: {breaches} {:?}", output.stderr);
}

/// What a scanned page says is found, is cited by its page, and is said to be read from an image.
#[sqlx::test(migrator = "callslip::db::MIGRATOR")]
async fn scanned_pages_are_read_and_cited(pool: PgPool) {
    let Some(tesseract) = tesseract().await else { return };
    let mut app = TestApp::new(&pool).await;
    app.parts.extractor = extractor().with_tesseract(Some(tesseract));
    let shelf = Shelf::of(app, "acme", &[]).await;
    let report = shelf.upload("notes.pdf", &notes()).await;
    assert_eq!((report.added, report.failed.len()), (1, 0), "{report:?}");
    for (question, words, page) in [
        ("Amberly society", "Field notes of the Amberly society", 1),
        ("heron jetty ferry", "the grey heron waits", 2),
        ("badger orchard midnight", "digs below the orchard", 3),
    ] {
        let hit = shelf.ask(question).await.remove(0);
        let found = shelf.fetched(&hit.id).await;
        let said = format!("{} {}", hit.snippet, found.text).replace('\n', " ");
        assert!(said.contains(words), "{question}: {said}");
        assert_eq!(found.metadata["page"], page.to_string(), "{question}");
        assert_eq!(found.metadata["pages_read_from_images"], "2");
        assert_eq!(found.metadata["pages_without_text"], "1");
    }
    let mut reader = shelf.app.member("acme", "rae", Role::Reader).await.sign_in().await;
    let hit = shelf.ask("badger").await.remove(0);
    let page = reader.get(hit.url.strip_prefix(ORIGIN).unwrap()).await;
    let facts = page.select(".fields dd");
    let said = "2 pages read from images, so words in it may be wrong";
    assert!(facts.iter().any(|fact| fact == said), "{facts:?}");
}

/// Without Tesseract the pages are counted and the rest is read; a scan alone is reported as one.
#[tokio::test]
async fn without_tesseract_scans_are_reported() {
    let parsed = extractor().extract(MediaType::Pdf, &notes()).await.unwrap().unwrap();
    assert_eq!(parsed.metadata["pages_without_text"], "3");
    assert!(parsed.sections[0].contains("Amberly") && parsed.sections[1].trim().is_empty());
}

/// A picture that Tesseract chokes on, or takes for nothing, leaves its page as it was.
#[tokio::test]
async fn a_page_that_cannot_be_read_stays_silent() {
    let Some(tesseract) = tesseract().await else { return };
    let extractor = extractor().with_tesseract(Some(tesseract));
    let mut broken = notes();
    let jpeg = broken.windows(3).position(|bytes| bytes == b"\xff\xd8\xff").unwrap();
    broken[jpeg + 2..jpeg + 2000].fill(0);
    let parsed = extractor.extract(MediaType::Pdf, &broken).await.unwrap().unwrap();
    assert!(parsed.sections[1].trim().is_empty());
    assert!(parsed.sections[2].contains("badger"), "{}", parsed.sections[2]);
    assert_eq!(parsed.metadata["pages_read_from_images"], "1");
    assert_eq!(parsed.metadata["pages_without_text"], "2");
}

/// A program that is none, and languages that it does not have, are named at the start.
#[tokio::test]
async fn what_cannot_be_used_is_found_out() {
    let find = async |program: &str, language: &str| {
        Tesseract::find(&extractor(), program.as_ref(), &[language.to_owned()]).await
    };
    assert!(find("/bin/true", "eng").await.is_err());
    assert!(find("/nowhere", "eng").await.is_err());
    if let Some(program) = Tesseract::usual_place() {
        let why = find(program.to_str().unwrap(), "tlh").await.unwrap_err();
        assert!(why.ends_with("does not read these languages"), "{why}");
    }
}
