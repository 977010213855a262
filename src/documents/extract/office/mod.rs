//! Word, PowerPoint and Excel: checked as a package, parsed, and written down part by part.

mod docx;
mod numbers;
mod pptx;
mod xlsx;

use std::{collections::BTreeMap, io::Cursor};

use office_oxide::{core::properties::CoreProperties, limits::Limits};

use super::{
    MAX_TEXT, MediaType, Parsed, Unreadable,
    package::{self, MOST_TOTAL, Office},
    unreadable,
};
use crate::documents::outline::Style;

/// Read the document that its name says it is.
pub(super) fn parse(media: MediaType, bytes: &[u8]) -> Result<Parsed, Unreadable> {
    let mut zip = package::open(bytes)?;
    let office = package::office(&zip).ok_or_else(|| {
        unreadable("this is a zip archive and not an Office document: name it .zip")
    })?;
    let (is, called) = match office {
        Office::Document => (MediaType::Docx, "a Word document: name it .docx"),
        Office::Presentation => (MediaType::Pptx, "a PowerPoint presentation: name it .pptx"),
        Office::Workbook => (MediaType::Xlsx, "an Excel workbook: name it .xlsx"),
    };
    if is != media {
        return Err(unreadable(format!("this is {called}")));
    }
    package::check_office(&mut zip, office)?;
    bound();
    let file = Cursor::new(bytes);
    match office {
        Office::Document => docx::read(file),
        Office::Presentation => pptx::read(file),
        Office::Workbook => xlsx::read(file),
    }
}

/// What the parser may take, said once for this process: what is embedded stays closed.
fn bound() {
    let mut limits = Limits::default();
    limits.package_entries = 10_000;
    limits.package_bytes = MOST_TOTAL;
    limits.part_bytes = MOST_TOTAL;
    limits.inflate_ratio = 100;
    limits.embedded_depth = 0;
    limits.embedded_packages = 0;
    limits.text_chars = MAX_TEXT;
    limits.memory_bytes = 512 * 1024 * 1024;
    limits.apply();
}

fn damaged() -> Unreadable {
    unreadable("the document is damaged: its parts cannot be read")
}

/// A document of these sections, unless none of them says anything.
fn parsed(
    style: Style,
    sections: Vec<String>,
    properties: Option<&CoreProperties>,
    lost_parts: usize,
) -> Result<Parsed, Unreadable> {
    if sections.iter().all(|section| section.is_empty()) {
        return Err(unreadable(match lost_parts {
            0 => "the document has no text: it is empty, or shows pictures only".to_owned(),
            _ => format!("0 characters: {lost_parts} parts of the document are damaged"),
        }));
    }
    let title = properties.and_then(|properties| properties.title.clone());
    let mut metadata = BTreeMap::new();
    if lost_parts > 0 {
        metadata.insert("parts_unreadable".to_owned(), lost_parts.to_string());
    }
    Ok(Parsed {
        style,
        title: title.filter(|title| !title.trim().is_empty()),
        sections,
        metadata,
        ..Parsed::default()
    })
}
