//! Zip files, as archives and as the packages of Office documents: bounded before they are read
//! (spec row U-05).

use std::io::{Cursor, Read};

use zip::ZipArchive;

use super::{Unreadable, unreadable};

/// An open zip file.
pub(super) type Zip<'a> = ZipArchive<Cursor<&'a [u8]>>;

/// The most that one zip file may unpack to.
pub(super) const MOST_TOTAL: u64 = 100 * 1024 * 1024;
/// The most members of one zip file.
pub(super) const MOST_ENTRIES: usize = 1_000;
/// A slide takes four members, a sheet two.
const MOST_PARTS: usize = 10_000;
/// The most bytes out of one byte in.
const RATIO: u64 = 100;
/// A ratio says nothing of what is smaller than this.
const RATIO_FROM: u64 = 4 * 1024 * 1024;
/// The longest tag of an XML part.
const MOST_TAG: usize = 64 * 1024;

/// What an Office package holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Office {
    Document,
    Presentation,
    Workbook,
}

/// Open a zip file.
///
/// # Errors
/// When its directory cannot be read.
pub(super) fn open(bytes: &[u8]) -> Result<Zip<'_>, Unreadable> {
    ZipArchive::new(Cursor::new(bytes))
        .map_err(|_| unreadable("the zip file is damaged: its list of members cannot be read"))
}

/// Which Office document this is, by its main part; `None` for any other zip file.
pub(super) fn office(zip: &Zip<'_>) -> Option<Office> {
    zip.index_for_name("[Content_Types].xml")?;
    [
        ("word/document.xml", Office::Document),
        ("ppt/presentation.xml", Office::Presentation),
        ("xl/workbook.xml", Office::Workbook),
    ]
    .into_iter()
    .find_map(|(part, office)| zip.index_for_name(part).map(|_| office))
}

/// Go through an Office package once before it is parsed: nothing in it unpacks without end, hides
/// behind a password, or declares entities.
///
/// # Errors
/// When something does.
pub(super) fn check_office(zip: &mut Zip<'_>, office: Office) -> Result<(), Unreadable> {
    let most = if office == Office::Document { MOST_ENTRIES } else { MOST_PARTS };
    if zip.len() > most {
        return Err(unreadable(format!("the document has more than {most} parts")));
    }
    let mut total = 0;
    for index in 0..zip.len() {
        let part = zip.by_index_raw(index).map_err(|_| damaged())?;
        if part.encrypted() {
            return Err(unreadable("the document is protected with a password"));
        }
        let (packed, declared) = (part.compressed_size(), part.size());
        let is_xml = part.name().is_ok_and(|name| is_xml(&name));
        drop(part);
        if !is_xml {
            total += declared;
            fits(packed, declared, total)?;
            continue;
        }
        let part = zip.by_index(index).map_err(|_| damaged())?;
        total = check_xml(part, packed, total)?;
    }
    Ok(())
}

/// Unpack one XML part into nothing; the total with it.
fn check_xml(mut part: impl Read, packed: u64, before: u64) -> Result<u64, Unreadable> {
    let mut tags = Tags::default();
    let mut size = 0;
    let mut piece = [0; 16 * 1024];
    loop {
        // What follows a wrong checksum or a cut is the parser's to judge.
        let Ok(read @ 1..) = part.read(&mut piece) else { return Ok(before + size) };
        size += read as u64;
        fits(packed, size, before + size)?;
        tags.read(&piece[..read])?;
    }
}

/// Whether a member of this size keeps to the bounds.
pub(super) fn fits(packed: u64, size: u64, total: u64) -> Result<(), Unreadable> {
    if total > MOST_TOTAL {
        return Err(unreadable("the file unpacks to more than 100 MiB"));
    }
    if size > RATIO_FROM && size > packed.saturating_mul(RATIO) {
        return Err(unreadable("the file unpacks to more than 100 times its size"));
    }
    Ok(())
}

fn damaged() -> Unreadable {
    unreadable("the document is damaged: a part of it cannot be unpacked")
}

fn is_xml(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [".xml", ".rels", ".vml"].iter().any(|end| name.ends_with(end))
}

/// Looks at the tags of XML as it comes, in UTF-8 or UTF-16.
#[derive(Debug, Default)]
pub(super) struct Tags {
    inside: bool,
    length: usize,
    start: Vec<u8>,
}

impl Tags {
    fn read(&mut self, piece: &[u8]) -> Result<(), Unreadable> {
        for &byte in piece.iter().filter(|byte| **byte != 0) {
            if !self.inside {
                if byte == b'<' {
                    *self = Self { inside: true, ..Self::default() };
                }
                continue;
            }
            if byte == b'>' {
                self.inside = false;
                continue;
            }
            self.length += 1;
            if self.start.len() < 8 {
                self.start.push(byte);
                if self.start == b"!DOCTYPE" || self.start.starts_with(b"!ENTITY") {
                    return Err(unreadable(
                        "its XML declares entities, which no Office program does",
                    ));
                }
            }
            if self.length > MOST_TAG && !self.start.starts_with(b"![CDATA[") {
                return Err(unreadable("its XML has a tag longer than 64 KiB"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(xml: &str) -> Result<(), Unreadable> {
        let mut tags = Tags::default();
        xml.as_bytes().chunks(3).try_for_each(|piece| tags.read(piece))
    }

    /// [U-05] No entities, and no tag without end.
    #[test]
    fn tags_are_bounded_and_declare_nothing() {
        assert!(tags("<?xml version='1.0'?><a b='<c'>text<![CDATA[<]]></a>").is_ok());
        assert!(tags("<?xml?><!DOCTYPE a [<!ENTITY b 'c'>]><a/>").is_err());
        assert!(tags("<a><!ENTITY b 'c'></a>").is_err());
        assert!(tags(&format!("<a b='{}'/>", "x".repeat(MOST_TAG))).is_err());
        assert!(tags(&format!("<a>{}</a>", "x".repeat(MOST_TAG * 2))).is_ok());
    }
}
