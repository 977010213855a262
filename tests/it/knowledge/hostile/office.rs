//! Office documents, whole and broken.

use super::{
    Case, Ends,
    bytes::{Entry, bomb, stored, zip},
};

const WORD: &str = "http://schemas.openxmlformats.org/wordprocessingml/2006/main";
const RELATIONS: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";

/// The two parts that every package begins with.
fn package(main: &str, kind: &str, more: &[(&str, &str)]) -> Vec<Entry> {
    let office = "application/vnd.openxmlformats-officedocument";
    let mut overrides =
        format!("<Override PartName=\"/{main}\" ContentType=\"{office}.{kind}.main+xml\"/>");
    for (part, kind) in more {
        overrides +=
            &format!("<Override PartName=\"/{part}\" ContentType=\"{office}.{kind}+xml\"/>");
    }
    let types = format!(
        "<?xml version=\"1.0\"?><Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\">\
         <Default Extension=\"rels\" ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/>\
         <Default Extension=\"xml\" ContentType=\"application/xml\"/>{overrides}</Types>"
    );
    vec![
        stored("[Content_Types].xml", types),
        stored("_rels/.rels", relations(&[("officeDocument", main)])),
    ]
}

fn relations(targets: &[(&str, &str)]) -> String {
    let list: String = targets
        .iter()
        .enumerate()
        .map(|(index, (kind, target))| {
            format!(
                "<Relationship Id=\"r{index}\" Type=\"{RELATIONS}/{kind}\" Target=\"{target}\"/>"
            )
        })
        .collect();
    format!(
        "<?xml version=\"1.0\"?><Relationships \
         xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">{list}</Relationships>"
    )
}

fn word(body: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><w:document xmlns:w=\"{WORD}\"><w:body>{body}</w:body></w:document>"
    )
}

pub(super) fn paragraph(style: &str, text: &str) -> String {
    let style = match style {
        "" => String::new(),
        style => format!("<w:pPr><w:pStyle w:val=\"{style}\"/></w:pPr>"),
    };
    format!("<w:p>{style}<w:r><w:t>{text}</w:t></w:r></w:p>")
}

fn docx_parts(body: &str) -> Vec<Entry> {
    let mut parts = package("word/document.xml", "wordprocessingml.document", &[]);
    parts.push(stored("word/document.xml", word(body)));
    parts
}

pub(super) fn docx(body: &str) -> Vec<u8> {
    zip(&docx_parts(body))
}

/// A document with styles: "H1" is called "heading 1".
pub(super) fn styled_docx(body: &str) -> Vec<u8> {
    let styles = format!(
        "<?xml version=\"1.0\"?><w:styles xmlns:w=\"{WORD}\"><w:style w:type=\"paragraph\" w:styleId=\"H1\">\
         <w:name w:val=\"heading 1\"/></w:style><w:style w:type=\"paragraph\" w:styleId=\"H2\">\
         <w:name w:val=\"heading 2\"/><w:basedOn w:val=\"H1\"/></w:style></w:styles>"
    );
    let numbering = format!(
        "<?xml version=\"1.0\"?><w:numbering xmlns:w=\"{WORD}\"><w:abstractNum w:abstractNumId=\"1\">\
         <w:lvl w:ilvl=\"0\"><w:start w:val=\"1\"/><w:numFmt w:val=\"decimal\"/><w:lvlText w:val=\"%1.\"/></w:lvl>\
         <w:lvl w:ilvl=\"1\"><w:start w:val=\"1\"/><w:numFmt w:val=\"lowerLetter\"/><w:lvlText w:val=\"%1.%2\"/></w:lvl>\
         </w:abstractNum><w:num w:numId=\"7\"><w:abstractNumId w:val=\"1\"/></w:num></w:numbering>"
    );
    let mut parts = package(
        "word/document.xml",
        "wordprocessingml.document",
        &[
            ("word/styles.xml", "wordprocessingml.styles"),
            ("word/numbering.xml", "wordprocessingml.numbering"),
        ],
    );
    parts.push(stored("word/document.xml", word(body)));
    parts.push(stored("word/styles.xml", styles));
    parts.push(stored("word/numbering.xml", numbering));
    let targets = [("styles", "styles.xml"), ("numbering", "numbering.xml")];
    parts.push(stored("word/_rels/document.xml.rels", relations(&targets)));
    zip(&parts)
}

/// A workbook of one sheet: what stands between `sheetData`, and its shared strings.
pub(super) fn xlsx(rows: Entry, strings: Option<Entry>) -> Vec<u8> {
    let mut parts = package(
        "xl/workbook.xml",
        "spreadsheetml.sheet",
        &[
            ("xl/worksheets/sheet1.xml", "spreadsheetml.worksheet"),
            ("xl/sharedStrings.xml", "spreadsheetml.sharedStrings"),
        ],
    );
    let book = format!(
        "<?xml version=\"1.0\"?><workbook xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" \
         xmlns:r=\"{RELATIONS}\"><sheets><sheet name=\"Budget\" sheetId=\"1\" r:id=\"r0\"/></sheets></workbook>"
    );
    parts.push(stored("xl/workbook.xml", book));
    let targets = [("worksheet", "worksheets/sheet1.xml"), ("sharedStrings", "sharedStrings.xml")];
    let used = if strings.is_some() { 2 } else { 1 };
    parts.push(stored("xl/_rels/workbook.xml.rels", relations(&targets[..used])));
    parts.push(rows);
    parts.extend(strings);
    zip(&parts)
}

pub(super) const SHEET: &str = "<?xml version=\"1.0\"?><worksheet \
    xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\"><sheetData>";
const SHEET_END: &str = "</sheetData></worksheet>";

pub(super) fn sheet(rows: &str) -> Entry {
    stored("xl/worksheets/sheet1.xml", format!("{SHEET}{rows}{SHEET_END}"))
}

pub(super) fn cell(place: &str, text: &str) -> String {
    format!("<c r=\"{place}\" t=\"inlineStr\"><is><t>{text}</t></is></c>")
}

/// A deck: each slide's title, text and notes.
pub(super) fn pptx(slides: &[(&str, &str, &str)]) -> Vec<u8> {
    const DRAWING: &str = "http://schemas.openxmlformats.org/drawingml/2006/main";
    const DECK: &str = "http://schemas.openxmlformats.org/presentationml/2006/main";
    let shape = |kind: &str, text: &str| {
        format!(
            "<p:sp><p:nvSpPr><p:cNvPr id=\"2\" name=\"x\"/><p:cNvSpPr/><p:nvPr>{kind}</p:nvPr></p:nvSpPr><p:spPr/>\
             <p:txBody><a:bodyPr/><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp>"
        )
    };
    let mut parts = package("ppt/presentation.xml", "presentationml.presentation", &[]);
    let (mut ids, mut targets) = (String::new(), Vec::new());
    for (index, (title, text, notes)) in slides.iter().enumerate() {
        let number = index + 1;
        ids += &format!("<p:sldId id=\"{}\" r:id=\"r{index}\"/>", 256 + index);
        targets.push(("slide", format!("slides/slide{number}.xml")));
        let page = |root: &str, shapes: &str| {
            format!(
                "<?xml version=\"1.0\"?><p:{root} xmlns:p=\"{DECK}\" xmlns:a=\"{DRAWING}\" xmlns:r=\"{RELATIONS}\">\
                 <p:cSld><p:spTree><p:nvGrpSpPr><p:cNvPr id=\"1\" name=\"\"/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr>\
                 <p:grpSpPr/>{shapes}</p:spTree></p:cSld></p:{root}>"
            )
        };
        let shapes = shape("<p:ph type=\"title\"/>", title) + &shape("", text);
        parts.push(stored(&format!("ppt/slides/slide{number}.xml"), page("sld", &shapes)));
        if !notes.is_empty() {
            let shapes = shape("<p:ph type=\"body\" idx=\"1\"/>", notes);
            let name = format!("ppt/notesSlides/notesSlide{number}.xml");
            parts.push(stored(&name, page("notes", &shapes)));
            let target = format!("../notesSlides/notesSlide{number}.xml");
            let list = relations(&[("notesSlide", &target)]);
            parts.push(stored(&format!("ppt/slides/_rels/slide{number}.xml.rels"), list));
        }
    }
    let deck = format!(
        "<?xml version=\"1.0\"?><p:presentation xmlns:p=\"{DECK}\" xmlns:r=\"{RELATIONS}\">\
         <p:sldIdLst>{ids}</p:sldIdLst></p:presentation>"
    );
    parts.push(stored("ppt/presentation.xml", deck));
    let targets: Vec<_> = targets.iter().map(|(kind, target)| (*kind, target.as_str())).collect();
    parts.push(stored("ppt/_rels/presentation.xml.rels", relations(&targets)));
    zip(&parts)
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = word_cases();
    cases.extend(bad_word_cases());
    cases.extend(workbook_cases());
    let slides: Vec<_> = (0..300).map(|_| ("Plan", "Quokkas first.", "Say hello.")).collect();
    cases.extend([
        ("many-slides.pptx", pptx(&slides), Ends::Text("# Slide 300: Plan")),
        ("no-slides.pptx", pptx(&[]), Ends::Reason("")),
        ("silent.pptx", pptx(&[("", "", "")]), Ends::Reason("no text")),
        ("tail-cut.pptx", cut(pptx(&slides[..2])), Ends::Reason("damaged")),
    ]);
    cases
}

/// A good document with one more part.
fn with(more: Entry) -> Vec<u8> {
    let mut parts = docx_parts(&paragraph("", "Quokkas smile."));
    parts.push(more);
    zip(&parts)
}

/// A package with this as its document.
fn instead(document: Entry) -> Vec<u8> {
    let mut parts = package("word/document.xml", "wordprocessingml.document", &[]);
    parts.push(document);
    zip(&parts)
}

/// An old Office document, or a new one behind a password: the name of its stream says which.
fn compound(stream: &str) -> Vec<u8> {
    let mut file = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
    file.extend(stream.bytes().flat_map(|byte| [byte, 0]));
    file.resize(4_096, 0);
    file
}

fn word_cases() -> Vec<Case> {
    let plain = docx(&paragraph("", "Quokkas smile."));
    let hidden = "<w:p><w:r><w:rPr><w:vanish/></w:rPr><w:t>secret</w:t></w:r><w:del><w:r>\
        <w:delText>gone</w:delText></w:r></w:del><w:r><w:t>seen</w:t></w:r></w:p>";
    vec![
        ("plain.docx", plain.clone(), Ends::Text("Quokkas smile.")),
        (
            "macros.docx",
            with(stored("word/vbaProject.bin", "Shell(\"calc\")")),
            Ends::Text("Quokkas"),
        ),
        ("inside.docx", with(stored("word/embeddings/a.docx", &plain)), Ends::Text("Quokkas")),
        ("macros.docm", plain, Ends::Reason("macros")),
        ("hidden.docx", docx(hidden), Ends::Only("seen")),
        ("rtl.docx", docx(&paragraph("", "שלום \u{202e}abc")), Ends::Text("שלום")),
    ]
}

fn bad_word_cases() -> Vec<Case> {
    let plain = docx(&paragraph("", "Quokkas smile."));
    let laughs = format!(
        "<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;\">]>{}",
        &word(&paragraph("", "&b;"))[21..]
    );
    let nested = |depth| {
        let open = "<w:tbl><w:tr><w:tc>".repeat(depth);
        let close = "</w:tc></w:tr></w:tbl>".repeat(depth);
        docx(&format!("{open}{}{close}", paragraph("", "deep")))
    };
    let many: Vec<Entry> = docx_parts(&paragraph("", "x"))
        .into_iter()
        .chain((0..1_000).map(|n| stored(&format!("word/media/{n}.png"), "x")))
        .collect();
    let tag = format!("<w:p w:rsidR=\"{}\"/>", "x".repeat(70_000));
    let opening = "<?xml version=\"1.0\"?><w:document xmlns:w=\"w\"><w:body>";
    let encrypted =
        Entry { flags: 0x801, ..stored("word/document.xml", word(&paragraph("", "x"))) };
    vec![
        (
            "laughs.docx",
            instead(stored("word/document.xml", laughs)),
            Ends::Reason("declares entities"),
        ),
        (
            "bomb.docx",
            instead(bomb("word/document.xml", opening, "<a/>", 12_500_000, "")),
            Ends::Reason("100 times"),
        ),
        (
            "picture-bomb.docx",
            with(bomb("word/media/a.png", "", "\0", 50_000_000, "")),
            Ends::Reason("100 times"),
        ),
        ("tag.docx", docx(&tag), Ends::Reason("64 KiB")),
        ("password.docx", compound("EncryptedPackage"), Ends::Reason("password")),
        ("zip-password.docx", instead(encrypted), Ends::Reason("password")),
        ("old.docx", compound("WordDocument"), Ends::Reason("old Office document")),
        ("old.doc", compound("WordDocument"), Ends::Reason("save it as .docx")),
        ("cut.docx", cut(plain), Ends::Reason("damaged")),
        (
            "half.docx",
            instead(stored("word/document.xml", &word(&paragraph("", "x"))[..150])),
            Ends::Either,
        ),
        ("not-xml.docx", instead(stored("word/document.xml", "quokka")), Ends::Reason("")),
        ("many-parts.docx", zip(&many), Ends::Reason("1000 parts")),
        ("deep.docx", nested(5_000), Ends::Either),
        ("empty-body.docx", docx(""), Ends::Reason("no text")),
        ("archive.docx", zip(&[stored("a.txt", "x")]), Ends::Reason("name it .zip")),
        ("deck.docx", pptx(&[("a", "b", "")]), Ends::Reason("name it .pptx")),
        ("text.docx", b"Quokkas smile.".to_vec(), Ends::Reason("this is text")),
    ]
}

fn workbook_cases() -> Vec<Case> {
    let row = |number: usize, cells: &str| format!("<row r=\"{number}\">{cells}</row>");
    let sparse = row(1, &cell("A1", "first")) + &row(1_048_576, &cell("XFD1048576", "last"));
    let nowhere = row(1, &(cell("ZZZZZZ1", "lost") + &cell("A1", "Quokka")));
    let long: String = (1..=60_000)
        .map(|n| row(n, &format!("<c r=\"A{n}\"><v>{n}</v></c><c r=\"B{n}\" t=\"b\"><v>1</v></c>")))
        .collect();
    let strings = format!("<sst><si><t>{}</t></si></sst>", "quokka ".repeat(4_000));
    let shared = stored("xl/sharedStrings.xml", strings);
    let fan: String =
        (1..=12_000).map(|n| row(n, &format!("<c r=\"A{n}\" t=\"s\"><v>0</v></c>"))).collect();
    let bomb = bomb("xl/worksheets/sheet1.xml", SHEET, "<c/>", 12_500_000, SHEET_END);
    let wide: String = (0..4_000)
        .map(|n| {
            cell(
                &format!("{}1", column(n)),
                &format!("a long name of the column of number {n}, which is repeated in each row"),
            )
        })
        .collect();
    let rows: String = (2..60)
        .map(|r| {
            let cells: String =
                (0..4_000).map(|n| format!("<c r=\"{}{r}\"><v>1</v></c>", column(n))).collect();
            row(r, &cells)
        })
        .collect();
    vec![
        ("sparse.xlsx", xlsx(sheet(&sparse), None), Ends::Only("# Budget\n\n| first\n| last")),
        ("nowhere.xlsx", xlsx(sheet(&nowhere), None), Ends::Text("Quokka")),
        ("long.xlsx", xlsx(sheet(&long), None), Ends::Text("| 60000 | TRUE")),
        ("wide.xlsx", xlsx(sheet(&(row(1, &wide) + &rows)), None), Ends::Reason("longer than")),
        ("fan.xlsx", xlsx(sheet(&fan), Some(shared)), Ends::Reason("longer than")),
        ("bomb.xlsx", xlsx(bomb, None), Ends::Reason("100")),
        ("empty.xlsx", xlsx(sheet(""), None), Ends::Reason("no text")),
        ("cut.xlsx", cut(xlsx(sheet(&sparse), None)), Ends::Reason("damaged")),
        ("macros.xlsm", xlsx(sheet(&sparse), None), Ends::Reason("macros")),
        ("old.xls", b"\xd0\xcf\x11\xe0".to_vec(), Ends::Reason("save it as .xlsx")),
        ("pdf.xlsx", b"%PDF-1.7".to_vec(), Ends::Reason("name it .pdf")),
    ]
}

/// `A`, …, `Z`, `AA`, …
fn column(mut number: usize) -> String {
    let mut name = String::new();
    loop {
        name.insert(0, char::from(b'A' + (number % 26) as u8));
        match (number / 26).checked_sub(1) {
            Some(rest) => number = rest,
            None => return name,
        }
    }
}

fn cut(mut file: Vec<u8>) -> Vec<u8> {
    file.truncate(file.len() * 2 / 3);
    file
}
