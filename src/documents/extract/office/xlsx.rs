//! XLSX: each sheet with its name, and its rows with the names of their columns.
//!
//! Only cells that are there are read: a sheet of two cells a million rows apart has two.

use std::io::Cursor;

use office_oxide::xlsx::{SheetState, Worksheet, XlsxDocument};

use super::{Unreadable, damaged, parsed};
use crate::documents::{
    extract::{MAX_TEXT, Parsed, draft::Draft, rows::Rows, too_long},
    outline::Style,
};

pub(super) fn read(file: Cursor<&[u8]>) -> Result<Parsed, Unreadable> {
    let mut book = XlsxDocument::from_reader(file).map_err(|_| damaged())?;
    book.ensure_styles();
    let dates = book.date_style_indices();
    let mut sheets = Vec::with_capacity(book.worksheets.len());
    let mut size = 0;
    for sheet in &book.worksheets {
        let mut draft = Draft::default();
        let hidden = if sheet.state == SheetState::Visible { "" } else { " (hidden)" };
        let mut rows = if names_columns(sheet) { Rows::default() } else { Rows::nameless() };
        let mut is_named = false;
        let mut cells = Vec::new();
        for row in &sheet.rows {
            cells.clear();
            for cell in &row.cells {
                let mut text = String::new();
                book.write_cell_value_fast(cell, &mut text, &dates);
                if !text.trim().is_empty() {
                    cells.push((usize::try_from(cell.reference.col).unwrap_or_default(), text));
                }
            }
            if cells.is_empty() {
                continue;
            }
            if !is_named {
                draft.heading(1, &format!("{}{hidden}", sheet.name));
                is_named = true;
            }
            rows.row(&mut draft, &cells);
            if draft.is_full() {
                break;
            }
        }
        write_beside(sheet, hidden, is_named, &mut draft);
        let text = draft.finish()?;
        // Counted together: each on its own is within bounds.
        size += text.len();
        if size > MAX_TEXT {
            return Err(too_long());
        }
        sheets.push(text);
    }
    let lost = book.unreadable_sheets.len()
        + book.unreadable_sheets_omitted
        + book.unreadable_parts.len()
        + book.unreadable_parts_omitted;
    parsed(Style::Sheets, sheets, book.core_properties.as_ref(), lost)
}

/// Whether a row may name the columns: in a few rows of two cells each, the first cell is as often
/// the one that says what the second is.
fn names_columns(sheet: &Worksheet) -> bool {
    const FEW: usize = 30;
    sheet.rows.len() > FEW || sheet.rows.iter().any(|row| row.cells.len() > 2)
}

/// Text boxes, charts and comments of a sheet, after its rows.
fn write_beside(sheet: &Worksheet, hidden: &str, is_named: bool, draft: &mut Draft) {
    let boxes = sheet.text_shapes.iter().map(|shape| shape.text.clone());
    let charts = sheet.chart_text.iter().map(|text| text.to_string());
    let comments = sheet.comments.iter().map(|comment| {
        let author = comment.author.as_deref().unwrap_or("Somebody");
        format!("{author} on {}: {}", comment.cell_ref, comment.text)
    });
    let texts: Vec<String> =
        boxes.chain(charts).chain(comments).filter(|text| !text.trim().is_empty()).collect();
    if texts.is_empty() {
        return;
    }
    if !is_named {
        draft.heading(1, &format!("{}{hidden}", sheet.name));
    }
    draft.gap();
    texts.iter().for_each(|text| draft.item(0, "-", text));
}
