//! What is kept of a document's structure.

use super::{
    mail,
    office::{cell, docx, paragraph, pptx, sheet, styled_docx, xlsx},
    read,
};

async fn text(name: &str, bytes: Vec<u8>) -> String {
    read(name, &bytes).await.unwrap().sections.join("\n\n")
}

#[tokio::test]
async fn a_word_document_keeps_headings_lists_and_tables() {
    let item = |level: u8, text: &str| {
        format!(
            "<w:p><w:pPr><w:numPr><w:ilvl w:val=\"{level}\"/><w:numId w:val=\"7\"/></w:numPr></w:pPr>\
             <w:r><w:t>{text}</w:t></w:r></w:p>"
        )
    };
    let row = |properties: &str, cells: [&str; 2]| {
        let cells: String =
            cells.iter().map(|text| format!("<w:tc>{}</w:tc>", paragraph("", text))).collect();
        format!("<w:tr>{properties}{cells}</w:tr>")
    };
    let table = |properties: &str, rows: [[&str; 2]; 2]| {
        format!("<w:tbl>{}{}</w:tbl>", row(properties, rows[0]), row("", rows[1]))
    };
    let head = "<w:trPr><w:tblHeader/></w:trPr>";
    let body = [
        paragraph("H1", "Quokkas"),
        paragraph("", "They smile."),
        paragraph("H2", "Where"),
        item(0, "Rottnest"),
        item(1, "the north"),
        item(1, "the south"),
        item(0, "Perth"),
        table(head, [["Island", "Count"], ["Rottnest", "10,000"]]),
        paragraph("", "In short:"),
        table("", [["Kind", "Marsupial"], ["Tail", "Long"]]),
        paragraph("", "The end."),
    ]
    .concat();
    assert_eq!(
        text("a.docx", styled_docx(&body)).await,
        "# Quokkas\n\nThey smile.\n\n## Where\n\n1. Rottnest\n  1.a the north\n  1.b the south\n\
         2. Perth\n\n| Island | Count\n| Island: Rottnest | Count: 10,000\n\nIn short:\n\n\
         | Kind | Marsupial\n| Tail | Long\n\nThe end."
    );
}

#[tokio::test]
async fn a_table_that_lays_out_a_page_is_read_as_text() {
    let cell = |text: &str| format!("<w:tc>{}</w:tc>", paragraph("", text));
    let long = "Quokkas smile at dusk. ".repeat(60);
    let body = format!("<w:tbl><w:tr>{}{}</w:tr></w:tbl>", cell(&long), cell("Aside"));
    let text = text("a.docx", docx(&body)).await;
    assert!(text.ends_with("dusk.\n\nAside"), "{text}");
}

#[tokio::test]
async fn slides_keep_number_title_and_notes() {
    let deck =
        pptx(&[("Plan", "Quokkas first.", "Say hello."), ("", "", ""), ("", "Then cats.", "")]);
    let parsed = read("a.pptx", &deck).await.unwrap();
    assert_eq!(parsed.title.as_deref(), Some("Plan"));
    assert_eq!(
        parsed.sections,
        [
            "# Slide 1: Plan\n\nQuokkas first.\n\n## Speaker notes\n\nSay hello.",
            "",
            "# Slide 3\n\nThen cats."
        ]
    );
}

#[tokio::test]
async fn rows_of_a_sheet_name_their_columns() {
    let rows = format!(
        "<row r=\"1\">{}</row><row r=\"3\">{}{}{}</row><row r=\"4\">{}<c r=\"C4\"><v>12.5</v></c></row>",
        cell("A1", "Costs of 2024"),
        cell("A3", "Item"),
        cell("C3", "Price"),
        cell("D3", "Note"),
        cell("A4", "Cage"),
    );
    assert_eq!(
        text("a.xlsx", xlsx(sheet(&rows), None)).await,
        "# Budget\n\n| Costs of 2024\n| Item | Price | Note\n| Item: Cage | Price: 12.5"
    );
}

#[tokio::test]
async fn a_message_tells_its_people_and_its_attachments() {
    let message = mail::parts(&[
        "Content-Type: text/plain\r\n\r\nSee the list.",
        "Content-Type: text/csv; name=list.csv\r\nContent-Disposition: attachment\r\n\r\na,b\r\n1,2",
    ]);
    let parsed = read("a.eml", message.as_bytes()).await.unwrap();
    assert_eq!(parsed.title.as_deref(), Some("Quokkas"));
    assert_eq!(parsed.metadata["from"], "Ada <ada@example.org>");
    assert_eq!(parsed.metadata["to"], "bob@example.org");
    assert_eq!(parsed.metadata["date"], "2024-03-05T10:00:00Z");
    assert!(parsed.sections[0].ends_with("See the list.\n\nAttachments: list.csv"), "{parsed:?}");
    assert!(parsed.holds_members);
}
