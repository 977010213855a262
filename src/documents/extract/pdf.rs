//! PDF: the text of each page.

use std::collections::BTreeMap;

use pdf_oxide::{PdfDocument, optional_content::decode_pdf_text_string};

use super::{MAX_TEXT, Parsed, Unreadable, too_long, unreadable};
use crate::documents::outline::Style;

const MAX_PAGES: usize = 2_000;
const DAMAGED: &str = "pages_damaged";

/// A PDF, and how many pages it has.
pub(super) fn open(bytes: Vec<u8>) -> Result<(PdfDocument, usize), Unreadable> {
    let document = PdfDocument::from_bytes(bytes)
        .map_err(|_| unreadable("the PDF is damaged: its structure cannot be read"))?;
    if document.is_encrypted() && !document.is_authenticated() && !opens_without_password(&document)
    {
        return Err(unreadable("the PDF is protected with a password"));
    }
    let pages = document
        .page_count()
        .map_err(|_| unreadable("the PDF is damaged: its pages cannot be counted"))?;
    if pages > MAX_PAGES {
        return Err(unreadable(format!("the PDF has {pages} pages, and we read 2,000: split it")));
    }
    Ok((document, pages))
}

/// Whether a page has no text.
pub(super) fn is_silent(document: &PdfDocument, page: usize) -> bool {
    document.extract_text(page).is_ok_and(|text| text.trim().is_empty())
}

pub(super) fn parse(bytes: Vec<u8>) -> Result<Parsed, Unreadable> {
    let (document, pages) = open(bytes)?;
    let mut sections = Vec::with_capacity(pages);
    let (mut characters, mut damaged, mut silent) = (0, 0, 0);
    for page in 0..pages {
        let text = document.extract_text(page).unwrap_or_else(|_| {
            damaged += 1;
            String::new()
        });
        let visible = text.chars().filter(|c| !c.is_whitespace()).count();
        silent += usize::from(visible == 0);
        characters += visible;
        if characters > MAX_TEXT {
            return Err(too_long());
        }
        sections.push(text);
    }
    let mut metadata = BTreeMap::new();
    for (name, count) in [("pages_without_text", silent - damaged), (DAMAGED, damaged)] {
        if count > 0 {
            metadata.insert(name.to_owned(), count.to_string());
        }
    }
    Ok(Parsed {
        style: Style::Pages,
        title: title(&document),
        sections,
        metadata,
        ..Parsed::default()
    })
}

/// The same, provided that it has any text by now.
pub(super) fn require_text(parsed: Parsed) -> Result<Parsed, Unreadable> {
    if parsed.sections.iter().any(|section| !section.trim().is_empty()) {
        return Ok(parsed);
    }
    let pages = parsed.sections.len();
    Err(unreadable(match parsed.metadata.get(DAMAGED) {
        None => format!(
            "0 characters from {pages} pages: it is a scan, or its text is drawn as pictures; \
             run text recognition on it (ocrmypdf does) and send the result"
        ),
        Some(damaged) => format!("0 characters from {pages} pages: {damaged} of them are damaged"),
    }))
}

fn opens_without_password(document: &PdfDocument) -> bool {
    document.authenticate(b"").unwrap_or(false)
}

/// The title in the document's information dictionary.
fn title(document: &PdfDocument) -> Option<String> {
    let info = document.trailer().as_dict()?.get("Info")?.clone();
    let info = document.resolve_references(&info, 2).ok()?;
    let title = document.resolve_references(info.as_dict()?.get("Title")?, 2).ok()?;
    let title = decode_pdf_text_string(title.as_string()?);
    (!title.trim().is_empty()).then_some(title)
}
