//! PDFs, whole and broken.

use std::fmt::Write;

use super::{
    Case, Ends,
    bytes::{deflate, stored, zip},
};
use crate::knowledge::extract::{page, pdf};

/// This many pages, each with its number.
fn pages(count: usize) -> Vec<u8> {
    let kids: String = (0..count).fold(String::new(), |mut kids, n| {
        write!(kids, "{} 0 R ", 4 + n * 2).unwrap();
        kids
    });
    let mut objects = vec![
        "<</Type/Catalog/Pages 2 0 R>>".to_owned(),
        format!("<</Type/Pages/Kids[{kids}]/Count {count}>>"),
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>".to_owned(),
    ];
    for n in 0..count {
        let content = format!("BT /F1 24 Tf 100 700 Td (Page text {}) Tj ET", n + 1);
        objects.push(format!(
            "<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents {} 0 R\
             /Resources<</Font<</F1 3 0 R>>>>>>",
            5 + n * 2
        ));
        objects.push(format!("<</Length {}>>\nstream\n{content}\nendstream", content.len()));
    }
    pdf(&objects)
}

const QUOKKA: &str = "BT /F1 24 Tf 100 700 Td (Quokkas smile) Tj ET";

/// With a page's content packed so that little becomes much.
fn packed(times: usize) -> Vec<u8> {
    let stream = [b"\x78\x9c".as_slice(), &deflate(b"", b"q Q ", times, b"")].concat();
    let mut file = b"%PDF-1.7\n".to_vec();
    let mut offsets = Vec::new();
    let mut objects: Vec<Vec<u8>> = page("").into_iter().map(String::into_bytes).collect();
    let head = format!("<</Length {}/Filter/FlateDecode>>\nstream\n", stream.len());
    objects[3] = [head.as_bytes(), &stream, b"\nendstream"].concat();
    for (index, object) in objects.iter().enumerate() {
        offsets.push(file.len());
        file.extend(format!("{} 0 obj\n", index + 1).bytes());
        file.extend(object);
        file.extend(b"\nendobj\n");
    }
    let table = file.len();
    file.extend(b"xref\n0 6\n0000000000 65535 f \n");
    offsets.iter().for_each(|offset| file.extend(format!("{offset:010} 00000 n \n").bytes()));
    file.extend(format!("trailer\n<</Size 6/Root 1 0 R>>\nstartxref\n{table}\n%%EOF").bytes());
    file
}

/// With the trailer saying that all of it is encrypted, under no password that we know.
fn password() -> Vec<u8> {
    let file = String::from_utf8(pdf(&page(QUOKKA))).unwrap();
    let secret = "5a".repeat(32);
    let encrypt = format!(
        "/ID[<00><00>]/Encrypt<</Filter/Standard/V 1/R 2/P -4/O<{secret}>/U<{secret}>>>/Root"
    );
    file.replace("/Root", &encrypt).into_bytes()
}

/// A script that runs when it is opened, and a file inside with words of its own.
fn active() -> Vec<u8> {
    let mut objects = page(QUOKKA);
    objects[0] = "<</Type/Catalog/Pages 2 0 R/OpenAction<</S/JavaScript/JS(app.alert\\(1\\))>>\
        /Names<</EmbeddedFiles<</Names[(a.txt)<</Type/Filespec/F(a.txt)/EF<</F 6 0 R>>>>]>>>>>>"
        .to_owned();
    objects.push("<</Type/EmbeddedFile/Length 6>>\nstream\nsecret\nendstream".to_owned());
    pdf(&objects)
}

pub(super) fn cases() -> Vec<Case> {
    let nested = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let mut deep = page(QUOKKA);
    deep[2] = format!("<</Type/Page/Parent 2 0 R/MediaBox {nested}/Contents 4 0 R>>");
    let mut cyclic = page(QUOKKA);
    cyclic[1] = "<</Type/Pages/Kids[2 0 R 2 0 R]/Count 2000000000>>".to_owned();
    let mut form = page("/X Do");
    form[2] = form[2].replace("/Resources<<", "/Resources<</XObject<</X 6 0 R>>");
    form.push(
        "<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 6 0 R>>>>/Length 11>>\n\
         stream\n/X Do /X Do\nendstream"
            .to_owned(),
    );
    let mut none = page("");
    none[1] = "<</Type/Pages/Kids[]/Count 0>>".to_owned();
    let whole = pdf(&page(QUOKKA));
    let headless = String::from_utf8(whole.clone()).unwrap().replace("startxref", "startxxxx");
    let polyglot = [whole.clone(), zip(&[stored("a.txt", "b")])].concat();
    vec![
        ("whole.pdf", whole.clone(), Ends::Text("Quokkas smile")),
        ("cut.pdf", whole[..whole.len() / 3].to_vec(), Ends::Reason("")),
        ("name-only.pdf", b"%PDF-1.7\n".to_vec(), Ends::Reason("damaged")),
        ("no-table.pdf", headless.into_bytes(), Ends::Either),
        ("deep.pdf", pdf(&deep), Ends::Either),
        ("cyclic.pdf", pdf(&cyclic), Ends::Reason("")),
        ("forms.pdf", pdf(&form), Ends::Reason("")),
        ("no-pages.pdf", pdf(&none), Ends::Reason("0 characters")),
        ("scan.pdf", pdf(&page("0 0 10 10 re f")), Ends::Reason("it is a scan")),
        ("password.pdf", password(), Ends::Reason("password")),
        ("active.pdf", active(), Ends::Only("Quokkas smile")),
        ("many.pdf", pages(2_000), Ends::Text("Page text 2000")),
        ("too-many.pdf", pages(2_001), Ends::Reason("2001 pages")),
        ("bomb.pdf", packed(250_000_000), Ends::Either),
        ("operators.pdf", packed(1_000_000), Ends::Either),
        ("also-a-zip.pdf", polyglot, Ends::Reason("in one")),
        ("page.pdf", b"<html><body>%PDF-1.7".to_vec(), Ends::Reason("this is text")),
        ("image.pdf", b"\x89PNG\r\n\x1a\n".to_vec(), Ends::Reason("an image")),
    ]
}
