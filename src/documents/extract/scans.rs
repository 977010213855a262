//! The pages of a PDF that have no text, as the pictures that they are, for text recognition.
//!
//! What a page shows is not drawn: its largest image is taken for all of it, which is what scanners
//! make.

use std::io::Write;

use pdf_oxide::PdfDocument;

use super::{Unreadable, members::Frames, pdf, unreadable};

/// Smaller pictures are logos and lines.
const LEAST_SIDE: u32 = 200;
/// More points are not decoded: an A3 page at 600 dots an inch has 70 million.
const MOST_POINTS: u64 = 80_000_000;
/// More are not handed over: half as many in each direction say as much.
const ENOUGH_POINTS: usize = 20_000_000;

/// From this page on, counted from 0: a frame for each without text, by its number, with its picture
/// in greys (PGM), or why there is none.
pub(super) fn pictures(
    bytes: Vec<u8>,
    from: usize,
    frames: &mut Frames<impl Write>,
) -> Result<(), Unreadable> {
    let (document, pages) = pdf::open(bytes)?;
    for page in from..pages {
        if !pdf::is_silent(&document, page) {
            continue;
        }
        let picture = picture(&document, page);
        frames.member(&page.to_string(), picture.as_deref().map_err(Clone::clone));
        frames.flush();
        if frames.is_broken() {
            break;
        }
    }
    Ok(())
}

fn picture(document: &PdfDocument, page: usize) -> Result<Vec<u8>, Unreadable> {
    let points = |width: u32, height: u32| u64::from(width) * u64::from(height);
    let images = document.page_image_handles(page).unwrap_or_default();
    let largest = images
        .iter()
        .filter(|image| image.width.min(image.height) >= LEAST_SIDE)
        .filter(|image| points(image.width, image.height) <= MOST_POINTS)
        .max_by_key(|image| points(image.width, image.height))
        .ok_or_else(|| unreadable("the page has no picture that could hold text"))?;
    let unknown = || unreadable("the page's picture is damaged, or of a kind that is not read");
    let image = largest.decode().and_then(|image| image.to_dynamic_image());
    let grey = image.map_err(|_| unknown())?.to_luma8();
    let (width, height) = (grey.width() as usize, grey.height() as usize);
    if width.checked_mul(height) != Some(grey.as_raw().len()) || grey.is_empty() {
        return Err(unknown());
    }
    let mut picture = Picture { width, height, points: grey.into_raw() };
    while picture.points.len() > ENOUGH_POINTS {
        picture = picture.halved();
    }
    Ok(picture.pgm())
}

/// In greys, line by line.
struct Picture {
    width: usize,
    height: usize,
    points: Vec<u8>,
}

impl Picture {
    /// Of every four points, one.
    fn halved(&self) -> Self {
        let (width, height) = (self.width / 2, self.height / 2);
        let mut points = Vec::with_capacity(width * height);
        for lines in self.points.chunks_exact(2 * self.width) {
            let (upper, lower) = lines.split_at(self.width);
            for (upper, lower) in upper.chunks_exact(2).zip(lower.chunks_exact(2)) {
                let sum: u16 = upper.iter().chain(lower).map(|point| u16::from(*point)).sum();
                points.push(u8::try_from(sum / 4).unwrap_or(u8::MAX));
            }
        }
        Self { width, height, points }
    }

    fn pgm(&self) -> Vec<u8> {
        let mut file = format!("P5\n{} {}\n255\n", self.width, self.height).into_bytes();
        file.extend_from_slice(&self.points);
        file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_halved_point_by_point() {
        let points = vec![0, 4, 8, 8, 9, 4, 8, 8, 8, 9, 1, 1, 1, 1, 9];
        let halved = Picture { width: 5, height: 3, points }.halved();
        assert_eq!(halved.pgm(), b"P5\n2 1\n255\n\x04\x08");
    }
}
