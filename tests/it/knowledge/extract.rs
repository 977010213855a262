use std::{
    fmt::Write,
    process::Command,
    time::{Duration, Instant},
};

use callslip::documents::extract::MediaType;

use super::extractor;

/// [U-04] The child can open no socket, file, program or thread, nor take memory without end.
#[test]
fn the_walls_hold() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_callslip")).args(["extract", "--check"]).output().unwrap();
    let breaches = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "breaches: {breaches} {:?}", output.stderr);
}

/// A PDF of these objects, with a correct cross-reference table.
pub(super) fn pdf(objects: &[String]) -> Vec<u8> {
    let mut file = "%PDF-1.7\n".to_owned();
    let mut offsets = Vec::new();
    for (index, object) in objects.iter().enumerate() {
        offsets.push(file.len());
        write!(file, "{} 0 obj\n{object}\nendobj\n", index + 1).unwrap();
    }
    let table = file.len();
    write!(file, "xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).unwrap();
    for offset in offsets {
        writeln!(file, "{offset:010} 00000 n ").unwrap();
    }
    let size = objects.len() + 1;
    write!(file, "trailer\n<</Size {size}/Root 1 0 R>>\nstartxref\n{table}\n%%EOF").unwrap();
    file.into_bytes()
}

pub(super) fn page(content: &str) -> Vec<String> {
    vec![
        "<</Type/Catalog/Pages 2 0 R>>".to_owned(),
        "<</Type/Pages/Kids[3 0 R]/Count 1>>".to_owned(),
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R\
         /Resources<</Font<</F1 5 0 R>>>>>>"
            .to_owned(),
        format!("<</Length {}>>\nstream\n{content}\nendstream", content.len()),
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>".to_owned(),
    ]
}

#[tokio::test]
async fn a_pdf_is_read_and_one_without_text_is_a_failure() {
    let read =
        |bytes: Vec<u8>| async move { extractor().extract(MediaType::Pdf, &bytes).await.unwrap() };
    let text = read(pdf(&page("BT /F1 24 Tf 100 700 Td (Cats stay home) Tj ET"))).await.unwrap();
    assert!(text.sections[0].contains("Cats stay home"), "{text:?}");
    let scan = read(pdf(&page("0 0 10 10 re f"))).await.unwrap_err();
    assert!(scan.0.starts_with("0 characters from 1 pages"), "{scan:?}");
    assert!(read(b"%PDF-1.7 and nothing more".to_vec()).await.is_err());
}

/// [U-04] Whatever a file does to its reader ends in that process, with a reason.
#[tokio::test]
async fn hostile_files_end_in_their_own_process() {
    let nested = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let mut deep = page("BT /F1 24 Tf (x) Tj ET");
    deep[2] = format!("<</Type/Page/Parent 2 0 R/MediaBox {nested}/Contents 4 0 R>>");
    let mut cyclic = page("BT ET");
    cyclic[1] = "<</Type/Pages/Kids[2 0 R 2 0 R]/Count 2000000000>>".to_owned();
    let states = page(&"q ".repeat(2_000_000));
    let html = format!("{}x", "<div>".repeat(500_000));
    for (what, media, bytes) in [
        ("deep", MediaType::Pdf, pdf(&deep)),
        ("cyclic", MediaType::Pdf, pdf(&cyclic)),
        ("states", MediaType::Pdf, pdf(&states)),
        ("tags", MediaType::Html, html.into_bytes()),
        ("binary", MediaType::Text, vec![0; 1_000]),
    ] {
        let started = Instant::now();
        let within = Duration::from_secs(5);
        let outcome = extractor().within(within).extract(media, &bytes).await.unwrap();
        assert!(outcome.is_err(), "{what}: {outcome:?}");
        assert!(started.elapsed().as_secs() < 20, "{what}");
    }
    // And this process goes on reading.
    assert!(extractor().extract(MediaType::Text, b"fine").await.unwrap().is_ok());
}
