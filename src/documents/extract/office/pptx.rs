//! PPTX: each slide with its number and title, what is on it, and what the speaker says.

use std::io::Cursor;

use office_oxide::pptx::{
    BulletStyle, GraphicContent, PptxDocument, Shape, Slide, Table, TextBody, TextContent,
    TextParagraph,
};

use super::{Unreadable, damaged, parsed};
use crate::documents::{
    extract::{
        MAX_TEXT, Parsed,
        draft::{Draft, one_line},
        rows::Rows,
        too_long,
    },
    outline::Style,
};

pub(super) fn read(file: Cursor<&[u8]>) -> Result<Parsed, Unreadable> {
    let deck = PptxDocument::from_reader(file).map_err(|_| damaged())?;
    let mut slides = Vec::with_capacity(deck.slides.len());
    let mut size = 0;
    for (index, slide) in deck.slides.iter().enumerate() {
        let text = write(slide, index + 1)?;
        // Counted together: each on its own is within bounds.
        size += text.len();
        if size > MAX_TEXT {
            return Err(too_long());
        }
        slides.push(text);
    }
    let lost = deck.unreadable_parts.len() + deck.unreadable_parts_omitted;
    let mut parsed = parsed(Style::Slides, slides, deck.core_properties.as_ref(), lost)?;
    let first = deck.slides.iter().find_map(|slide| title(&slide.shapes));
    parsed.title = parsed.title.or(first);
    Ok(parsed)
}

/// One slide; empty when it says nothing.
fn write(slide: &Slide, number: usize) -> Result<String, Unreadable> {
    let title = title(&slide.shapes).unwrap_or_default();
    let mut body = Draft::default();
    let mut shapes: Vec<&Shape> = slide.shapes.iter().collect();
    if shapes.iter().all(|shape| place(shape).is_some()) {
        shapes.sort_by_key(|shape| place(shape));
    }
    for shape in shapes {
        write_shape(shape, &mut body);
        body.gap();
    }
    if let Some(notes) = &slide.notes {
        let notes = plain(notes);
        if !notes.is_empty() {
            body.heading(2, "Speaker notes");
            notes.iter().for_each(|text| body.paragraph(text));
        }
    }
    if slide.comments().next().is_some() {
        body.heading(2, "Comments");
        for comment in slide.comments() {
            let author = comment.author.as_deref().unwrap_or("Somebody");
            body.item(0, "-", &format!("{author}: {}", comment.text));
        }
    }
    let body = body.finish()?;
    if title.is_empty() && body.is_empty() {
        return Ok(String::new());
    }
    let hidden = if slide.hidden { " (hidden)" } else { "" };
    let colon = if title.is_empty() { "" } else { ": " };
    Ok(format!("# Slide {number}{hidden}{colon}{title}\n\n{body}").trim_end().to_owned())
}

fn is_title(shape: &Shape) -> bool {
    let Shape::AutoShape(shape) = shape else { return false };
    let kind = shape.placeholder.as_ref().and_then(|holder| holder.ph_type.as_deref());
    matches!(kind, Some("title" | "ctrTitle"))
}

fn title(shapes: &[Shape]) -> Option<String> {
    shapes.iter().find_map(|shape| match shape {
        Shape::AutoShape(own) if is_title(shape) => {
            let text = one_line(&plain(own.text_body.as_ref()?).join(" "));
            (!text.is_empty()).then_some(text)
        }
        Shape::Group(group) => title(&group.children),
        _ => None,
    })
}

/// From the top down, then from the left.
fn place(shape: &Shape) -> Option<(i64, i64)> {
    let place = match shape {
        Shape::AutoShape(shape) => shape.position.as_ref(),
        Shape::Picture(shape) => shape.position.as_ref(),
        Shape::Group(shape) => shape.position.as_ref(),
        Shape::GraphicFrame(shape) => shape.position.as_ref(),
        Shape::Connector(shape) => shape.position.as_ref(),
    }?;
    Some((place.y, place.x))
}

fn write_shape(shape: &Shape, draft: &mut Draft) {
    match shape {
        Shape::AutoShape(own) if !is_title(shape) => {
            let kind = own.placeholder.as_ref().map(|holder| holder.ph_type.as_deref());
            // The date, the footer and the number of a slide are on all of them.
            if let (Some(body), false) =
                (&own.text_body, matches!(kind, Some(Some("dt" | "ftr" | "sldNum"))))
            {
                let bulleted = matches!(kind, Some(None | Some("body" | "obj")));
                write_body(body, bulleted, draft);
            }
        }
        Shape::AutoShape(_) | Shape::Connector(_) => {}
        Shape::Picture(picture) => {
            draft.paragraph(picture.alt_text.as_deref().unwrap_or_default());
        }
        Shape::Group(group) => group.children.iter().for_each(|shape| write_shape(shape, draft)),
        Shape::GraphicFrame(frame) => match &frame.content {
            GraphicContent::Table(table) => write_table(table, draft),
            GraphicContent::Text(lines) => lines.iter().for_each(|text| draft.line(text)),
            GraphicContent::OleObject(_) | GraphicContent::Unknown => {}
        },
    }
}

/// A body's paragraphs: items where they have bullets, or where its kind of box gives them some.
fn write_body(body: &TextBody, bulleted: bool, draft: &mut Draft) {
    let several = body.paragraphs.len() > 1;
    for paragraph in &body.paragraphs {
        let text = words(paragraph);
        let is_item = match &paragraph.bullet {
            Some(BulletStyle::None) => false,
            Some(_) => true,
            None => bulleted && several,
        };
        if is_item {
            let depth = usize::try_from(paragraph.level).unwrap_or_default();
            draft.item(depth, "-", &text);
        } else {
            draft.line(&text);
        }
    }
}

fn write_table(table: &Table, draft: &mut Draft) {
    draft.gap();
    let mut rows = if table.first_row_header { Rows::default() } else { Rows::nameless() };
    for row in &table.rows {
        let cells: Vec<_> = row
            .cells
            .iter()
            .map(|cell| cell.text_body.as_ref().map_or_else(String::new, |b| plain(b).join(" ")))
            .enumerate()
            .collect();
        rows.row(draft, &cells);
    }
}

/// The paragraphs that say something.
fn plain(body: &TextBody) -> Vec<String> {
    let texts = body.paragraphs.iter().map(|paragraph| words(paragraph).trim().to_owned());
    texts.filter(|text| !text.is_empty()).collect()
}

fn words(paragraph: &TextParagraph) -> String {
    let mut text = String::new();
    for content in &paragraph.content {
        match content {
            TextContent::Run(run) => text.push_str(&run.text),
            TextContent::LineBreak => text.push('\n'),
            TextContent::Field(field) => {
                let kind = field.field_type.as_deref().unwrap_or_default();
                if !kind.starts_with("slidenum") {
                    text.push_str(&field.text);
                }
            }
        }
    }
    text
}
